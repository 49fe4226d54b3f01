"""A registry for tests: the sandbox's over HTTP, and a front before it that can misbehave."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from aiohttp import web
from yarl import URL

from sandbox.registry import Registry as SandboxRegistry
from tests.support.web import any_request, serving

Rule = Callable[[web.Request], Awaitable[web.StreamResponse | None]]
_PASSED_ON = ("Accept", "Content-Type", "Range")
_NOT_PASSED_BACK = ("Content-Length", "Transfer-Encoding", "Date", "Server", "Connection")


@asynccontextmanager
async def running_registry(directory: Path) -> AsyncIterator[SandboxRegistry]:
    """The sandbox's registry on a free port while the context is open."""
    registry = SandboxRegistry(directory)
    await registry.start()
    try:
        yield registry
    finally:
        await registry.close()


class Front:
    """A reverse proxy before a registry: a rule may answer in its place, headers may be hidden."""

    def __init__(self, upstream: str) -> None:
        self.rule: Rule | None = None
        self.hidden_headers: frozenset[str] = frozenset()
        self.address = ""
        self.seen: list[tuple[str, str, str | None]] = []
        self._upstream = upstream

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Front]:
        async with serving(any_request(self._answer, largest=1 << 30)) as address:
            self.address = address
            yield self

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append((request.method, request.path, request.headers.get("Authorization")))
        if self.rule is not None and (answer := await self.rule(request)) is not None:
            return answer
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        url = f"{self._upstream}{request.raw_path}"
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(
                request.method,
                URL(url, encoded=True),
                headers=headers,
                data=await request.read(),
                allow_redirects=False,
            ) as response,
        ):
            hidden = (*_NOT_PASSED_BACK, *self.hidden_headers)
            kept = {name: text for name, text in response.headers.items() if name not in hidden}
            return web.Response(status=response.status, headers=kept, body=await response.read())


def basic_required(user: str, password: str) -> Rule:
    """Only who shows user and password by the Basic scheme passes."""
    wanted = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    async def rule(request: web.Request) -> web.StreamResponse | None:
        if request.headers.get("Authorization") == wanted:
            return None
        headers = {"WWW-Authenticate": 'Basic realm="sandbox"'}
        return web.json_response({"errors": []}, status=401, headers=headers)

    return rule


def answering(status: int, *, where: str = "", text: str = "", **headers: str) -> Rule:
    """Answer `status` to every request whose path contains `where`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def rule(request: web.Request) -> web.StreamResponse | None:
        if where not in request.path:
            return None
        return web.Response(status=status, text=text, headers=named)

    return rule


def breaking_off(where: str) -> Rule:
    """Begin an answer to every request whose path contains `where`, then hang up."""

    async def rule(request: web.Request) -> web.StreamResponse | None:
        if where not in request.path:
            return None
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"only the beginning")
        if request.transport is not None:
            request.transport.close()
        return response

    return rule
