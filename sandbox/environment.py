"""One environment: its cluster, the users in front of it, and the Prometheus that watches it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.faults import LiveFault, LiveFaults
from sandbox.kubernetes.routing import backends_of, service_pods
from sandbox.metrics import Scraper, SeriesStore
from sandbox.observed_cluster import ObservedCluster
from sandbox.pod_metrics import is_running, restarts_of, service_of, workload_of
from sandbox.prometheus import Prometheus
from sandbox.prometheus.wire import now_ms

logger = logging.getLogger(__name__)
SCRAPE_SECONDS = 10.0
SHORTEST_SCRAPE_SECONDS = 0.05
TICK_SECONDS = 0.1
HOST = "127.0.0.1"


class Environment:
    """A cluster, its simulated users, its metrics; time runs `speed` times as fast for them."""

    def __init__(
        self,
        name: str,
        *,
        speed: float,
        rate: float,
        seed: int,
        image_exists: Callable[[str], bool],
        live_faults: LiveFaults,
    ) -> None:
        self.name = name
        self.scrape_seconds = max(SCRAPE_SECONDS / speed, SHORTEST_SCRAPE_SECONDS)
        self.cluster = ObservedCluster(
            name,
            speed=speed,
            seed=seed,
            rate=rate,
            image_exists=image_exists,
            live_faults=live_faults,
        )
        self.traffic = self.cluster.traffic
        self.scraper = Scraper(SeriesStore())
        self.prometheus = Prometheus(self.scraper, self.scrape_seconds)
        self._users: asyncio.Task[None] | None = None

    async def start(self, ports: Mapping[str, int]) -> None:
        """Serve and let users in; `ports` by name, absent = any free one; OSError if taken."""
        await self.cluster.start(
            HOST, ports.get(self.name, 0), gateway_port=ports.get(f"{self.name}-gateway", 0)
        )
        await self.prometheus.start(HOST, ports.get(f"{self.name}-prometheus", 0))
        self._users = asyncio.create_task(self._run(), name=f"users of {self.name}")
        self._users.add_done_callback(_tell_failure)

    async def close(self) -> None:
        """Stop users, Prometheus and the cluster."""
        if self._users is not None:
            self._users.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._users
        await self.prometheus.close()
        await self.cluster.close()

    def replace_pods(self, fault: LiveFault) -> None:
        """Delete the pods a fault hits where only their successors can take it on or put it off."""
        if not fault.begins_with_a_start:
            return
        store = self.cluster.store
        for pod in store.list("pods"):
            if fault.hits(pod, self.name):
                metadata = pod["metadata"]
                store.remove("pods", metadata["namespace"], metadata["name"])

    def state(self) -> dict[str, Any]:
        """What a person wants to see: routes with weights, revisions with pods, users."""
        return {
            "api": self.cluster.url,
            "gateway": self.cluster.gateway_url,
            "prometheus": self.prometheus.url,
            "requests_per_second": self.traffic.rate,
            "scrape_seconds": self.scrape_seconds,
            "routes": [self._route(route) for route in self.cluster.store.list("httproutes")],
            "revisions": self._revisions(),
            "users": {
                service: self.traffic.users.of(service) for service in self.traffic.users.services()
            },
        }

    def _route(self, route: dict[str, Any]) -> dict[str, Any]:
        metadata = route["metadata"]
        backends = [
            {
                "service": backend.service,
                "weight": backend.weight,
                "ready_pods": len(
                    service_pods(self.cluster.store, backend.namespace, backend.service)
                ),
            }
            for rule in route["spec"].get("rules") or ()
            for backend in backends_of(rule, metadata["namespace"])
        ]
        return {"name": metadata["name"], "namespace": metadata["namespace"], "backends": backends}

    def _revisions(self) -> dict[str, Any]:
        revisions: dict[str, dict[str, Any]] = {}
        for pod in self.cluster.store.list("pods"):
            empty = {"service": service_of(pod), "pods": 0, "running": 0, "restarts": 0}
            of_revision = revisions.setdefault(workload_of(pod), empty)
            of_revision["pods"] += 1
            of_revision["running"] += is_running(pod)
            of_revision["restarts"] += restarts_of(pod)
        return revisions

    async def _run(self) -> None:
        tick = min(TICK_SECONDS, self.scrape_seconds)
        before = time.monotonic()
        next_scrape = before + self.scrape_seconds
        while True:
            await asyncio.sleep(tick)
            now = time.monotonic()
            self.traffic.step(now - before)
            before = now
            if now >= next_scrape:
                self.scraper.take(now_ms(), self.traffic.scrapes())
                next_scrape = max(next_scrape + self.scrape_seconds, now)


def _tell_failure(users: asyncio.Task[None]) -> None:
    if not users.cancelled() and (error := users.exception()) is not None:
        logger.critical("the %s are gone", users.get_name(), exc_info=error)
