"""The record a server keeps of what it was asked: the judge of side effects in tests."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import asdict, dataclass

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

KEPT_REQUESTS = 20_000


@dataclass(frozen=True)
class Request:
    """One request as the server saw it; `time` in seconds since 1970."""

    time: float
    method: str
    path: str
    query: str
    status: int
    agent: str


class RequestLog:
    """The newest requests of one server, oldest first, bounded in number."""

    def __init__(self) -> None:
        self._requests: deque[Request] = deque(maxlen=KEPT_REQUESTS)

    def __len__(self) -> int:
        return len(self._requests)

    def count(self, method: str, path_part: str = "", below: int = 400) -> int:
        """Requests by `method` whose path has `path_part` and whose status is under `below`."""
        return sum(
            one.method == method and path_part in one.path and one.status < below
            for one in self._requests
        )

    def by_method(self) -> dict[str, int]:
        """How many requests of each HTTP method are kept."""
        return dict(Counter(one.method for one in self._requests))

    def middleware(self) -> Middleware:
        """The aiohttp middleware that records; put it outermost, so that refusals are seen too."""

        @web.middleware
        async def record(request: web.Request, handler: Handler) -> web.StreamResponse:
            status = 500
            try:
                response = await handler(request)
                status = response.status
            except web.HTTPException as answer:
                status = answer.status
                raise
            finally:
                if not request.path.startswith("/sandbox/"):
                    self._add(request, status)
            return response

        return record

    def _add(self, request: web.Request, status: int) -> None:
        self._requests.append(
            Request(
                time=time.time(),
                method=request.method,
                path=request.path,
                query=request.query_string,
                status=status,
                agent=request.headers.get("User-Agent", ""),
            )
        )

    async def answer(self, _request: web.Request) -> web.Response:
        """`GET /sandbox/requests`: all that is kept, as JSON records."""
        return web.json_response({"requests": [asdict(one) for one in self._requests]})
