"""Real servers that answer as Prometheus does, each asked for the same scraped pods.

Prometheus scrapes; Thanos reads it through its sidecar; Mimir and VictoriaMetrics are written to
by it. VictoriaMetrics scrapes as well: by itself, at times of its own.
"""

from __future__ import annotations

import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import yaml

from domain.metrics.places import PrometheusPlace
from tests.cluster import ports
from tests.cluster.processes import Processes
from tests.cluster.programs import built, program

PATIENCE_SECONDS = 30.0
POLL_SECONDS = 0.05
TENANT = "team-a"
# What a user has to set (docs/metrics.md): a sample has the time at which its scrape began, and is
# there when that was answered; what is written or flushed comes later still.
SCRAPED_LAG, WRITTEN_LAG = timedelta(seconds=1), timedelta(seconds=5)
# Told apart by it in one VictoriaMetrics: what was written to it, and what it scraped itself.
WRITER = "prometheus"
# Of two Prometheus that scrape the same pods, Thanos then answers as of one.
JOINED = "--query.replica-label=replica"
PROGRAMS = {
    "prometheus": "prometheus",
    "victoriametrics": "victoria-metrics",
    "victoriametrics-written": "victoria-metrics",
    "thanos": "thanos",
    "mimir": "mimir",
}


@dataclass(frozen=True)
class Servers:
    """The places of those that run; what is not built is not among them."""

    places: Mapping[str, PrometheusPlace]


def start(processes: Processes, scraped: Mapping[str, object]) -> Servers:
    """Start every server that is built and wait until each answers queries."""
    started = {name: built(name) is not None for name in set(PROGRAMS.values())}
    numbers = dict(zip(started, ports.free(len(started)), strict=True))
    urls = {name: f"http://{ports.HOST}:{numbers[name]}" for name in started}
    places: dict[str, PrometheusPlace] = {}
    written: list[dict[str, object]] = []
    if started["victoria-metrics"]:
        _victoriametrics(processes, numbers["victoria-metrics"], scraped)
        places |= _victoriametrics_places(urls["victoria-metrics"])
        written.append({"url": f"{urls['victoria-metrics']}/api/v1/write"})
    if started["mimir"]:
        _mimir(processes, numbers["mimir"])
        places["mimir"] = PrometheusPlace(
            url=f"{urls['mimir']}/prometheus", tenant=TENANT, lag=WRITTEN_LAG
        )
        tenant = {"X-Scope-OrgID": TENANT}
        written.append({"url": f"{urls['mimir']}/api/v1/push", "headers": tenant})
    prometheus(processes, numbers["prometheus"], _writing(scraped, written))
    places["prometheus"] = PrometheusPlace(url=urls["prometheus"], lag=SCRAPED_LAG)
    if started["thanos"]:
        endpoint = sidecar(processes, urls["prometheus"], "0")
        querier(processes, numbers["thanos"], [endpoint], JOINED)
        places["thanos"] = PrometheusPlace(url=urls["thanos"], lag=SCRAPED_LAG)
    return Servers(places)


def prometheus(processes: Processes, port: int, settings: Mapping[str, object]) -> None:
    """A real Prometheus with these settings."""
    folder = processes.folder / f"prometheus-{port}"
    folder.mkdir()
    file = folder / "prometheus.yaml"
    file.write_text(yaml.safe_dump(dict(settings)))
    processes.start(
        f"prometheus-{port}",
        [
            program("prometheus"),
            f"--config.file={file}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={ports.HOST}:{port}",
            "--storage.tsdb.min-block-duration=2h",
            "--storage.tsdb.max-block-duration=2h",
            "--log.level=error",
        ],
    )
    ready(processes, f"http://{ports.HOST}:{port}/-/ready")


def sidecar(processes: Processes, url: str, name: str) -> str:
    """A Thanos sidecar beside a Prometheus; where its gRPC is."""
    grpc, http = ports.free(2)
    processes.start(
        f"thanos-sidecar-{name}",
        [
            program("thanos"),
            "sidecar",
            f"--prometheus.url={url}",
            f"--tsdb.path={processes.folder}",
            f"--grpc-address={ports.HOST}:{grpc}",
            f"--http-address={ports.HOST}:{http}",
            "--log.level=error",
        ],
    )
    ready(processes, f"http://{ports.HOST}:{http}/-/ready")
    return f"{ports.HOST}:{grpc}"


