"""Whether the observer sees exactly each arm's pods: what it is refused for, and what it is not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from domain.metrics.measure import ArmLabel, Measure
from domain.metrics.source import Survey
from domain.observer import CANARY, STABLE, ArmView, Fault, Fitness, Inspection, Surroundings
from domain.observer_rules import inspect
from domain.samples import Arm
from domain.scrapes import Series

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SCRAPE = timedelta(seconds=10)
HOUR = timedelta(hours=1)
P95 = timedelta(milliseconds=500)
EDGES = ("0.25", "0.5", "+Inf")
AROUND = Surroundings(
    namespace="production",
    metric="http_server_request_duration_seconds_bucket",
    now=NOW,
    scrape=SCRAPE,
)


def series(pod: str, age: float = 3, **labels: str) -> Series:
    """A counter with samples until `age` seconds ago."""
    last = NOW.timestamp() - age
    return Series(
        pod, {"pod": pod, "namespace": "production"} | labels, ((last - 10, 1), (last, 2))
    )


def buckets(*pods: str, age: float = 3, edges: tuple[str, ...] = EDGES) -> tuple[Series, ...]:
    return tuple(series(pod, age, le=edge) for pod in pods for edge in edges)


def view(
    name: str,
    pods: tuple[str, ...],
    shown: tuple[Series, ...] | None = None,
    age: timedelta = HOUR,
    up: Mapping[str, int] | None = None,
) -> ArmView:
    """An arm of pods of this age; by default all show every bucket, restarts and a good scrape."""
    created: Mapping[str, datetime] = dict.fromkeys(pods, NOW - age)
    at = NOW.timestamp() - 3
    answered = dict.fromkeys(pods, 1) if up is None else up
    arm = Arm(
        buckets=buckets(*pods) if shown is None else shown,
        restarts=tuple(map(series, pods)),
        started=created,
        up=tuple(Series(pod, {"pod": pod}, ((at, value),)) for pod, value in answered.items()),
    )
    return ArmView(name=name, selector=f"track={name}", pods=created, arm=arm)


def both(canary: ArmView | None = None, stable: ArmView | None = None) -> list[ArmView]:
    healthy = view(CANARY, ("canary-1",)), view(STABLE, ("stable-1", "stable-2"))
    return [canary or healthy[0], stable or healthy[1]]


def found(arms: list[ArmView], around: Surroundings = AROUND, limit: timedelta = P95) -> Inspection:
    return inspect(arms, around, limit)


def faults(inspection: Inspection) -> list[tuple[str, Fault]]:
    return [(finding.arm, finding.fault) for finding in inspection.findings]


def test_arms_whose_series_are_exactly_their_pods_are_fit() -> None:
    inspection = found(both())
    assert (inspection.fitness, inspection.findings, inspection.edge) == (Fitness.fit, (), 0.5)
    assert [(a.pods, a.pods_with_series, a.series) for a in inspection.arms] == [
        (1, 1, 3),
        (2, 2, 6),
    ]
    assert "canary 1/1, stable 2/2" in inspection.sentence


def test_an_arm_without_ready_pods_is_refused_by_its_labels() -> None:
    inspection = found(both(canary=view(CANARY, ())))
    assert faults(inspection) == [(CANARY, Fault.no_pods)]
    assert "no ready pod in production carries track=canary" in inspection.sentence


@pytest.mark.parametrize("up", [{"stable-1": 1}, {"stable-1": 1, "stable-2": 0}])
def test_pods_that_are_not_scraped_are_refused_and_named(up: dict[str, int]) -> None:
    stable = view(STABLE, ("stable-1", "stable-2"), buckets("stable-1"), up=up)
    inspection = found(both(stable=stable))
    assert faults(inspection) == [(STABLE, Fault.not_scraped)]
    assert inspection.fitness is Fitness.unfit
    assert "no series of stable's pod stable-2: let the metrics source scrape it" in (
        inspection.sentence
    )


def test_an_arm_without_any_series_is_empty() -> None:
    around = replace(AROUND, survey=Survey(pods=frozenset({"billing-1"})))
    inspection = found(both(canary=view(CANARY, ("canary-1",), (), up={})), around)
    assert faults(inspection) == [(CANARY, Fault.empty)]
    assert "is known of pod billing-1" in inspection.sentence


def test_a_canary_that_had_no_request_yet_is_fit_when_it_is_scraped() -> None:
    inspection = found(both(canary=view(CANARY, ("canary-1",), ())))
    assert (inspection.fitness, inspection.findings) == (Fitness.fit, ())


def test_where_the_source_tells_no_scrapes_restarts_witness_that_a_pod_is_seen() -> None:
    stable = view(STABLE, ("stable-1", "stable-2"), up={})
    canary = view(CANARY, ("canary-1",), (), up={})
    assert found([canary, stable]).fitness is Fitness.fit
    unseen = replace(canary, arm=replace(canary.arm, restarts=()))
    assert faults(found([unseen, stable])) == [(CANARY, Fault.empty)]


def test_restarts_of_a_pod_are_no_scrape_of_it_where_the_source_tells_scrapes() -> None:
    inspection = found(both(canary=view(CANARY, ("canary-1",), (), up={})))
    assert faults(inspection) == [(CANARY, Fault.empty)]


def test_a_stable_that_serves_and_shows_not_one_series_is_refused() -> None:
    inspection = found(both(stable=view(STABLE, ("stable-1", "stable-2"), ())))
    assert faults(inspection) == [(STABLE, Fault.empty)]
    assert "correct the plan's metrics template, or send the service a request" in (
        inspection.sentence
    )


def test_a_stable_as_young_as_a_few_scrapes_may_show_no_series_yet() -> None:
    young = view(STABLE, ("stable-1", "stable-2"), (), age=2 * SCRAPE)
    assert found(both(stable=young)).fitness is Fitness.fit


def test_a_stable_without_requests_is_told_where_the_plan_sends_its_own_load() -> None:
    silent = view(STABLE, ("stable-1", "stable-2"), ())
    inspection = found(both(stable=silent), replace(AROUND, quiet_allowed=True))
    assert (inspection.fitness, faults(inspection)) == (Fitness.fit, [(STABLE, Fault.quiet_pods)])


def test_single_quiet_pods_of_stable_are_told_and_not_refused() -> None:
    one = view(STABLE, ("stable-1", "stable-2"), buckets("stable-1"))
    inspection = found(both(stable=one))
    assert (inspection.fitness, faults(inspection)) == (Fitness.fit, [(STABLE, Fault.quiet_pods)])
    assert "pod stable-2 shows no http_server" in str(inspection.findings[0])


def test_labels_that_both_arms_carry_are_refused() -> None:
    shared = view(STABLE, ("stable-1", "canary-1"))
    inspection = found(both(stable=shared))
    assert faults(inspection) == [(CANARY, Fault.overlapping)]
    assert "pod canary-1 carries the labels of both arms" in inspection.sentence


def test_a_query_that_gives_the_other_arms_pods_too_is_refused() -> None:
    greedy = view(CANARY, ("canary-1",), buckets("canary-1", "stable-1", "stable-2"))
    inspection = found(both(canary=greedy))
    assert faults(inspection) == [(CANARY, Fault.overlapping)]
    assert "canary's query gives series of stable's pod stable-1, stable-2" in inspection.sentence


def test_a_query_that_gives_every_pod_of_the_namespace_is_refused() -> None:
    greedy = view(STABLE, ("stable-1", "stable-2"), buckets("stable-1", "stable-2", "billing-1"))
    inspection = found(both(stable=greedy))
    assert faults(inspection) == [(STABLE, Fault.all_pods)]
    assert "pod billing-1, which is no arm's" in inspection.sentence


def test_series_of_a_pod_that_is_gone_are_no_stranger() -> None:
    past = (*buckets("stable-1", "stable-2"), *buckets("stable-0", age=200))
    assert found(both(stable=view(STABLE, ("stable-1", "stable-2"), past))).findings == ()


def test_pods_that_are_not_ready_belong_to_their_arm_all_the_same() -> None:
    arm = view(STABLE, ("stable-1", "stable-2"))
    starting = replace(arm, pods={"stable-1": NOW - HOUR})
    assert found(both(stable=starting)).findings == ()


def test_series_without_a_pod_are_refused() -> None:
    nameless = (*buckets("canary-1"), series("", le="+Inf"))
    inspection = found(both(canary=view(CANARY, ("canary-1",), nameless)))
    assert faults(inspection) == [(CANARY, Fault.no_pod_label)]


def test_series_of_another_namespace_are_refused() -> None:
    other = (series("canary-1", namespace="staging", le="0.5"),)
    inspection = found(both(canary=view(CANARY, ("canary-1",), other)))
    assert faults(inspection) == [(CANARY, Fault.wrong_namespace)]
    assert "carry namespace staging, not production" in inspection.sentence


def test_an_arm_that_is_counted_under_another_namespace_is_told_so() -> None:
    around = replace(AROUND, survey=Survey(elsewhere={"canary-1": "prod"}))
    inspection = found(both(canary=view(CANARY, ("canary-1",), ())), around)
    assert faults(inspection) == [(CANARY, Fault.wrong_namespace)]


def test_a_pod_that_two_jobs_scrape_is_refused() -> None:
    twice = (*buckets("canary-1"), series("canary-1", le="0.5", job="again"))
    inspection = found(both(canary=view(CANARY, ("canary-1",), twice)))
    assert faults(inspection) == [(CANARY, Fault.twice)]


def test_a_ready_pod_that_is_no_longer_scraped_is_refused_as_stale() -> None:
    half = (*buckets("stable-1"), *buckets("stable-2", age=120))
    inspection = found(both(stable=view(STABLE, ("stable-1", "stable-2"), half)))
    assert faults(inspection) == [(STABLE, Fault.stale)]
    assert "pod stable-2 is ready and no longer scraped" in inspection.sentence


def test_a_source_whose_data_are_all_old_makes_nothing_wrong_and_is_silent() -> None:
    old = view(CANARY, ("canary-1",), buckets("canary-1", age=120))
    stable = view(STABLE, ("stable-1", "stable-2"), buckets("stable-1", age=130))
    inspection = found([old, stable])
    assert inspection.fitness is Fitness.silent
    assert "answers stale data, the latest 2m old" in inspection.sentence


def test_scrapes_from_the_future_are_told() -> None:
    ahead = view(CANARY, ("canary-1",), buckets("canary-1", age=-30))
    inspection = found(both(canary=ahead))
    assert (inspection.fitness, faults(inspection)) == (Fitness.fit, [("", Fault.clocks)])


@pytest.mark.parametrize(
    ("limit", "fit"), [(0.5, True), (0.26, True), (0.9, True), (1.1, False), (0.1, False)]
)
def test_a_latency_limit_far_from_every_bucket_edge_is_refused(limit: float, fit: bool) -> None:
    inspection = found(both(), limit=timedelta(seconds=limit))
    assert (faults(inspection) == []) is fit
    if not fit:
        assert "add a bucket at the limit, or set limits.p95" in inspection.sentence


def test_arms_whose_buckets_have_no_edge_in_common_are_refused() -> None:
    other = view(CANARY, ("canary-1",), buckets("canary-1", edges=("0.3", "0.6", "+Inf")))
    inspection = found(both(canary=other))
    assert faults(inspection) == [("", Fault.no_edge)]
    assert "the arms share none" in inspection.sentence


def test_without_a_restarts_metric_a_person_is_told_and_nothing_is_refused() -> None:
    arms = [replace(one, arm=replace(one.arm, restarts=())) for one in both()]
    inspection = found(arms)
    assert (inspection.fitness, faults(inspection)) == (Fitness.fit, [("", Fault.no_restarts)])


def test_a_first_release_is_looked_at_alone() -> None:
    assert found([view(CANARY, ("canary-1",), ())]).fitness is Fitness.fit


PROXIED = Measure(
    name="proxy", requests="proxied_total", bad=({"code": ("5*",)},), arm=ArmLabel(label="service")
)


def proxied(name: str, pods: tuple[str, ...], *services: str) -> ArmView:
    """An arm whose requests two proxies count, by these Services."""
    one = view(name, pods, ())
    counts = tuple(
        series(proxy, service=service) for proxy in ("proxy-1", "proxy-2") for service in services
    )
    return replace(one, arm=replace(one.arm, counts=counts, measure=PROXIED, up=()))


def test_what_proxies_count_is_of_no_pod_of_the_arm_and_fit() -> None:
    arms = [proxied(CANARY, ("canary-1",), "v2"), proxied(STABLE, ("stable-1",), "v1")]
    inspection = found(arms)
    assert (inspection.fitness, inspection.findings) == (Fitness.fit, ())
    assert [arm.pods_with_series for arm in inspection.arms] == [1, 1]


def test_proxies_series_that_both_arms_are_given_are_refused() -> None:
    arms = [proxied(CANARY, ("canary-1",), "v2", "v1"), proxied(STABLE, ("stable-1",), "v1")]
    assert faults(found(arms)) == [(CANARY, Fault.overlapping)]


def test_a_stable_that_no_proxy_knows_is_refused() -> None:
    arms = [proxied(CANARY, ("canary-1",), "v2"), proxied(STABLE, ("stable-1",))]
    assert faults(found(arms)) == [(STABLE, Fault.empty)]


def test_counters_and_failures_of_the_same_labels_are_not_the_same_series() -> None:
    one = view(CANARY, ("canary-1",), ())
    counted = (series("canary-1"),)
    arm = replace(one.arm, counts=counted, failures=counted)
    assert found(both(canary=replace(one, arm=arm))).findings == ()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0])
def test_values_that_are_no_counts_are_refused_by_name(value: float) -> None:
    shown = tuple(
        replace(one, points=(*one.points[:-1], (one.points[-1][0], value)))
        for one in buckets("canary-1")
    )
    inspection = found(both(canary=view(CANARY, ("canary-1",), shown)))
    assert faults(inspection) == [(CANARY, Fault.no_count)]
    assert inspection.fitness is Fitness.unfit
    assert f"canary's pod canary-1 shows {value:g} in 3 series: no count" in inspection.sentence


def test_restarts_that_are_no_counts_are_refused_and_earlier_values_are_not() -> None:
    stable = view(STABLE, ("stable-1",))
    broken = replace(stable.arm.restarts[0], points=((NOW.timestamp() - 3, math.nan),))
    restarts = replace(stable, arm=replace(stable.arm, restarts=(broken,)))
    assert faults(found(both(stable=restarts))) == [(STABLE, Fault.no_count)]
    last = NOW.timestamp() - 3
    shown = tuple(
        replace(one, points=((last - 10, math.nan), (last, 2))) for one in buckets("stable-1")
    )
    assert faults(found(both(stable=view(STABLE, ("stable-1",), shown)))) == []
