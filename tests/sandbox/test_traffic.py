from __future__ import annotations

import math
import statistics
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.draws import binomial, multinomial, poisson
from sandbox.drift import (
    LOG_DEVIATION,
    SECONDS_BETWEEN_SHOCKS,
    SHOCK_FACTORS,
    SHOCK_SECONDS,
    Drift,
    Shocks,
)
from sandbox.kubernetes.cluster import Cluster
from sandbox.latency import EDGES, latency
from sandbox.metrics import Labels
from sandbox.pod_metrics import HISTOGRAM
from sandbox.traffic import BASE_ERROR_SHARE, Traffic
from sandbox.users import NOWHERE
from tests.support.sandbox import revision, route

MANY = 200.0
WEIGHTS = st.lists(st.floats(0, 10), min_size=1, max_size=6)


def dice(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - chance of a simulation


def cluster(*objects: dict[str, Any]) -> Cluster:
    """A cluster that is not started: its store says what exists, no controller changes it."""
    made = Cluster("production")
    for manifest in objects:
        plural = f"{manifest['kind'].lower()}s"
        manifest["metadata"]["namespace"] = "production"
        made.store.create(plural, manifest)
    return made


def pods(
    name: str, *, ready: bool = True, faults: str = "", count: int = 2
) -> list[dict[str, Any]]:
    """A revision's Service and its pods, as the controllers would have made them."""
    deployment, service = revision(name, "image", faults=faults)
    template = deployment["spec"]["template"]
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    made: list[dict[str, Any]] = [service]
    for number in range(count):
        metadata = {**template["metadata"], "name": f"{name}-1a2b-{number}"}
        metadata["labels"] = {**metadata["labels"], "pod-template-hash": "1a2b"}
        metadata["ownerReferences"] = [{"kind": "ReplicaSet", "name": f"{name}-1a2b", "uid": name}]
        status = {
            "podIP": f"10.0.0.{number}",
            "conditions": [condition],
            "containerStatuses": [{"name": "album", "restartCount": 0, "state": {"running": {}}}],
        }
        pod = {"kind": "Pod", "metadata": metadata, "spec": template["spec"], "status": status}
        made.append(pod)
    return made


def users(traffic: Traffic, revision_name: str, of: str = "requests") -> int:
    found = traffic.users.of("album")["by_revision"].get(revision_name, {})
    return int(found.get(of, 0))


def counters(traffic: Traffic) -> dict[Labels, float]:
    return {key: value for scrape in traffic.scrapes() for key, value in scrape.samples}


def total(traffic: Traffic, **wanted: str) -> float:
    return sum(
        value
        for key, value in counters(traffic).items()
        if wanted.items() <= dict(key).items() and ("__name__", f"{HISTOGRAM}_count") in key
    )


def test_users_follow_the_weights_of_the_route() -> None:
    objects = [*pods("album-v1"), *pods("album-v2"), route("album", v1=90, v2=10)]
    traffic = Traffic(cluster(*objects), rate=MANY)
    traffic.step(100)
    everybody = traffic.users.of("album")["requests"]
    assert users(traffic, "album-v2") / everybody == pytest.approx(0.1, abs=0.01)
    assert users(traffic, "album-v1") / everybody == pytest.approx(0.9, abs=0.01)
    assert total(traffic) == everybody


def test_a_backend_of_weight_zero_gets_nobody() -> None:
    objects = [*pods("album-v1"), *pods("album-v2"), route("album", v1=100, v2=0)]
    traffic = Traffic(cluster(*objects), rate=MANY)
    traffic.step(100)
    assert users(traffic, "album-v2") == 0
    assert users(traffic, "album-v1") > 0


def test_a_service_without_a_route_gets_nobody() -> None:
    traffic = Traffic(cluster(*pods("album-v1")), rate=MANY)
    traffic.step(100)
    assert traffic.users.services() == []
    assert total(traffic) == 0


def test_the_weight_counts_and_not_the_labels_of_a_tool() -> None:
    objects = [*pods("album-v1"), *pods("album-v2"), route("album", v1=10, v2=90)]
    for one in objects:
        one["metadata"]["annotations"] = {"tidegate.dev/weight": "0"}
    traffic = Traffic(cluster(*objects), rate=MANY)
    traffic.step(100)
    assert users(traffic, "album-v2") > 5 * users(traffic, "album-v1")


def test_users_without_a_ready_pod_fail_and_no_pod_counts_them() -> None:
    objects = [*pods("album-v1"), *pods("album-v2", ready=False), route("album", v1=50, v2=50)]
    traffic = Traffic(cluster(*objects), rate=MANY)
    traffic.step(100)
    assert users(traffic, "album-v2", "failed") == users(traffic, "album-v2") > 0
    assert total(traffic) == users(traffic, "album-v1")


def test_users_of_a_route_without_weight_or_service_fail() -> None:
    nobody = Traffic(cluster(*pods("album-v1"), route("album", v1=0)), rate=MANY)
    nobody.step(10)
    assert users(nobody, NOWHERE, "failed") == nobody.users.of("album")["requests"] > 0
    missing = Traffic(cluster(route("album", v1=100)), rate=MANY)
    missing.step(10)
    assert users(missing, "album-v1", "failed") == missing.users.of("album")["requests"] > 0


def test_a_faulty_version_fails_as_often_as_it_says_and_a_good_one_hardly_ever() -> None:
    faulty = pods("album-v2", faults="production:errors=5%,staging:errors=90%")
    objects = [*pods("album-v1"), *faulty, route("album", v1=50, v2=50)]
    traffic = Traffic(cluster(*objects), rate=MANY)
    traffic.step(600)
    bad = users(traffic, "album-v2", "failed") / users(traffic, "album-v2")
    good = users(traffic, "album-v1", "failed") / users(traffic, "album-v1")
    assert bad == pytest.approx(0.05, abs=0.01)
    assert good < 10 * BASE_ERROR_SHARE
    assert total(traffic, http_response_status_code="500") == (
        users(traffic, "album-v1", "failed") + users(traffic, "album-v2", "failed")
    )


def test_drift_and_shocks_hit_two_good_versions_alike() -> None:
    objects = [*pods("album-v1"), *pods("album-v2"), route("album", v1=50, v2=50)]
    traffic = Traffic(cluster(*objects), rate=2000, seed=3)
    shares = []
    before = {"album-v1": (0, 0), "album-v2": (0, 0)}
    for _ in range(120):
        traffic.step(300)
        block = []
        for name, (requests, failed) in before.items():
            now = users(traffic, name), users(traffic, name, "failed")
            block.append((now[1] - failed) / (now[0] - requests))
            before[name] = now
        shares.append(block)
    assert max(first for first, _ in shares) > 2 * min(first for first, _ in shares)
    ratios = [first / second for first, second in shares]
    assert statistics.mean(ratios) == pytest.approx(1.0, abs=0.05)
    assert statistics.stdev(ratios) < 0.2


def test_a_slow_version_is_slower_by_its_factor() -> None:
    objects = [*pods("album-v1"), *pods("album-v2", faults="latency=3x")]
    traffic = Traffic(cluster(*objects, route("album", v1=50, v2=50)), rate=MANY)
    traffic.step(300)
    found = counters(traffic)

    def share_up_to(version: str, le: str) -> float:
        buckets = {
            dict(key)["le"]: 0.0 for key in found if ("__name__", f"{HISTOGRAM}_bucket") in key
        }
        for key, value in found.items():
            if "le" in dict(key) and dict(key)["pod"].startswith(version):
                buckets[dict(key)["le"]] += value
        return buckets[le] / buckets["+Inf"]

    assert share_up_to("album-v1", "0.1") == pytest.approx(0.847, abs=0.02)
    assert share_up_to("album-v2", "0.1") == pytest.approx(0.120, abs=0.02)


def test_a_restart_begins_the_counters_of_a_pod_again() -> None:
    objects = [*pods("album-v1", count=1), route("album", v1=1)]
    made = cluster(*objects)
    traffic = Traffic(made, rate=MANY)
    traffic.step(100)
    first = total(traffic)

    def restart(pod: dict[str, Any]) -> None:
        pod["status"]["containerStatuses"][0]["restartCount"] = 1

    made.store.change("pods", "production", "album-v1-1a2b-0", restart)
    traffic.step(1)
    assert 0 < total(traffic) < first
    restarts = [
        value
        for key, value in counters(traffic).items()
        if ("__name__", "kube_pod_container_status_restarts_total") in key
    ]
    assert restarts == [1.0]


def test_a_status_that_never_occurred_has_no_series() -> None:
    traffic = Traffic(cluster(*pods("album-v1"), route("album", v1=1)), rate=1)
    traffic.step(5)
    statuses = {dict(key).get("http_response_status_code") for key in counters(traffic)}
    assert "500" not in statuses


def test_a_pod_that_does_not_run_is_down() -> None:
    made = cluster(*pods("album-v1", count=1))

    def crash(pod: dict[str, Any]) -> None:
        pod["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": "CrashLoopBackOff"}}

    traffic = Traffic(made, rate=MANY)
    assert traffic.scrapes()[0].up
    made.store.change("pods", "production", "album-v1-1a2b-0", crash)
    assert not traffic.scrapes()[0].up


