"""HTTP to sources of metrics: TLS, credentials from files, every failure in our words.

Used by every client of such a source. `requests` is synchronous, so calls run in threads.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from urllib.parse import parse_qs, urljoin, urlsplit

import requests
from requests.auth import AuthBase, _basic_auth_str
from requests.exceptions import RequestException, SSLError

from clients.http import own_version, retry_after
from domain.errors import NoAccess, NotFound, PermanentFailure, TransientFailure
from domain.metrics.places import Reached

# Clearly shorter than the heartbeat timeout of those who ask: they hear of a server that hangs.
REQUEST_TIMEOUT = timedelta(seconds=4)
# A server may drip bytes for ever within the per-read timeout; this bounds the whole call.
CALL_TIMEOUT_FACTOR = 2
MESSAGE_LENGTH = 300
QUERY_LENGTH = 60
_UNTRUSTED = ("CERTIFICATE_VERIFY_FAILED", "certificate verify failed", "Hostname mismatch")
_STORE_DOWN = re.compile(r"rpc error: code = (Unavailable|DeadlineExceeded|Canceled|Aborted)\b")

Answer = TypeVar("Answer")


def named() -> dict[str, str]:
    """How our own clients name themselves."""
    return {"User-Agent": f"tidegate-metrics/{own_version()}"}


class SourceConnection:
    """One source by HTTP: `system` and `query_key` (the parameter that says what is asked) name it.

    Secrets are read from their files for each request; no message holds one.
    """

    def __init__(
        self,
        system: str,
        place: Reached,
        *,
        headers: Mapping[str, str] | None = None,
        secret_headers: Mapping[str, Path] | None = None,
        query_key: str = "query",
        timeout: timedelta = REQUEST_TIMEOUT,
    ) -> None:
        self.system, self.url = system, place.url
        self.seconds = timeout.total_seconds()
        self._query_key = query_key
        self._secrets = _Secrets(place, secret_headers or {})
        self.session = requests.Session()
        self.session.headers.update({**dict(headers or {}), **place.headers})
        self.session.auth = self._secrets
        if place.ca_file:
            self.session.verify = str(place.ca_file.expanduser())
        if place.client_certificate:
            key = place.client_key or place.client_certificate
            pair = (place.client_certificate, key)
            self.session.cert = (str(pair[0].expanduser()), str(pair[1].expanduser()))
        self.session.hooks["response"].append(self._translate_status)

    @property
    def said(self) -> str:
        """The source in messages."""
        return f"{self.system} at {self.url}"

    async def json(self, path: str, parameters: Mapping[str, str], asked: str) -> Any:
        """The JSON that `path` answers."""
        return await self.call(asked, lambda: self.get(path, parameters).json())

    def get(self, path: str, parameters: Mapping[str, str] | None = None) -> requests.Response:
        """One request, in this thread."""
        return self.session.get(
            f"{self.url}{path}",
            params=dict(parameters or {}),
            timeout=self.seconds,
            allow_redirects=False,
            # Said here, or an authority that the environment names would take its place.
            verify=self.session.verify,
        )

    async def call(self, asked: str, function: Callable[[], Answer]) -> Answer:
        """Run a request in a thread; what goes wrong in it becomes one of our two kinds."""
        try:
            async with asyncio.timeout(self.seconds * CALL_TIMEOUT_FACTOR):
                return await asyncio.to_thread(function)
        except (RequestException, TimeoutError) as error:
            if isinstance(error, requests.exceptions.JSONDecodeError):
                self.wrong_shape(asked, "it is not JSON")
            if isinstance(error, SSLError) and any(word in str(error) for word in _UNTRUSTED):
                raise NoAccess(
                    f"the certificate of {self.said} is not trusted ({self._told(error)}); name its"
                    " authority by ca_file"
                ) from error
            raise TransientFailure(
                f"{self.said} did not answer {_shortened(asked)}: {self._told(error)}; look whether"
                " it is up and reachable from here"
            ) from error
        except OSError as error:
            # How requests tells that a file of certificates is not there.
            raise NoAccess(
                f"{self.said}: {self._told(error)}; correct ca_file and client_certificate"
            ) from error
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            self.wrong_shape(asked, f"it lacks data.result ({self._told(error)})")

    def wrong_shape(self, asked: str, what: str) -> NoReturn:
        """Refuse an answer that is not what the source's protocol says."""
        raise PermanentFailure(
            f"the answer of {self.url} to {_shortened(asked)} is not raw samples:"
            f" {self._secrets.hidden(what)}; check that the url is that of a"
            f" {self.system} API and the metric a counter or classic histogram"
        )

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.to_thread(self.session.close)

    def _translate_status(self, response: requests.Response, **_: object) -> None:
        """Called by requests on every response, before a library turns it into one string."""
        status = response.status_code
        if status < 300:
            return
        if response.is_redirect:
            self._refuse_redirect(response)
        why = self._secrets.hidden(_why(response))
        said = f"{self.said} answered {status} to {self._asked(response)}: {why}"
        if status in {408, 429} or status >= 500 or _a_store_is_down(response):
            wish = retry_after(response.headers) or _reset(response.headers)
            raise TransientFailure(f"{said}; it is retried", wish)
        if status == 404:
            raise NotFound(f"{said}; check that the url is that of a {self.system} API")
        if status in {401, 403}:
            raise NoAccess(f"{said}; check the credentials of this environment")
        advice = {422: "ask for less: fewer series or a shorter window"}
        if not response.text.lstrip().startswith("{"):
            # As VictoriaMetrics refuses a path that it has not.
            advice[400] = f"correct the query in the plan, or the url if it is no {self.system} API"
        raise PermanentFailure(f"{said}; {advice.get(status, 'correct the query in the plan')}")

    def _refuse_redirect(self, response: requests.Response) -> NoReturn:
        """Raised before a library follows: credentials would go along, a login page be data."""
        response.close()
        there = self._secrets.hidden(_redirected(response))
        raise NoAccess(
            f"{self.said} redirects to {there} when asked for {self._asked(response)}, and nothing"
            f" is sent there; make the url that of the {self.system} API itself, and check the"
            " credentials if the other is a login page"
        )

    def _asked(self, response: requests.Response) -> str:
        address = urlsplit(response.url)
        query = parse_qs(address.query).get(self._query_key)
        return _shortened(query[0] if query else address.path)

    def _told(self, error: BaseException) -> str:
        text = f"{type(error).__name__} {error}"[:MESSAGE_LENGTH].strip()
        return self._secrets.hidden(text)


