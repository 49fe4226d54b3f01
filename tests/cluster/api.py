"""A cluster's API over plain HTTPS, as somebody with a client certificate: no client library.

What our clients believe of the API is tested against this, so it shares nothing with them.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from domain.errors import TransientFailure
from tests.cluster.certificates import KeyPair

APPLY = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
_POLL_SECONDS = 0.03


@dataclass(frozen=True)
class Answer:
    """Status, headers, and the JSON body (None when it is none)."""

    status: int
    headers: Mapping[str, str]
    body: Any

    def ok(self) -> Any:
        """The body of a successful answer; AssertionError with what the server said."""
        assert self.status // 100 == 2, f"{self.status}: {self.body}"
        return self.body


class Api:
    """Requests to one API server as one user."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def get(self, path: str, **query: str) -> Answer:
        return await self.ask("GET", path, query=query)

    async def post(self, path: str, body: object) -> Answer:
        return await self.ask("POST", path, body)

    async def delete(self, path: str) -> Answer:
        return await self.ask("DELETE", path)

    async def patch(self, path: str, body: object, kind: str = JSON_PATCH) -> Answer:
        """A JSON patch, or another kind of patch by its media type."""
        return await self.ask("PATCH", path, body, kind=kind)

    async def apply(self, path: str, body: object, owner: str = "test-bed") -> Answer:
        """Server-side apply, taking fields from other owners."""
        query = {"fieldManager": owner, "force": "true"}
        return await self.ask("PATCH", path, body, kind=APPLY, query=query)

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        kind: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send and read the whole answer; aiohttp.ClientError when none comes."""
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": kind} if data else {}
        async with self._session.request(
            method, path, params=query, data=data, headers=headers
        ) as response:
            text = await response.text()
            is_json = response.content_type == "application/json"
            return Answer(response.status, response.headers, json.loads(text) if is_json else text)


@asynccontextmanager
async def connected(
    server: str, authority: Path, pair: KeyPair | None, agent: str = "test-bed"
) -> AsyncIterator[Api]:
    """A session to an API server, as the certificate says (None: as nobody)."""
    context = ssl.create_default_context(cafile=str(authority))
    if pair:
        context.load_cert_chain(pair.certificate, pair.key)
    async with aiohttp.ClientSession(
        f"{server}/",
        connector=aiohttp.TCPConnector(ssl=context),
        headers={"User-Agent": agent},
        timeout=aiohttp.ClientTimeout(total=30),
    ) as session:
        yield Api(session)


async def until(holds: Callable[[], Awaitable[bool]], what: str, seconds: float = 30) -> None:
    """Wait until the cluster says so; TransientFailure naming `what` when it never does.

    A server that does not answer yet counts as "not yet".
    """
    deadline = asyncio.get_running_loop().time() + seconds
    while not await _answered(holds):
        if asyncio.get_running_loop().time() > deadline:
            raise TransientFailure(f"not within {seconds:g} s: {what}")
        await asyncio.sleep(_POLL_SECONDS)


async def _answered(holds: Callable[[], Awaitable[bool]]) -> bool:
    try:
        return await holds()
    except aiohttp.ClientConnectionError:
        return False