def test_the_rate_is_what_was_asked_for_on_average() -> None:
    counts = []
    for seed in range(60):
        traffic = Traffic(
            cluster(*pods("album-v1"), route("album", v1=1)), rate=20, speed=10, seed=seed
        )
        traffic.step(10)
        counts.append(traffic.users.of("album")["requests"])
    wanted = 20 * 10 * 10 * math.exp(LOG_DEVIATION**2 / 2)
    assert statistics.mean(counts) == pytest.approx(wanted, rel=0.15)


def test_the_same_seed_gives_the_same_users() -> None:
    def run() -> dict[str, Any]:
        objects = [*pods("album-v1"), *pods("album-v2"), route("album", v1=90, v2=10)]
        traffic = Traffic(cluster(*objects), rate=MANY, seed=7)
        for _ in range(10):
            traffic.step(1)
        return traffic.users.of("album")

    assert run() == run()


@given(trials=st.integers(0, 100_000), weights=WEIGHTS, seed=st.integers(0, 1000))
def test_a_multinomial_deals_out_everything_and_nothing_to_weight_zero(
    trials: int, weights: list[float], seed: int
) -> None:
    counts = multinomial(dice(seed), trials, weights)
    assert sum(counts) == (trials if sum(weights) > 0 else 0)
    assert all(count >= 0 for count in counts)
    assert all(count == 0 for count, weight in zip(counts, weights, strict=True) if weight == 0)


