"""OpenTelemetry: spans through the API; the SDK exports only when an endpoint is configured.

The exporter speaks OTLP over HTTP in its JSON encoding, so that the image needs no protobuf.
"""

from __future__ import annotations

import json
import logging
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

_TIMEOUT_SECONDS = 5
_log = logging.getLogger(__name__)


def configure_tracing(service: str, environment: Mapping[str, str]) -> TracerProvider | None:
    """Install an exporting tracer provider when OTEL_EXPORTER_OTLP_ENDPOINT is set.

    Sampling follows OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG, which the SDK reads itself.
    """
    endpoint = environment.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if not endpoint:
        return None
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(
        resource=Resource.create({"service.name": service, "service.namespace": "isa-user"})
    )
    provider.add_span_processor(BatchSpanProcessor(_exporter(f"{endpoint.rstrip('/')}/v1/traces")))
    trace.set_tracer_provider(provider)
    return provider


def _exporter(url: str) -> Any:
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    class OtlpJsonExporter(SpanExporter):
        """Posts batches of spans; a collector that is away costs spans, never requests."""

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            body = json.dumps({"resourceSpans": [_resource_span(span) for span in spans]})
            request = urllib.request.Request(  # noqa: S310 - the operator's own http(s) endpoint
                url, body.encode(), {"Content-Type": "application/json"}
            )
            try:
                with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS):  # noqa: S310
                    return SpanExportResult.SUCCESS
            except (urllib.error.URLError, OSError) as error:
                _log.warning("spans not exported", extra={"endpoint": url, "error": str(error)})
                return SpanExportResult.FAILURE

    return OtlpJsonExporter()


def _resource_span(span: ReadableSpan) -> dict[str, Any]:
    context = span.get_span_context() or trace.INVALID_SPAN_CONTEXT
    encoded = {
        "traceId": trace.format_trace_id(context.trace_id),
        "spanId": trace.format_span_id(context.span_id),
        "name": span.name,
        "kind": span.kind.value + 1,
        "startTimeUnixNano": str(span.start_time),
        "endTimeUnixNano": str(span.end_time),
        "attributes": _attributes(span.attributes or {}),
        "status": {"code": span.status.status_code.value},
    }
    if span.parent is not None:
        encoded["parentSpanId"] = trace.format_span_id(span.parent.span_id)
    return {
        "resource": {"attributes": _attributes(span.resource.attributes)},
        "scopeSpans": [{"scope": {"name": __name__}, "spans": [encoded]}],
    }


def _attributes(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "key": key,
            "value": {"intValue": str(value)}
            if isinstance(value, int)
            else {"stringValue": str(value)},
        }
        for key, value in attributes.items()
    ]
