"""Pods whose counters a test moves, exposed by HTTP to whatever scrapes; each scrape is real."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from domain.metrics.templates import OTEL_HTTP
from tests.cluster.ports import HOST

NAMESPACE = "shop"
RESTARTS = "kube_pod_container_status_restarts_total"
# Counts seconds: its value says when a scrape was answered.
CLOCK = "exposed_seconds_total"
EDGES = ("0.25", "1", "+Inf")
_TARGETS, _STATE = "/targets", "kube-state-metrics"
_JSON, _TEXT = "application/json", "text/plain; version=0.0.4"


@dataclass
class Pod:
    """What one pod counts: requests by status code, of each those up to each edge."""

    counted: dict[str, list[int]] = field(default_factory=dict)
    restarts: int = 0
    answers: bool = True
    there: bool = True

    def count(self, fast: int = 0, middling: int = 0, slow: int = 0, code: str = "200") -> None:
        """Requests under 0.25 s, under 1 s, and slower."""
        up_to = self.counted.setdefault(code, [0] * len(EDGES))
        for at, more in enumerate((fast, fast + middling, fast + middling + slow)):
            up_to[at] += more


class Exposition:
    """Serves the pods, their restarts as kube-state-metrics tells them, and who is there."""

    def __init__(self, pods: Mapping[str, Pod]) -> None:
        self.pods = pods
        self.moving = threading.Lock()
        exposed = self

        class Handler(BaseHTTPRequestHandler):
            """Answers one scrape."""

            def do_GET(self) -> None:
                """A pod by its path, its restarts, or the targets."""
                kind, text = exposed.answer(self.path)
                self.send_response(200 if text is not None else 503)
                body = (text or "").encode()
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Scrapes are no news."""

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Exposition:
        self._thread.start()
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{HOST}:{self._server.server_address[1]}"

    def answer(self, path: str) -> tuple[str, str | None]:
        """Content type and text; None: a scrape that fails."""
        with self.moving:
            if path == _TARGETS:
                return _JSON, json.dumps(self._targets())
            name = path.strip("/")
            if name == _STATE:
                return _TEXT, "".join(self._restarts())
            pod = self.pods[name]
            return _TEXT, "".join(_lines(pod)) if pod.answers and pod.there else None

    def _targets(self) -> list[object]:
        there = [name for name, pod in self.pods.items() if pod.there]
        named = {name: {"namespace": NAMESPACE, "pod": name, "job": "album"} for name in there}
        named[_STATE] = {"job": _STATE}
        return [
            {"targets": [self.address], "labels": {**labels, "__metrics_path__": f"/{name}"}}
            for name, labels in named.items()
        ]

    def _restarts(self) -> list[str]:
        return [
            f'{RESTARTS}{{namespace="{NAMESPACE}",pod="{name}",container="album"}} {pod.restarts}\n'
            for name, pod in self.pods.items()
            if pod.there
        ]


def scrape_settings(exposition: Exposition, interval: float, **external: str) -> dict[str, object]:
    """What Prometheus and those who read its settings scrape, the targets asked of us."""
    every = f"{round(interval * 1000)}ms"
    job = {
        "job_name": "pods",
        "honor_labels": True,
        "http_sd_configs": [
            {"url": f"http://{exposition.address}{_TARGETS}", "refresh_interval": "1s"}
        ],
    }
    return {
        "global": {
            "scrape_interval": every,
            "scrape_timeout": every,
            **({"external_labels": external} if external else {}),
        },
        "scrape_configs": [job],
    }


def _lines(pod: Pod) -> list[str]:
    metric = OTEL_HTTP.latency
    lines = [f"# TYPE {metric} histogram\n"] if pod.counted else []
    for code, up_to in pod.counted.items():
        labels = (
            'http_request_method="GET",http_route="/api/v1/albums",'
            f'http_response_status_code="{code}"'
        )
        lines += [
            f'{metric}_bucket{{{labels},le="{edge}"}} {count}\n'
            for edge, count in zip(EDGES, up_to, strict=True)
        ]
        lines += [f"{metric}_sum{{{labels}}} 1.5\n", f"{metric}_count{{{labels}}} {up_to[-1]}\n"]
    return [*lines, f"# TYPE {CLOCK} counter\n", f"{CLOCK} {time.time():.3f}\n"]