@pytest.mark.parametrize(("trials", "share"), [(50, 0.02), (400, 0.05), (5000, 0.3), (300, 0.97)])
def test_a_binomial_has_its_mean_and_variance(trials: int, share: float) -> None:
    chance = dice(5)
    drawn = [binomial(chance, trials, share) for _ in range(4000)]
    variance = trials * share * (1 - share)
    assert statistics.mean(drawn) == pytest.approx(
        trials * share, abs=4 * math.sqrt(variance / 4000)
    )
    assert statistics.variance(drawn) == pytest.approx(variance, rel=0.12)


@pytest.mark.parametrize("mean", [0.3, 8.0, 500.0])
def test_a_poisson_has_its_mean_and_variance(mean: float) -> None:
    chance = dice(5)
    drawn = [poisson(chance, mean) for _ in range(4000)]
    assert statistics.mean(drawn) == pytest.approx(mean, abs=4 * math.sqrt(mean / 4000))
    assert statistics.variance(drawn) == pytest.approx(mean, rel=0.12)


def test_drift_has_its_deviation_whatever_the_steps() -> None:
    for step in (1.0, 600.0, 6000.0):
        chance = dice(1)
        levels = [math.log(Drift(chance).after(step)) for _ in range(2000)]
        assert statistics.stdev(levels) == pytest.approx(LOG_DEVIATION, rel=0.1)


def test_a_shock_is_rare_short_and_multiplies_the_errors() -> None:
    shocks = Shocks(dice(2))
    factors = [shocks.after(10.0) for _ in range(200_000)]
    shocked = [factor for factor in factors if factor != 1.0]
    share = SHOCK_SECONDS / SECONDS_BETWEEN_SHOCKS
    assert len(shocked) / len(factors) == pytest.approx(share, rel=0.15)
    assert SHOCK_FACTORS[0] <= min(shocked) < max(shocked) <= SHOCK_FACTORS[1]


def test_the_means_of_the_buckets_add_up_to_the_mean_of_the_whole() -> None:
    times = latency(1.0)
    assert sum(times.shares) == pytest.approx(1.0)
    whole = sum(share * mean for share, mean in zip(times.shares, times.means, strict=True))
    assert whole == pytest.approx(0.060 * math.exp(0.125))
    assert all(low <= mean <= high for low, mean, high in _inside(times.means))


def _inside(means: tuple[float, ...]) -> list[tuple[float, float, float]]:
    return [
        (low, mean, high)
        for low, mean, high in zip((0.0, *EDGES), means, (*EDGES, math.inf), strict=True)
        if mean
    ]
