"""HTTP to image registries: addresses, authentication once asked for, errors in our words."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from clients.http import connection_failures, own_version, status_failure
from clients.registry_auth import DOCKER_HUB, Challenge, Credentials, Login
from domain.errors import PermanentFailure
from domain.images import Reference

_CONNECT_SECONDS = 10.0
_SILENCE_SECONDS = 60.0
_QUOTE_BYTES = 4096
_TOKEN_BYTES = 256 * 1024
_READING = ("GET", "HEAD")


@dataclass(frozen=True)
class Call:
    """One request to the registry that holds `repository`; other answers than `expected` raise."""

    method: str
    repository: Reference
    path: str
    subject: str
    expected: tuple[int, ...] = (200,)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Path | None = None


@dataclass(frozen=True)
class Answer:
    """An expected answer, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: URL


class RegistryConnection:
    """One HTTP session to any number of registries; remembers the authorization per repository."""

    def __init__(
        self, plain_http: Collection[str], credentials: Credentials, timeout: timedelta
    ) -> None:
        self._plain_http = frozenset(plain_http)
        self._credentials = credentials
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None
        self._authorizations: dict[tuple[str, bool], str] = {}

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def exchange(self, call: Call, limit_bytes: int) -> Answer:
        """Send and read the whole answer; longer than `limit_bytes` is a PermanentFailure."""
        async with self.stream(call) as response:
            body = await _read_bounded(response, limit_bytes, call.subject)
            return Answer(response.status, response.headers, body, response.url)

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send and hand over the answer to be read piece by piece while the context is open."""
        with connection_failures(call.subject, self._origin(call.repository)):
            response = await self._send_authorized(call)
            try:
                if response.status not in call.expected:
                    raise await _failure(response, call)
                yield response
            finally:
                response.release()

    def _origin(self, repository: Reference) -> str:
        scheme = "http" if repository.host in self._plain_http else "https"
        host = "registry-1.docker.io" if repository.host == DOCKER_HUB else repository.host
        return f"{scheme}://{host}"

    def _url(self, call: Call) -> URL:
        if call.path.startswith(("http://", "https://")):
            return URL(call.path, encoded=True)
        origin = self._origin(call.repository)
        name = call.repository.path
        if call.repository.host == DOCKER_HUB and "/" not in name:
            name = f"library/{name}"
        return URL(f"{origin}/v2/{name}/{call.path}", encoded=True)

    async def _send_authorized(self, call: Call) -> aiohttp.ClientResponse:
        key = (call.repository.repository, call.method not in _READING)
        response = await self._send(call, self._authorizations.get(key))
        if response.status != 401:
            return response
        challenge = Challenge.parse(response.headers.get("WWW-Authenticate", ""))
        response.release()
        authorization = await self._authorization(call, challenge)
        if authorization is None:
            self._authorizations.pop(key, None)
        else:
            self._authorizations[key] = authorization
        return await self._send(call, authorization)

    async def _send(self, call: Call, authorization: str | None) -> aiohttp.ClientResponse:
        url = self._url(call)
        headers = {"Accept-Encoding": "identity", **call.headers}
        # An upload may be sent to a store elsewhere, which must not see our authorization.
        if authorization and url.origin() == URL(self._origin(call.repository)).origin():
            headers["Authorization"] = authorization
        if isinstance(call.body, Path):
            with call.body.open("rb") as content:
                return await self._http().request(call.method, url, headers=headers, data=content)
        return await self._http().request(call.method, url, headers=headers, data=call.body)

    async def _authorization(self, call: Call, challenge: Challenge) -> str | None:
        login = await self._credentials(call.repository.host)
        if challenge.scheme == "basic":
            return login.basic if login else None
        if challenge.scheme == "bearer":
            return f"Bearer {await self._token(call, challenge, login)}"
        raise PermanentFailure(
            f"{call.subject}: registry {call.repository.host} asks for authentication by "
            f"{challenge.scheme or 'nothing named'}; Basic and Bearer are spoken here"
        )

    async def _token(self, call: Call, challenge: Challenge, login: Login | None) -> str:
        realm = challenge.parameters.get("realm", "")
        subject = f"{call.subject}: token from {realm or 'nowhere'}"
        self._check_realm(realm, call)
        with connection_failures(subject, realm):
            async with await self._ask_token(realm, challenge, login) as response:
                if 300 <= response.status < 400:
                    raise _redirected(response, subject)
                if response.status != 200:
                    raise await _failure(response, call)
                body = await _read_bounded(response, _TOKEN_BYTES, subject)
        try:
            answer = json.loads(body)
            return str(answer.get("token") or answer["access_token"])
        except (ValueError, KeyError, AttributeError) as error:
            raise PermanentFailure(f"{subject}: the answer holds no token") from error

    async def _ask_token(
        self, realm: str, challenge: Challenge, login: Login | None
    ) -> aiohttp.ClientResponse:
        # A form holds the identity token: by a redirect it would be sent to another server.
        if login and login.identity_token:
            form = {
                "grant_type": "refresh_token",
                "refresh_token": login.identity_token,
                "client_id": "tidegate",
                **challenge.token_form,
            }
            return await self._http().post(realm, data=form, allow_redirects=False)
        headers = {"Authorization": login.basic} if login else {}
        return await self._http().get(
            realm, params=challenge.token_query, headers=headers, allow_redirects=False
        )

    def _check_realm(self, realm: str, call: Call) -> None:
        # A password must not travel in the clear unless this registry is configured to do so.
        if realm.startswith("https://"):
            return
        if realm.startswith("http://") and call.repository.host in self._plain_http:
            return
        raise PermanentFailure(
            f"{call.subject}: registry {call.repository.host} sends us to {realm or 'no address'} "
            "for a token; only https is trusted with credentials"
        )

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            # Layers are compressed content: what is read must be what was digested.
            self._session = aiohttp.ClientSession(
                auto_decompress=False,
                headers={"User-Agent": f"tidegate-registry/{own_version()}"},
                timeout=aiohttp.ClientTimeout(
                    total=self._timeout.total_seconds(),
                    sock_connect=_CONNECT_SECONDS,
                    sock_read=_SILENCE_SECONDS,
                ),
            )
        return self._session


def _redirected(response: aiohttp.ClientResponse, subject: str) -> PermanentFailure:
    there = response.headers.get("Location", "nowhere").partition("?")[0]
    return PermanentFailure(
        f"{subject}: it redirects to {there}, and no credentials are sent there; name the token "
        "server that answers itself in the registry's configuration (its realm)"
    )


async def _failure(response: aiohttp.ClientResponse, call: Call) -> Exception:
    body = await response.content.read(_QUOTE_BYTES)
    doing = "read" if call.method in _READING else "write"
    return status_failure(
        response.status,
        call.subject,
        f"log in as somebody who may {doing} {call.repository.repository} "
        f"(docker login {call.repository.host})",
        response.headers,
        _registry_errors(body),
    )


def _registry_errors(body: bytes) -> str:
    """Read `{"errors": [{"code", "message"}]}` of the OCI distribution specification."""
    try:
        errors: list[dict[str, Any]] = json.loads(body)["errors"]
        return "; ".join(f"{error['code']}: {error.get('message', '')}" for error in errors)
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")


async def _read_bounded(response: aiohttp.ClientResponse, limit_bytes: int, subject: str) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_chunked(64 * 1024):
        content += chunk
        if len(content) > limit_bytes:
            raise PermanentFailure(f"{subject}: the answer is larger than {limit_bytes} bytes")
    return bytes(content)
