"""HTTP to sources of metrics: TLS, credentials from files, every failure in our words.

Used by every client of such a source. `requests` is synchronous, so calls run in threads.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from urllib.parse import parse_qs, urljoin, urlsplit

import requests
from requests.auth import AuthBase, _basic_auth_str
from requests.exceptions import RequestException, SSLError

from clients.http import own_version, retry_after
from clients.source_exchange import (
    LARGEST_ANSWER,
    BoundedAdapter,
    Exchanges,
    IsClosed,
    TooLarge,
)
from domain.errors import NoAccess, NotFound, PermanentFailure, TransientFailure
from domain.metrics.places import Reached
from domain.samples import SERIES_LIMIT

# Clearly shorter than the heartbeat timeout of those who ask: they hear of a server that hangs.
REQUEST_TIMEOUT = timedelta(seconds=4)
# A server may drip bytes for ever within the per-read timeout; this bounds the whole call.
CALL_TIMEOUT_FACTOR = 2
# How reading an answer fails that is not what was expected: wrong types, names, numbers, depths.
UNREADABLE = (
    *(TypeError, ValueError, AttributeError),
    *(LookupError, ArithmeticError, RecursionError),
)
LIMITS = f"{SERIES_LIMIT:,} series or {LARGEST_ANSWER >> 20} MiB"
MESSAGE_LENGTH = 300
QUERY_LENGTH = 60
_UNTRUSTED = ("CERTIFICATE_VERIFY_FAILED", "certificate verify failed", "Hostname mismatch")
# What urllib3 says before what happened: where to, which we say ourselves.
_POOL = re.compile(r"^\w*Pool\(host=.*?\): ")
_STORE_DOWN = re.compile(r"rpc error: code = (Unavailable|DeadlineExceeded|Canceled|Aborted)\b")

Answer = TypeVar("Answer")


def named() -> dict[str, str]:
    """How our own clients name themselves."""
    return {"User-Agent": f"tidegate-metrics/{own_version()}"}


@dataclass(frozen=True, slots=True)
class Protocol:
    """A kind of source in messages.

    `query_key`: the parameter that says what is asked; `answers`: what an answer is; `wrong`: what
    to look at when it is something else; `refused`: what to correct when it refuses the question.
    """

    system: str
    query_key: str
    answers: str
    wrong: str
    refused: str = "correct the query in the plan"


class SourceConnection:
    """One source by HTTP, asked in a few threads of its own.

    Secrets are read from their files for each request; no message holds one.
    """

    def __init__(
        self,
        protocol: Protocol,
        place: Reached,
        *,
        headers: Mapping[str, str] | None = None,
        secret_headers: Mapping[str, Path] | None = None,
        timeout: timedelta = REQUEST_TIMEOUT,
    ) -> None:
        self._protocol, self.url = protocol, place.url
        self.seconds = timeout.total_seconds()
        self._secrets = _Secrets(place, secret_headers or {})
        self._exchanges = Exchanges()
        self.session = requests.Session()
        self.bind()
        self.session.headers.update({**dict(headers or {}), **place.headers})
        self.session.auth = self._secrets
        if place.ca_file:
            self.session.verify = str(place.ca_file.expanduser())
        if place.client_certificate:
            key = place.client_key or place.client_certificate
            pair = (place.client_certificate, key)
            self.session.cert = (str(pair[0].expanduser()), str(pair[1].expanduser()))
        self.session.hooks["response"].append(self._translate_status)

    def bind(self) -> None:
        """Bound every answer; to be called again when a library put an adapter of its own there."""
        for prefix in ("http://", "https://", self.url):
            self.session.mount(prefix, BoundedAdapter())

    @property
    def said(self) -> str:
        """The source in messages."""
        return f"{self._protocol.system} at {self.url}"

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
        within = self.seconds * CALL_TIMEOUT_FACTOR
        try:
            found: Answer = await self._exchanges.run(function, within)
        except OSError as error:
            raise self._not_answered(asked, error) from error
        except TooLarge as error:
            raise PermanentFailure(
                f"{self.said} answered {_shortened(asked)} with more than the limit of {LIMITS}:"
                " narrow the matchers or drop labels at the scrape"
            ) from error
        except UNREADABLE as error:
            self.wrong_shape(asked, _unread(error))
        return found

    def _not_answered(self, asked: str, error: OSError) -> Exception:
        told = self._told(_cause(error))
        if isinstance(error, SSLError) and any(word in str(error) for word in _UNTRUSTED):
            return NoAccess(
                f"the certificate of {self.said} is not trusted ({told}); name its"
                " authority by ca_file"
            )
        if not isinstance(error, RequestException | TimeoutError):
            # How requests tells that a file of certificates is not there.
            return NoAccess(f"{self.said}: {told}; correct ca_file and client_certificate")
        advice = "look whether it is up and reachable from here"
        if isinstance(error, IsClosed):
            return TransientFailure(f"{self.said} is not asked {_shortened(asked)}: it is closed")
        if isinstance(error, TimeoutError):
            told = f"{self.seconds * CALL_TIMEOUT_FACTOR:g} s passed without its end"
        if "imed out" in told or isinstance(error, TimeoutError):
            advice += f", and whether it answers more than {LIMITS}, the limit"
        return TransientFailure(f"{self.said} did not answer {_shortened(asked)}: {told}; {advice}")

    def wrong_shape(self, asked: str, what: str) -> NoReturn:
        """Refuse an answer that is not what the source's protocol says."""
        raise PermanentFailure(
            f"the answer of {self.said} to {_shortened(asked)} is not {self._protocol.answers}:"
            f" {self._secrets.hidden(what[:MESSAGE_LENGTH])}; {self._protocol.wrong}"
        )

    def wrong_time(self, asked: str, stray: str, of: str, unit: str = "seconds") -> NoReturn:
        """Refuse an answer about another time: it would be data of another age, or of none."""
        raise PermanentFailure(
            f"{self.said} answered {_shortened(asked)} with {stray}, in"
            f" {of[:MESSAGE_LENGTH]}; let it tell times in unix {unit}, by a clock that is right"
        )

    def in_part(self, asked: str, why: object) -> NoReturn:
        """Wait for the rest: nothing is known by an answer of some of those it asks."""
        raise TransientFailure(
            f"{self.said} answered {_shortened(asked)} in part only"
            f" ({self._secrets.hidden(str(why)[:MESSAGE_LENGTH])}), which says nothing of the rest;"
            " look at what it reads from: it is retried"
        )

    async def close(self) -> None:
        """Close the connections, and end what is still asked."""
        self._exchanges.close()
        self.session.close()

    def _translate_status(self, response: requests.Response, **_: object) -> None:
        """Called by requests on every response, before a library turns it into one string."""
        status = response.status_code
        if status < 300:
            return
        if status < 400:
            self._refuse_redirect(response)
        why = self._secrets.hidden(_why(response))
        said = f"{self.said} answered {status} to {self._asked(response)}: {why}"
        if status in {408, 429} or status >= 500 or _a_store_is_down(response):
            wish = retry_after(response.headers) or _reset(response.headers)
            raise TransientFailure(f"{said}; it is retried", wish)
        if status == 404:
            raise NotFound(f"{said}; {self._protocol.wrong}")
        if status in {401, 403}:
            raise NoAccess(f"{said}; check the credentials of this environment")
        refused = self._protocol.refused
        advice = {422: "ask for less: fewer series or a shorter window"}
        if not response.text.lstrip().startswith("{"):
            # As VictoriaMetrics refuses a path that it has not.
            advice[400] = f"{refused}, or the url if it is no {self._protocol.system} API"
        raise PermanentFailure(f"{said}; {advice.get(status, refused)}")

    def _refuse_redirect(self, response: requests.Response) -> NoReturn:
        """Raised before a library follows: credentials would go along, a login page be data."""
        response.close()
        there = self._secrets.hidden(_redirected(response))
        raise NoAccess(
            f"{self.said} redirects to {there} when asked for {self._asked(response)}, and nothing"
            f" is sent there; make the url that of the {self._protocol.system} API itself, and"
            " check the credentials if the other is a login page"
        )

    def _asked(self, response: requests.Response) -> str:
        address = urlsplit(response.url)
        query = parse_qs(address.query).get(self._protocol.query_key)
        return _shortened(query[0] if query else address.path or "/")

    def _told(self, error: BaseException) -> str:
        said = _POOL.sub("", str(error))
        text = f"{type(error).__name__} {said}"[:MESSAGE_LENGTH].strip()
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
    location = response.headers.get("Location")
    if not location:
        return f"nowhere that it names ({response.status_code} without Location)"
    try:
        parts = urlsplit(urljoin(response.url, location))
    except ValueError:
        return location.partition("?")[0][:MESSAGE_LENGTH]
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="", fragment="").geturl()[:MESSAGE_LENGTH]


def _cause(error: OSError) -> BaseException:
    """urllib3 says at length what it did before it says why."""
    told = error.args[0] if error.args else None
    reason = getattr(told, "reason", None)
    return reason if isinstance(reason, BaseException) else error


def _unread(error: BaseException) -> str:
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return "it is not JSON"
    if isinstance(error, RecursionError):
        return "its values are nested too deeply"
    return f"it lacks what is looked for, or has it otherwise ({type(error).__name__} {error})"


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
