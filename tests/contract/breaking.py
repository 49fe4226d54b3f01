"""A front before a server under contract that breaks its answers to one shape of request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from tests.contract.requests import Request, shape_of
from tests.contract.targets import Target
from tests.support.web import any_request, serving

_NOT_PASSED_ON = ("Host", "Content-Length", "Transfer-Encoding", "Connection")
_NOT_PASSED_BACK = (*_NOT_PASSED_ON, "Date", "Server")


@dataclass(frozen=True)
class Reply:
    """One answer on its way back; of a stream, one line of it."""

    status: int
    headers: dict[str, str]
    content: bytes


Change = Callable[[Reply], Reply]


@dataclass(frozen=True)
class Break:
    """A way in which a server could differ: what it does to answers, or what it does not read."""

    name: str
    reply: Change = lambda reply: reply
    unread_query: bool = False
    unread_body: bool = False
    unread_login: bool = False


class Front:
    """Passes everything on; requests of `shape` are answered as the break has it."""

    def __init__(self, target: Target, shape: str, fault: Break) -> None:
        self.reached = asyncio.Event()
        self._target = target
        self._shape = shape
        self._fault = fault
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Target]:
        """Listen on a free port; the target that stands for the one behind."""
        application = any_request(self._answer, largest=1 << 24)
        connector = aiohttp.TCPConnector(ssl=self._target.trust or True)
        async with (
            serving(application, patience=0.1) as address,
            aiohttp.ClientSession(auto_decompress=False, connector=connector) as session,
        ):
            self._session = session
            yield _moved(self._target, f"http://{address}")

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        broken = self._shape_of(request, body) == self._shape
        if broken:
            self.reached.set()
        url = URL(self._target.url + request.raw_path, encoded=True)
        if broken and self._fault.unread_query:
            url = url.with_query(None)
        headers = _kept(request.headers, _NOT_PASSED_ON)
        if broken and self._fault.unread_login:
            headers = {**_kept(headers, ("Authorization",)), **self._target.headers}
        sent = b"" if broken and self._fault.unread_body else body
        assert self._session is not None
        async with self._session.request(
            request.method,
            url,
            headers=headers,
            data=sent or None,
            allow_redirects=False,
        ) as response:
            change = self._fault.reply if broken else _unchanged
            if "watch" in request.query:
                return await _stream(request, response, change)
            return await _whole(response, change)

    def _shape_of(self, request: web.Request, body: bytes) -> str | None:
        content_type = request.content_type if "Content-Type" in request.headers else ""
        agent = request.headers.get("User-Agent", "")
        seen = (request.method, request.path, request.query_string, content_type, body, agent)
        return shape_of(Request(*seen))


def _moved(target: Target, url: str) -> Target:
    others = {name: _moved(other, url) for name, other in target.others.items()}
    return replace(target, url=url, trust=None, others=others)


async def _whole(response: aiohttp.ClientResponse, change: Change) -> web.Response:
    headers = _kept(response.headers, _NOT_PASSED_BACK)
    reply = change(Reply(response.status, headers, await response.read()))
    return web.Response(status=reply.status, headers=reply.headers, body=reply.content)


async def _stream(
    request: web.Request, response: aiohttp.ClientResponse, change: Change
) -> web.StreamResponse:
    headers = _kept(response.headers, _NOT_PASSED_BACK)
    head = change(Reply(response.status, headers, b"{}"))
    answer = web.StreamResponse(status=head.status, headers=head.headers)
    await answer.prepare(request)
    async for line in response.content:
        reply = change(Reply(response.status, headers, line.strip()))
        if reply.content:
            await answer.write(reply.content + b"\n")
    await answer.write_eof()
    return answer


def _unchanged(reply: Reply) -> Reply:
    return reply


def _kept(headers: Any, without: tuple[str, ...]) -> dict[str, str]:
    left_out = {name.lower() for name in without}
    return {name: text for name, text in headers.items() if name.lower() not in left_out}


def another_status(reply: Reply) -> Reply:
    """The next number."""
    return replace(reply, status=reply.status + 1)


def as_status(code: int, reason: str) -> Change:
    """Another status, also where the body says it."""

    def change(reply: Reply) -> Reply:
        said = json.loads(reply.content or b"{}")
        body = json.dumps({**said, "kind": "Status", "code": code, "reason": reason})
        return replace(reply, status=code, content=body.encode())

    return change


def without_header(name: str) -> Change:
    """A header left out."""
    return lambda reply: replace(reply, headers=_kept(reply.headers, (name,)))


def with_header(name: str, text: str) -> Change:
    """A header with another value."""

    def change(reply: Reply) -> Reply:
        return replace(reply, headers={**_kept(reply.headers, (name,)), name: text})

    return change


def with_field(path: str, value: Any) -> Change:
    """A field of a JSON body with another value, where the body has it."""

    def edit(holder: dict[str, Any], key: str) -> None:
        holder[key] = value

    return _edited(path, edit)


def without_field(path: str) -> Change:
    """A field of a JSON body left out."""
    return _edited(path, lambda holder, key: holder.pop(key))


def saying(old: str, new: str) -> Change:
    """A text of the body replaced by another."""

    def change(reply: Reply) -> Reply:
        return replace(reply, content=reply.content.replace(old.encode(), new.encode()))

    return change


def other_content(reply: Reply) -> Reply:
    """One byte of the body changed."""
    return replace(reply, content=b"?" + reply.content[1:] if reply.content else b"")


def _edited(path: str, edit: Callable[[dict[str, Any], str], Any]) -> Change:
    *way, last = path.split(".")

    def change(reply: Reply) -> Reply:
        try:
            body = json.loads(reply.content)
        except ValueError:
            return reply
        holder = body
        for key in way:
            holder = holder.get(key) if isinstance(holder, dict) else None
        if isinstance(holder, dict) and last in holder:
            edit(holder, last)
        return replace(reply, content=json.dumps(body).encode())

    return change