def querier(processes: Processes, port: int, endpoints: list[str], *flags: str) -> None:
    """A Thanos querier."""
    (grpc,) = ports.free(1)
    processes.start(
        f"thanos-query-{port}",
        [
            program("thanos"),
            "query",
            f"--http-address={ports.HOST}:{port}",
            f"--grpc-address={ports.HOST}:{grpc}",
            # Or it would soon answer without those that are down, and say nothing of it.
            *(f"--endpoint-strict={one}" for one in endpoints),
            "--endpoint.sd-config-reload-interval=1s",
            "--log.level=error",
            *flags,
        ],
    )
    ready(processes, f"http://{ports.HOST}:{port}/-/ready")


def _victoriametrics(processes: Processes, port: int, scraped: Mapping[str, object]) -> None:
    file = processes.folder / "victoriametrics.yaml"
    file.write_text(yaml.safe_dump(dict(scraped)))
    processes.start(
        "victoria-metrics",
        [
            program("victoria-metrics"),
            f"-promscrape.config={file}",
            # It has a flag for what Prometheus has in each job.
            "-promscrape.config.strictParse=false",
            "-promscrape.httpSDCheckInterval=1s",
            f"-storageDataPath={processes.folder / 'victoriametrics'}",
            f"-httpListenAddr={ports.HOST}:{port}",
            "-loggerLevel=ERROR",
        ],
    )
    ready(processes, f"http://{ports.HOST}:{port}/-/ready")


def _victoriametrics_places(url: str) -> dict[str, PrometheusPlace]:
    own = PrometheusPlace(url=url, lag=WRITTEN_LAG, matchers={"written_by": ""})
    other = PrometheusPlace(url=url, lag=WRITTEN_LAG, matchers={"written_by": WRITER})
    return {"victoriametrics": own, "victoriametrics-written": other}


def _writing(scraped: Mapping[str, object], written: list[dict[str, object]]) -> dict[str, object]:
    timing = scraped["global"]
    assert isinstance(timing, dict)
    own = {**timing, "external_labels": {"written_by": WRITER, "replica": "0"}}
    soon = {"queue_config": {"batch_send_deadline": "200ms"}}
    return {**scraped, "global": own, "remote_write": [{**one, **soon} for one in written]}


def _mimir(processes: Processes, port: int) -> None:
    folder = processes.folder / "mimir"
    folder.mkdir()
    (grpc,) = ports.free(1)
    ring = {"kvstore": {"store": "inmemory"}, "instance_addr": ports.HOST}
    settings = {
        "multitenancy_enabled": True,
        "usage_stats": {"enabled": False},
        "server": {
            "http_listen_address": ports.HOST,
            "http_listen_port": port,
            "grpc_listen_address": ports.HOST,
            "grpc_listen_port": grpc,
            "log_level": "error",
        },
        "blocks_storage": {
            "backend": "filesystem",
            "bucket_store": {"sync_dir": str(folder / "sync")},
            "filesystem": {"dir": str(folder / "blocks")},
            "tsdb": {"dir": str(folder / "tsdb")},
        },
        "compactor": {"data_dir": str(folder / "compactor"), "sharding_ring": ring},
        "distributor": {"ring": ring},
        "ingester": {"ring": {**ring, "replication_factor": 1, "min_ready_duration": "0s"}},
        "store_gateway": {"sharding_ring": {**ring, "replication_factor": 1}},
        "ruler_storage": {"backend": "filesystem", "filesystem": {"dir": str(folder / "rules")}},
        "frontend": {"address": ports.HOST},
        "query_scheduler": {"ring": ring},
        "memberlist": {"bind_addr": [ports.HOST], "bind_port": ports.free(1)[0]},
    }
    file = folder / "mimir.yaml"
    file.write_text(yaml.safe_dump(settings))
    processes.start("mimir", [program("mimir"), "-target=all", f"-config.file={file}"])
    ready(processes, f"http://{ports.HOST}:{port}/ready")


def hurry(server: str, place: PrometheusPlace) -> None:
    """Make VictoriaMetrics show what it has: a scenario of many steps would wait for seconds."""
    if PROGRAMS.get(server) == "victoria-metrics":
        with urllib.request.urlopen(f"{place.url}/internal/force_flush", timeout=5):  # noqa: S310
            return


def ready(
    processes: Processes, url: str, trust: ssl.SSLContext | None = None, authorization: str = ""
) -> None:
    """Wait until it answers 200."""
    request = urllib.request.Request(url, headers={"Authorization": authorization})  # noqa: S310

    def answers() -> bool:
        try:
            with urllib.request.urlopen(request, timeout=5, context=trust) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError):
            return False

    until(answers, f"{url} is ready", processes.refuse_ended)


def until(holds: Callable[[], bool], what: str, alive: Callable[[], None]) -> None:
    """Wait for a condition while the servers run."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        alive()
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS:g} s: {what}"
        time.sleep(POLL_SECONDS)
