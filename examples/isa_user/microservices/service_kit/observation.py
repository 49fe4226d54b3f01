"""The outermost layer of a service: every request gets an id, a span, a metric and a log line."""

from __future__ import annotations

import logging
import time
import uuid
from typing import TYPE_CHECKING

from opentelemetry import propagate, trace
from starlette.datastructures import Headers, MutableHeaders

from microservices.service_kit.metrics import Metrics

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_OPERATIONAL = frozenset({"/health", "/ready", "/metrics"})
_tracer = trace.get_tracer("isa-user")
_log = logging.getLogger("access")


class Observed:
    """Wraps an application; probes and scrapes are answered but not counted as requests."""

    def __init__(self, application: ASGIApp, metrics: Metrics) -> None:
        self._application = application
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI event; an error of a handler has been answered with 500 by then."""
        if scope["type"] != "http" or scope["path"] in _OPERATIONAL:
            await self._application(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = headers.get("x-request-id") or uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        with _tracer.start_as_current_span(
            scope["method"], propagate.extract(headers), trace.SpanKind.SERVER
        ) as span:
            status, seconds = await self._timed(scope, receive, send)
            route = getattr(scope.get("route"), "path", "")
            span.update_name(f"{scope['method']} {route}".rstrip())
            span.set_attribute("http.request.method", scope["method"])
            span.set_attribute("http.route", route)
            span.set_attribute("http.response.status_code", status)
            if status >= 500:
                span.set_status(trace.StatusCode.ERROR)
            self._record(scope, route, status, seconds)

    async def _timed(self, scope: Scope, receive: Receive, send: Send) -> tuple[int, float]:
        status, started = 500, time.perf_counter()

        async def send_noting_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = scope["state"]["request_id"]
            await send(message)

        try:
            await self._application(scope, receive, send_noting_status)
        except Exception:
            # Starlette answers 500 first and raises afterwards; the log line is all that is left.
            _log.exception("request failed", extra={"request_id": scope["state"]["request_id"]})
        return status, time.perf_counter() - started

    def _record(self, scope: Scope, route: str, status: int, seconds: float) -> None:
        self._metrics.observe(scope["method"], route, status, seconds)
        _log.info(
            "request",
            extra={
                "method": scope["method"],
                "path": scope["path"],
                "route": route,
                "status": status,
                "duration_ms": round(seconds * 1000, 2),
                "request_id": scope["state"]["request_id"],
            },
        )
