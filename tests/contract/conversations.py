"""A conversation with one server: every answer becomes a step that can be compared."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import aiohttp
from yarl import URL

from tests.contract.requests import Request, shape_of
from tests.contract.targets import Masks, Target

PATIENCE_SECONDS = 20.0
POLL_SECONDS = 0.01
# Not ours: of what is sent in this name no answer is compared.
_PREPARING = "preparation"
_OBEYED = "Retry-After"
_UNREADABLE = (KeyError, TypeError, IndexError, AttributeError)
Step = dict[str, Any]
View = Callable[[Any], Any]


@dataclass(frozen=True)
class Question:
    """One request; `body` is sent as it is when bytes, else as JSON."""

    method: str
    path: str
    query: str = ""
    body: Any = None
    content_type: str = "application/json"
    accept: str = "application/json"

    @property
    def content(self) -> bytes | None:
        """What goes over the wire."""
        if self.body is None or isinstance(self.body, bytes):
            return self.body
        return json.dumps(self.body).encode()

    @property
    def url(self) -> URL:
        """Path and query, already escaped."""
        return URL(f"{self.path}{'?' if self.query else ''}{self.query}", encoded=True)


@dataclass(frozen=True)
class Answer:
    """What came back, read whole."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def body(self) -> Any:
        """JSON where it is that, else the text."""
        try:
            return json.loads(self.content)
        except ValueError:
            return self.content.decode(errors="replace")


class Conversation:
    """Sends requests to one target; `steps` are the answers as they are compared."""

    def __init__(self, target: Target, session: aiohttp.ClientSession, masks: Masks) -> None:
        self.steps: list[Step] = []
        self.names: dict[str, str] = {}
        self.target = target
        self._session = session
        self.masks = masks

    async def ask(self, question: Question) -> Answer:
        """Send without making a step of it: preparation, and waiting for a state.

        It is sent as somebody else's request, so that a break of ours leaves it alone.
        """
        return await self._answer(question, {"User-Agent": _PREPARING})

    async def step(self, what: str, question: Question, view: View = lambda body: body) -> Answer:
        """Send and add the answer as a step; `view` keeps of the body what is compared.

        A body without what the view looks for is compared as that.
        """
        answer = await self._answer(question, {})
        try:
            body = view(answer.body)
        except _UNREADABLE as error:
            body = f"(not what is read here: {error!r})"
        self.add(what, question, answer, body)
        return answer

    def add(self, what: str, question: Question, answer: Answer, body: Any) -> None:
        """Add a step for an answer that was read by the caller."""
        shown = {
            name: self._text(answer.headers[name])
            for name in (*self.masks.headers, _OBEYED)
            if name in answer.headers
        }
        self.steps.append(
            {
                "step": what,
                "shape": self._shape(question),
                "status": answer.status,
                "headers": shown,
                "body": self._masked(body),
            }
        )

    async def until(self, question: Question, holds: Callable[[Answer], bool]) -> Answer:
        """Ask until the answer is as wanted; AssertionError with the last one when it never is."""
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while True:
            answer = await self.ask(question)
            if holds(answer):
                return answer
            late = asyncio.get_running_loop().time() > deadline
            assert not late, f"{question.path} stays {answer.status}: {answer.body}"
            await asyncio.sleep(POLL_SECONDS)

    async def until_reached(
        self,
        question: Callable[[], Question],
        holds: Callable[[Answer], bool],
        alive: Callable[[], None],
    ) -> Answer:
        """Ask a server that is starting; `alive` raises when its program has ended."""
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while asyncio.get_running_loop().time() < deadline:
            alive()
            with contextlib.suppress(aiohttp.ClientConnectionError):
                if holds(answer := await self.ask(question())):
                    return answer
            await asyncio.sleep(POLL_SECONDS)
        raise TimeoutError(f"{self.target.url} is not ready in time")

    async def _answer(self, question: Question, headers: Mapping[str, str]) -> Answer:
        async with self.open(question, headers) as response:
            return Answer(response.status, response.headers, await response.read())

    @asynccontextmanager
    async def open(
        self, question: Question, other: Mapping[str, str] = MappingProxyType({})
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send, with `other` headers besides, and hand over the answer to be read meanwhile."""
        headers = {"Accept": question.accept, **other}
        if question.body is not None:
            headers["Content-Type"] = question.content_type
        async with self._session.request(
            question.method,
            URL(self.target.url).join(question.url),
            data=question.content,
            headers=headers,
            allow_redirects=False,
        ) as response:
            yield response

    def _shape(self, question: Question) -> str | None:
        sent = Request(
            question.method,
            question.url.path,
            question.url.raw_query_string,
            question.content_type if question.body is not None else "",
            question.content or b"",
            self.target.headers["User-Agent"],
        )
        return shape_of(sent)

    def _masked(self, value: Any, key: str = "") -> Any:
        if key in self.masks.values:
            return f"<{self.masks.values[key]}>"
        if isinstance(value, dict):
            return {
                self._text(name): self._masked(inner, name)
                for name, inner in value.items()
                if name not in self.masks.dropped
            }
        if isinstance(value, list):
            shown = [self._masked(inner) for inner in value]
            if key not in self.masks.distinct:
                return shown
            return [one for at, one in enumerate(shown) if one not in shown[:at]]
        return self._text(value) if isinstance(value, str) else value

    def _text(self, text: str) -> str:
        for name, shown in self.names.items():
            text = text.replace(name, shown)
        for pattern, shown in self.masks.texts:
            text = re.sub(pattern, shown, text)
        return text


@asynccontextmanager
async def of_another(talk: Conversation, name: str) -> AsyncIterator[Conversation]:
    """The same conversation gone on with by another of the target's people."""
    async with conversation(talk.target.others[name], talk.masks) as other:
        other.names, other.steps = talk.names, talk.steps
        yield other


@asynccontextmanager
async def conversation(target: Target, masks: Masks) -> AsyncIterator[Conversation]:
    """A conversation with its own connections."""
    connector = aiohttp.TCPConnector(ssl=target.trust) if target.trust else None
    timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
    headers = {"Accept-Encoding": "identity", **target.headers}
    async with aiohttp.ClientSession(
        connector=connector, headers=headers, auto_decompress=False, timeout=timeout
    ) as session:
        yield Conversation(target, session, masks)
