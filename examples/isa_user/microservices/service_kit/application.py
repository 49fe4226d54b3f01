"""Builds a service's ASGI application around its own routes; called by each service's `app.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from microservices.service_kit.metrics import Metrics
from microservices.service_kit.observation import Observed


class Service:
    """An observed ASGI application that can be told to drain before it stops."""

    def __init__(
        self, name: str, routes: Sequence[BaseRoute], is_ready: Callable[[], bool]
    ) -> None:
        self.name = name
        self.is_draining = False
        self._is_ready = is_ready
        self._metrics = Metrics()
        application = Starlette(
            routes=[
                Route("/health", self._health),
                Route("/ready", self._ready),
                Route("/metrics", self._exposition),
                *routes,
            ],
            exception_handlers={HTTPException: _refused, Exception: _failed},
        )
        application.state.service = name
        self._observed = Observed(application, self._metrics)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one ASGI event."""
        await self._observed(scope, receive, send)

    async def _health(self, request: Request) -> Response:
        return JSONResponse({"status": "healthy", "service": self.name})

    async def _ready(self, request: Request) -> Response:
        if self.is_draining or not self._is_ready():
            status = "draining" if self.is_draining else "starting"
            return answer(request, {"status": status}, HTTPStatus.SERVICE_UNAVAILABLE)
        return answer(request, {"status": "ready"})

    async def _exposition(self, request: Request) -> Response:
        return Response(self._metrics.exposition(), media_type=self._metrics.content_type)


def answer(request: Request, body: dict[str, Any], status: int = HTTPStatus.OK) -> JSONResponse:
    """Return a JSON answer that says which service gave it."""
    return JSONResponse({"service": request.app.state.service, **body}, int(status))


async def read_object(request: Request) -> dict[str, Any]:
    """Return the JSON object of a request's body; anything else is answered with 400."""
    try:
        body = await request.json()
    except ValueError:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "the body is not JSON") from None
    if not isinstance(body, dict):
        raise HTTPException(HTTPStatus.BAD_REQUEST, "the body is not a JSON object")
    return body


def text_field(body: dict[str, Any], name: str) -> str:
    """Return a field that must be a text of 1 to 200 characters; else 422."""
    value = body.get(name)
    if not isinstance(value, str) or not 0 < len(value.strip()) <= 200:
        raise HTTPException(
            HTTPStatus.UNPROCESSABLE_ENTITY, f'"{name}" must be a text of 1 to 200 characters'
        )
    return value.strip()


def page_number(request: Request) -> int:
    """Return the query's `page`, counted from 1; else 422."""
    text = request.query_params.get("page", "1")
    if not text.isdecimal() or int(text) < 1:
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, '"page" must be a number from 1 on')
    return int(text)


async def _refused(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, HTTPException)
    return answer(request, {"error": refusal.detail}, refusal.status_code)


async def _failed(request: Request, failure: Exception) -> Response:
    request_id = request.state.request_id
    body = {"error": "internal error", "request_id": request_id}
    return answer(request, body, HTTPStatus.INTERNAL_SERVER_ERROR)
