from __future__ import annotations

import json
import logging
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from microservices.service_kit.application import Service
from microservices.service_kit.logs import JsonFormatter
from microservices.service_kit.tracing import _exporter, configure_tracing

Call = Callable[..., Any]


async def _broken(request: Request) -> Response:
    raise RuntimeError("wires crossed")


async def _item(request: Request) -> Response:
    return Response(b"item")


@pytest.fixture
def service() -> Service:
    routes = [Route("/broken", _broken), Route("/items/{item_id:int}", _item)]
    return Service("kit", routes, is_ready=lambda: True)


def test_requests_are_counted_by_method_route_and_status(
    service: Service, request_of: Call
) -> None:
    for number in (1, 2, 3):
        request_of(service, "GET", f"/items/{number}")
    request_of(service, "GET", "/broken")
    text = request_of(service, "GET", "/metrics").body.decode()
    name = "http_server_request_duration_seconds_count"
    labels = 'http_request_method="GET",http_response_status_code="{}",http_route="{}"'
    assert f"{name}{{{labels.format(200, '/items/{item_id:int}')}}} 3.0" in text
    assert f"{name}{{{labels.format(500, '/broken')}}} 1.0" in text
    assert 'le="0.025"' in text


def test_probes_and_scrapes_are_not_counted(service: Service, request_of: Call) -> None:
    for path in ("/health", "/ready", "/metrics"):
        request_of(service, "GET", path)
    assert "http_server_request_duration_seconds_count" not in (
        request_of(service, "GET", "/metrics").body.decode()
    )


def test_error_of_a_handler_is_a_500_and_a_log_line_with_the_request_id(
    service: Service, request_of: Call, caplog: pytest.LogCaptureFixture
) -> None:
    answer = request_of(service, "GET", "/broken", headers={"x-request-id": "r-1"})
    assert answer.status == 500
    assert answer.json() == {"service": "kit", "error": "internal error", "request_id": "r-1"}
    assert "wires crossed" not in answer.body.decode()
    failed = next(record for record in caplog.records if record.message == "request failed")
    line = json.loads(JsonFormatter("kit").format(failed))
    assert (line["service"], line["level"], line["request_id"]) == ("kit", "error", "r-1")
    assert "wires crossed" in line["exception"]


def test_request_is_one_log_line_of_json_with_its_trace(service: Service, request_of: Call) -> None:
    lines: list[str] = []
    formatter = JsonFormatter("kit")

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(formatter.format(record))

    logger, keeper = logging.getLogger("access"), Keeper()
    logger.addHandler(keeper)
    logger.setLevel(logging.INFO)
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    request_of(service, "GET", "/items/7", headers={"traceparent": traceparent})
    logger.removeHandler(keeper)
    line = json.loads(lines[-1])
    assert (line["route"], line["status"]) == ("/items/{item_id:int}", 200)
    assert line["trace_id"] == "0af7651916cd43dd8448eb211c80319c"


def test_nothing_is_exported_without_an_endpoint() -> None:
    assert configure_tracing("kit", {}) is None


def test_spans_reach_a_collector_as_otlp_json() -> None:
    received: list[Any] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            received.append((self.path, json.loads(self.rfile.read(length))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Collector) as collector:
        thread = Thread(target=collector.handle_request)
        thread.start()
        provider = TracerProvider(resource=Resource.create({"service.name": "kit"}))
        url = f"http://127.0.0.1:{collector.server_port}/v1/traces"
        provider.add_span_processor(SimpleSpanProcessor(_exporter(url)))
        with provider.get_tracer("test").start_as_current_span("GET /items") as span:
            span.set_attribute("http.response.status_code", 200)
        thread.join()
        provider.shutdown()
    path, body = received[0]
    exported = body["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    assert (path, exported["name"], len(exported["traceId"])) == ("/v1/traces", "GET /items", 32)
    assert exported["attributes"][0]["value"] == {"intValue": "200"}


def test_collector_that_is_away_costs_spans_only() -> None:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(_exporter("http://127.0.0.1:1/v1/traces")))
    with provider.get_tracer("test").start_as_current_span("GET /items"):
        """The span ends, the export fails, nobody notices."""
    provider.shutdown()
