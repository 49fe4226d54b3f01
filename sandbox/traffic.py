"""Simulated users of one cluster: they follow HTTPRoutes to ready pods, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from sandbox.draws import binomial, multinomial, poisson
from sandbox.drift import Drift, Shocks
from sandbox.kubernetes.behaviour import Behaviour
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.routing import Backend, backends_of, service_pods
from sandbox.latency import latency
from sandbox.metrics import Scrape, Target, labels_of
from sandbox.pod_metrics import (
    PodMetrics,
    is_running,
    restarts_of,
    service_of,
    target_of,
    workload_of,
)
from sandbox.users import NOWHERE, UserLedger

BASE_ERROR_SHARE = 0.001
FAILED, SERVED = 500, 200
STATE_METRICS = Target(
    labels_of(instance="kube-state-metrics:8080", job="kube-state-metrics"),
    "http://kube-state-metrics:8080/metrics",
)
Manifest = dict[str, Any]


@dataclass(frozen=True)
class Conditions:
    """What the moment does to everybody alike: the base share of errors, drift and shocks in it."""

    base_error_share: float

    def error_share(self, behaviour: Behaviour) -> float:
        """The share of a version's requests that fail: the base or the version's own fault."""
        return 1 - (1 - self.base_error_share) * (1 - behaviour.error_share)


class Traffic:
    """`rate` requests per second for every service that has a route, times `speed`."""

    def __init__(self, cluster: Cluster, *, rate: float, speed: float = 1.0, seed: int = 0) -> None:
        self.rate = rate
        self.users = UserLedger()
        self._cluster = cluster
        self._speed = speed
        self._chance = Random(f"{seed}/{cluster.name}")
        self._load: dict[tuple[str, str], Drift] = {}
        self._errors = Drift(self._chance)
        self._shocks = Shocks(self._chance)
        self._metrics: dict[str, PodMetrics] = {}
        self._paths: dict[str, str] = {}

    def step(self, elapsed_seconds: float) -> None:
        """Let users send for so much wall time what they would send in `speed` times as much."""
        simulated = elapsed_seconds * self._speed
        factor = self._errors.after(simulated) * self._shocks.after(simulated)
        conditions = Conditions(min(1.0, BASE_ERROR_SHARE * factor))
        for route in self._cluster.store.list("httproutes"):
            metadata = route["metadata"]
            key = (metadata["namespace"], metadata["name"])
            if key not in self._load:
                self._load[key] = Drift(self._chance)
            expected = self.rate * simulated * self._load[key].after(simulated)
            requests = poisson(self._chance, expected)
            self._send(route, requests, conditions)

    def observe(self, pod: Manifest, status: int, seconds: float) -> None:
        """Count a real HTTP request that a pod answered in the pod's own series."""
        route = self._paths.get(service_of(pod), "/")
        self._of(pod).observe(seconds, route=route, status=status)

    def observe_user(self, service: str, revision: str | None, *, failed: bool) -> None:
        """Count a real request through the gateway as a user's; no revision = nobody answered."""
        self.users.add(service, revision or NOWHERE, requests=1, failed=int(failed))

    def scrapes(self) -> list[Scrape]:
        """One round of scrapes: every pod with an address, and the cluster's state metrics."""
        pods = self._cluster.store.list("pods")
        self._forget_gone(pods)
        addressed = [pod for pod in pods if (pod.get("status") or {}).get("podIP")]
        found = [self._scrape(pod) for pod in addressed]
        samples = [
            (
                labels_of(
                    __name__="kube_pod_container_status_restarts_total",
                    namespace=pod["metadata"]["namespace"],
                    pod=pod["metadata"]["name"],
                    container=status["name"],
                    **dict(STATE_METRICS.labels),
                ),
                float(status.get("restartCount", 0)),
            )
            for pod in pods
            for status in (pod.get("status") or {}).get("containerStatuses") or ()
        ]
        return [*found, Scrape(STATE_METRICS, True, samples)]

    def _send(self, route: Manifest, requests: int, conditions: Conditions) -> None:
        service, namespace = route["metadata"]["name"], route["metadata"]["namespace"]
        rules = route["spec"].get("rules") or []
        dealt = multinomial(self._chance, requests, [1.0] * len(rules))
        if not rules:
            self.users.add(service, NOWHERE, requests=requests, failed=requests)
        for rule, count in zip(rules, dealt, strict=True):
            backends = backends_of(rule, namespace)
            shares = multinomial(self._chance, count, [float(one.weight) for one in backends])
            unrouted = count - sum(shares)
            self.users.add(service, NOWHERE, requests=unrouted, failed=unrouted)
            for backend, share in zip(backends, shares, strict=True):
                self._reach(service, _path(rule), backend, share, conditions)

    def _reach(
        self, service: str, path: str, backend: Backend, requests: int, conditions: Conditions
    ) -> None:
        pods = service_pods(self._cluster.store, backend.namespace, backend.service)
        if not pods:
            self.users.add(service, backend.service, requests=requests, failed=requests)
            return
        for pod, count in zip(
            pods, multinomial(self._chance, requests, [1.0] * len(pods)), strict=True
        ):
            failed = self._answer(pod, path, count, conditions)
            self.users.add(service, workload_of(pod), requests=count, failed=failed)

    def _answer(self, pod: Manifest, path: str, requests: int, conditions: Conditions) -> int:
        """Count what a pod answers; returns how many of the requests failed."""
        if not requests:
            return 0
        self._paths[service_of(pod)] = path
        behaviour = self._cluster.behaviour(pod)
        failed = binomial(self._chance, requests, conditions.error_share(behaviour))
        times = latency(behaviour.latency_factor)
        metrics = self._of(pod)
        for status, count in ((SERVED, requests - failed), (FAILED, failed)):
            if count:
                buckets = multinomial(self._chance, count, times.shares)
                metrics.add(buckets, times.means, route=path, status=status)
        return failed

    def _of(self, pod: Manifest) -> PodMetrics:
        """The counters of the pod's running container: a restart begins new ones."""
        uid = pod["metadata"]["uid"]
        found = self._metrics.get(uid)
        if found is None or found.restarts != restarts_of(pod):
            found = self._metrics[uid] = PodMetrics(pod)
        return found

    def _scrape(self, pod: Manifest) -> Scrape:
        if not is_running(pod):
            return Scrape(target_of(pod), False, [])
        metrics = self._of(pod)
        return Scrape(metrics.target, True, metrics.samples())

    def _forget_gone(self, pods: list[Manifest]) -> None:
        present = {pod["metadata"]["uid"] for pod in pods}
        for uid in self._metrics.keys() - present:
            del self._metrics[uid]


def _path(rule: Manifest) -> str:
    """The path users ask for: the first that the rule matches."""
    matches = rule.get("matches") or [{}]
    return str((matches[0].get("path") or {}).get("value", "/"))
