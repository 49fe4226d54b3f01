"""What a pod's `/metrics` shows: the HTTP histogram of its container since that started."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from sandbox.latency import EDGE_LABELS, EDGES
from sandbox.metrics import Labels, Target, labels_of

Pod = dict[str, Any]
HISTOGRAM = "http_server_request_duration_seconds"
FALLBACK_PORT = 8080


def service_of(pod: Pod) -> str:
    """The service a pod belongs to by the labels users give it; its workload when it has none."""
    labels = pod["metadata"].get("labels") or {}
    return str(labels.get("app") or labels.get("app.kubernetes.io/name") or workload_of(pod))


def workload_of(pod: Pod) -> str:
    """The Deployment behind a pod (its ReplicaSet's name without the hash), else the pod's name."""
    metadata = pod["metadata"]
    owners = metadata.get("ownerReferences") or [metadata]
    template_hash = (metadata.get("labels") or {}).get("pod-template-hash", "")
    return str(owners[0]["name"]).removesuffix(f"-{template_hash}")


def restarts_of(pod: Pod) -> int:
    """How often the pod's containers were started again, summed."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return sum(int(one.get("restartCount", 0)) for one in statuses)


def is_running(pod: Pod) -> bool:
    """True when every container of the pod runs, ready or not: a scrape would be answered."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return bool(statuses) and all("running" in (one.get("state") or {}) for one in statuses)


def target_of(pod: Pod) -> Target:
    """The scrape target of a pod, as pod discovery labels it."""
    service, metadata = service_of(pod), pod["metadata"]
    ports = pod["spec"]["containers"][0].get("ports") or [{}]
    port = ports[0].get("containerPort", FALLBACK_PORT)
    instance = f"{(pod.get('status') or {}).get('podIP', '')}:{port}"
    labels = labels_of(
        instance=instance,
        job=service,
        namespace=metadata["namespace"],
        pod=metadata["name"],
        service=service,
    )
    return Target(labels, f"http://{instance}/metrics")


class _Counts:
    """One histogram of a pod: for one method, route and status."""

    def __init__(self, labels: Labels) -> None:
        plain = dict(labels)
        bucket = {**plain, "__name__": f"{HISTOGRAM}_bucket"}
        self.buckets = [0] * len(EDGE_LABELS)
        self.seconds = 0.0
        self._bucket_labels = [labels_of(**bucket, le=edge) for edge in EDGE_LABELS]
        self._count_labels = labels_of(**{**plain, "__name__": f"{HISTOGRAM}_count"})
        self._sum_labels = labels_of(**{**plain, "__name__": f"{HISTOGRAM}_sum"})

    def samples(self) -> list[tuple[Labels, float]]:
        """Cumulative buckets, count and sum."""
        found, total = [], 0
        for labels, count in zip(self._bucket_labels, self.buckets, strict=True):
            total += count
            found.append((labels, float(total)))
        found.append((self._count_labels, float(total)))
        found.append((self._sum_labels, self.seconds))
        return found


class PodMetrics:
    """The counters of one pod's container; another start of the container begins them at zero."""

    def __init__(self, pod: Pod) -> None:
        self.target = target_of(pod)
        self.restarts = restarts_of(pod)
        self._counts: dict[tuple[str, str, int], _Counts] = {}

    def observe(self, seconds: float, *, route: str, status: int, method: str = "GET") -> None:
        """One request."""
        counts = self._of(method, route, status)
        counts.buckets[bisect_left(EDGES, seconds)] += 1
        counts.seconds += seconds

    def add(
        self, buckets: Sequence[int], means: Sequence[float], *, route: str, status: int
    ) -> None:
        """Many requests at once: how many per bucket, and the mean seconds in each."""
        counts = self._of("GET", route, status)
        for index, number in enumerate(buckets):
            if number:
                counts.buckets[index] += number
                counts.seconds += number * means[index]

    def samples(self) -> list[tuple[Labels, float]]:
        """Everything a scrape gets; a status that never occurred has no series yet."""
        return [sample for counts in self._counts.values() for sample in counts.samples()]

    def _of(self, method: str, route: str, status: int) -> _Counts:
        key = (method, route, status)
        if key not in self._counts:
            labels = {
                **dict(self.target.labels),
                "http_request_method": method,
                "http_route": route,
                "http_response_status_code": str(status),
            }
            self._counts[key] = _Counts(labels_of(**labels))
        return self._counts[key]
