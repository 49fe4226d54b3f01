"""The common conventions by name: most services write no query.

Sources: OpenTelemetry semantic conventions (HTTP: stable; RPC: the release candidate's names, as in
1.39 and 1.40; and the versions before them) in their Prometheus form; Istio's standard metrics;
Envoy's cluster statistics; Traefik's and ingress-nginx' documentation;
prometheus-fastapi-instrumentator's defaults.
"""

from __future__ import annotations

from domain.metrics.measure import ArmLabel, Measure

# Probes and scrapes follow the number of pods, not the weight: they would bias the share.
PROBE_ROUTES = ("/health", "/healthz", "/ready", "/readyz", "/livez", "/metrics")
# Of gRPC, what OpenTelemetry calls an error of the server; the others are the caller's.
_GRPC_FAULTS = {
    "UNKNOWN": "2",
    "DEADLINE_EXCEEDED": "4",
    "UNIMPLEMENTED": "12",
    "INTERNAL": "13",
    "UNAVAILABLE": "14",
    "DATA_LOSS": "15",
}
_FAULT_NAMES, _FAULT_CODES = tuple(_GRPC_FAULTS), tuple(_GRPC_FAULTS.values())
_GRPC_HEALTH = ("grpc.health.v1.Health", "grpc.health.v1.Health/*")

OTEL_HTTP = Measure(
    name="otel-http",
    latency="http_server_request_duration_seconds",
    # No response at all: OpenTelemetry then sets error_type and no status code.
    bad=(
        {"http_response_status_code": ("5*",)},
        {"http_response_status_code": ("",), "error_type": ("*",)},
    ),
    probes={"http_route": PROBE_ROUTES},
)
# Instrumentations from before HTTP was stable (semantic conventions 1.20 and older).
OTEL_HTTP_OLD = Measure(
    name="otel-http-1.20",
    latency="http_server_duration_milliseconds",
    unit="ms",
    bad=({"http_status_code": ("5*",)},),
    probes={"http_route": PROBE_ROUTES, "http_target": PROBE_ROUTES},
)
# The names of semantic conventions 1.39 and 1.40, a release candidate of RPC, and of the stable
# ones, which call the status `rpc.status_code`.
OTEL_RPC = Measure(
    name="otel-rpc",
    latency="rpc_server_call_duration_seconds",
    bad=(
        {"rpc_response_status_code": _FAULT_NAMES},
        {"rpc_status_code": _FAULT_NAMES},
        {"rpc_response_status_code": ("",), "rpc_status_code": ("",), "error_type": ("*",)},
    ),
    probes={"rpc_method": _GRPC_HEALTH},
)
# Instrumentations from before that candidate (semantic conventions 1.37 and older).
OTEL_RPC_OLD = Measure(
    name="otel-rpc-1.37",
    latency="rpc_server_duration_milliseconds",
    unit="ms",
    bad=({"rpc_grpc_status_code": _FAULT_CODES},),
    probes={"rpc_service": _GRPC_HEALTH},
)
ISTIO = Measure(
    name="istio",
    requests="istio_requests_total",
    latency="istio_request_duration_milliseconds",
    unit="ms",
    # 0: the connection ended before any response, often by a client that hung up.
    bad=({"response_code": ("5*", "0")}, {"grpc_response_status": _FAULT_CODES}),
    # What the pod's own sidecar saw coming in; its callers' sidecars tell the same again.
    where={"reporter": "destination"},
)
# Classes of HTTP alone: a gRPC failure is answered with HTTP 200, and is not seen.
# A sidecar: whatever it sends to other clusters is not the service's own.
ENVOY = Measure(
    name="envoy",
    requests="envoy_cluster_upstream_rq_xx",
    latency="envoy_cluster_upstream_rq_time",
    unit="ms",
    bad=({"envoy_response_code_class": ("5",)},),
    where={"envoy_cluster_name": "local_service"},
)
# Envoy as a gateway (Contour): clusters are named namespace_service_port.
ENVOY_GATEWAY = ENVOY.with_(
    name="envoy-gateway",
    where={},
    arm=ArmLabel(label="envoy_cluster_name", pattern="{namespace}[_/]{arm}[_/][0-9a-zA-Z_/-]+"),
)
TRAEFIK = Measure(
    name="traefik",
    requests="traefik_service_requests_total",
    latency="traefik_service_request_duration_seconds",
    # Of gRPC, `code` is its own status; a websocket that ended well may have 0.
    bad=(
        {"protocol": ("http", "sse", "websocket", ""), "code": ("5*",)},
        {"protocol": ("grpc", "grpc-web"), "code": _FAULT_CODES},
    ),
    arm=ArmLabel(
        label="service", pattern="{namespace}-(svc-)?{arm}-[0-9a-zA-Z-]+@kubernetes[a-z]*"
    ),
)
NGINX = Measure(
    name="nginx",
    requests="nginx_ingress_controller_requests",
    latency="nginx_ingress_controller_request_duration_seconds",
    bad=({"status": ("5*",)},),
    arm=ArmLabel(label="exported_service", namespace="exported_namespace"),
)
FASTAPI = Measure(
    name="fastapi",
    requests="http_requests_total",
    latency="http_request_duration_seconds",
    bad=({"status": ("5*",)},),
    probes={"handler": PROBE_ROUTES},
)
# A message is counted once: as processed, or as failed.
MESSAGES = Measure(
    name="messages", requests="messages_processed_total", failures="messages_failed_total"
)

TEMPLATES: dict[str, Measure] = {
    measure.name: measure
    for measure in (
        OTEL_HTTP,
        OTEL_HTTP_OLD,
        OTEL_RPC,
        OTEL_RPC_OLD,
        ISTIO,
        ENVOY,
        ENVOY_GATEWAY,
        TRAEFIK,
        NGINX,
        FASTAPI,
        MESSAGES,
    )
}