class _Secrets(AuthBase):
    """Puts secrets on each request as their files have them now, and keeps them out of texts."""

    def __init__(self, place: Reached, headers: Mapping[str, Path]) -> None:
        self._place = place
        self._headers = headers
        self._known: set[str] = set()

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        for name, file in self._headers.items():
            request.headers[name] = self._read(file)
        if self._place.bearer_token_file:
            token = self._read(self._place.bearer_token_file)
            request.headers["Authorization"] = f"Bearer {token}"
        if self._place.basic_auth_file:
            user, _, password = self._read(self._place.basic_auth_file).partition(":")
            self._known.add(password)
            request.headers["Authorization"] = _basic_auth_str(user, password)
        return request

    def hidden(self, text: str) -> str:
        for secret in sorted(self._known, key=len, reverse=True):
            text = text.replace(secret, "(secret)") if secret else text
        return text

    def _read(self, file: Path) -> str:
        path = file.expanduser()
        try:
            secret = path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
            raise TransientFailure(
                f"{path}, the credentials of {self._place.url}, cannot be read ({why}); make it"
                " readable for this process: it is tried again"
            ) from error
        if not secret or not secret.isprintable():
            raise TransientFailure(
                f"{path}, the credentials of {self._place.url}, is empty or more than one line;"
                " write them anew: it is tried again"
            )
        self._known.add(secret)
        return secret


def _redirected(response: requests.Response) -> str:
    """Where to, without what only the other server need know: its query may hold a token."""
    location = response.headers["Location"]
    try:
        parts = urlsplit(urljoin(response.url, location))
    except ValueError:
        return location.partition("?")[0][:MESSAGE_LENGTH]
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="", fragment="").geturl()[:MESSAGE_LENGTH]


def _a_store_is_down(response: requests.Response) -> bool:
    """Thanos tells by 422 and a gRPC code that a part of it does not answer."""
    return response.status_code == 422 and _STORE_DOWN.search(response.text) is not None


def _shortened(asked: str) -> str:
    """A query may name hundreds of pods; what follows it is what helps."""
    return asked if len(asked) <= QUERY_LENGTH else f"{asked[:QUERY_LENGTH]}..."


def _reset(headers: Mapping[str, str]) -> timedelta | None:
    """How a source that counts requests by the hour tells when it answers again."""
    seconds = headers.get("X-RateLimit-Reset", "")
    return timedelta(seconds=int(seconds)) if seconds.isdigit() and len(seconds) < 6 else None


def _why(response: requests.Response) -> str:
    try:
        said = response.json()
        return str(said.get("error") or said["errors"])[:MESSAGE_LENGTH]
    except (ValueError, KeyError, TypeError, AttributeError):
        return (response.text.strip() or response.reason or "no reason given")[:MESSAGE_LENGTH]
