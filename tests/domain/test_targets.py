"""One process behind two targets is counted by neither; two processes of a pod are counted both."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.metrics.measure import ArmLabel, Measure
from domain.samples import Arm, Samples, Series, Span, sample
from domain.scrapes import SCRAPER_LABELS
from domain.targets import ENOUGH, TARGET_LABELS

SINCE = datetime(2026, 3, 1, 12, tzinfo=UTC)
LENGTH = timedelta(seconds=10)
APP = {"job": "shop", "instance": "10.0.0.1:8080", "container": "app"}
EDGES = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "+Inf")
Totals = Sequence[float | None]


def told(totals: Totals, offset: float = 3, pod: str = "c", **labels: str) -> Series:
    return scraped(totals, labels, offset, pod)


def scraped(totals: Totals, labels: Mapping[str, str], offset: float = 3, pod: str = "c") -> Series:
    """A counter scraped every 10 s, `offset` into the cell; None: it was not there."""
    begins = SINCE.timestamp() + offset
    points = tuple(
        (begins + 10 * index, value) for index, value in enumerate(totals) if value is not None
    )
    return Series(pod, {**APP, "le": "+Inf", "code": "200", **labels}, points)


def read(*buckets: Series, cells: int = 4, up: tuple[Series, ...] = ()) -> Samples:
    span = Span.following(SINCE, SINCE, SINCE + cells * LENGTH, LENGTH)
    return sample(Arm(buckets=buckets, up=up), None, span)


def counted(samples: Samples) -> float:
    return sum(block.counts["errors"].canary_requests for block in samples.blocks)


LINE = [100, 110, 120, 130]


@pytest.mark.parametrize("label", sorted(TARGET_LABELS))
@pytest.mark.parametrize(
    ("offset", "second"), [(3, LINE), (8, [105, 115, 125, 135]), (3.2, [99, 109, 119, 129])]
)
def test_one_process_behind_two_targets_leaves_no_block(
    label: str, offset: float, second: list[float]
) -> None:
    samples = read(told(LINE), scraped(second, {label: "other"}, offset))
    assert samples.blocks == ()
    told_so = " ".join(map(str, samples.broken))
    if label in SCRAPER_LABELS:
        assert "the same series twice" in told_so
        assert len(samples.broken) == 1
        return
    assert "every series of pod c at" in told_so
    assert "counted twice, two targets tell the same requests" in told_so
    assert f'{label}="{APP.get(label, "")}" and "other"' in told_so


def test_labels_that_follow_the_target_do_not_hide_that_it_is_one_process() -> None:
    other = {"instance": "c", "zone": "b", "code": "200"}
    assert read(told(LINE, zone="a"), scraped(LINE, other)).blocks == ()


def test_labels_of_up_are_labels_of_targets() -> None:
    """A relabelling of one's own that nobody else knows."""
    twice = told(LINE, shelf="1"), told(LINE, shelf="2")
    answered = ((SINCE.timestamp() + 3, 1.0),)
    up = tuple(Series("c", {**APP, "shelf": shelf}, answered) for shelf in "12")
    assert read(*twice, up=up).blocks == ()


@pytest.mark.parametrize(
    ("offset", "second"),
    [
        (3, [100, 111, 122, 133]),
        (8, [90, 99, 107, 120]),
        (8, [7, 7, 8, 8]),
        (3, [500, 600, 700, 800]),
    ],
)
def test_two_processes_of_a_pod_are_counted_both(offset: float, second: list[float]) -> None:
    other = {"instance": "10.0.0.1:9090", "container": "sidecar"}
    samples = read(told(LINE), scraped(second, other, offset))
    assert samples.broken == ()
    assert counted(samples) == 30 + second[-1] - second[0]


def test_one_counter_that_contradicts_it_is_enough_to_tell_two_processes_apart() -> None:
    other = {"instance": "10.0.0.1:9090"}
    errors = told([5, 5, 5, 6], code="500"), scraped([3, 4, 4, 4], other | {"code": "500"})
    samples = read(told(LINE), scraped(LINE, other), *errors)
    assert (samples.broken, counted(samples)) == ((), 62)


def test_so_is_one_step_between_two_buckets() -> None:
    other = {"instance": "10.0.0.1:9090"}
    fast = (
        told([90, 100, 110, 120], le="0.5"),
        scraped([95, 105, 115, 125], other | {"le": "0.5"}, 8),
    )
    whole = told(LINE), scraped([103, 113, 123, 133], other, 8)
    samples = read(*whole, *fast)
    assert (samples.broken, counted(samples)) == ((), 60)


def test_series_in_any_order_are_known_for_the_same() -> None:
    few = [1, 2, 3, 4]
    errors = told(few, code="500"), told(few, code="500", instance="c")
    samples = read(told(LINE), errors[0], errors[1], told(LINE, instance="c"))
    assert samples.blocks == ()


@pytest.mark.parametrize("total", [0, 1000])
def test_of_an_idle_pod_nothing_is_counted_twice(total: float) -> None:
    samples = read(told([total] * 4), told([total] * 4, 8, instance="c"))
    assert (samples.broken, len(samples.blocks)) == ((), 4)


def test_a_process_beside_an_idle_one_is_counted() -> None:
    samples = read(told([0, 4, 7, 9]), told([9, 9, 9, 9], 8, instance="10.0.0.1:9090"))
    assert (samples.broken, counted(samples)) == ((), 9)


def test_too_few_requests_do_not_tell_two_processes_from_one() -> None:
    few = [0.0, 1.0, ENOUGH - 2, ENOUGH - 1]
    samples = read(told(few), told(few, instance="10.0.0.1:9090"))
    assert (samples.broken, counted(samples)) == ((), 2 * (ENOUGH - 1))


def test_a_restart_between_two_scrapes_does_not_make_two_processes_of_one() -> None:
    samples = read(told([100, 110, 6, 9]), told([105, 115, 7, 10], 8, instance="c"))
    assert samples.blocks == ()
    assert "counted twice" in str(samples.broken[0])


def test_requests_that_each_begin_a_series_are_counted_twice_as_well() -> None:
    paths = [
        told([*[None] * n, *[1] * (4 - n)], offset, path=f"/{n}{m}", instance=instance)
        for n in range(4)
        for m in "ab"
        for offset, instance in ((3, "a"), (8, "b"))
    ]
    assert read(*paths).blocks == ()


def test_a_pod_that_is_gone_spoils_no_later_block() -> None:
    gone = told(LINE[:3]), told(LINE[:3], instance="c")
    samples = read(*gone, told([0, 5, 10, 15, 20, 25, 30, 35], pod="d"), cells=8)
    assert [block.start for block in samples.blocks] == [SINCE + n * LENGTH for n in range(3, 8)]


def test_the_label_that_names_an_arm_of_a_proxy_is_no_label_of_a_target() -> None:
    proxied = Measure(
        name="proxy",
        requests="proxied_total",
        bad=({"code": ("5*",)},),
        arm=ArmLabel(label="service", pattern="{arm}-.*"),
    )
    routes = tuple(told(LINE, service=f"c-{name}") for name in ("http", "grpc"))
    arm = Arm(counts=routes, measure=proxied)
    span = Span.following(SINCE, SINCE, SINCE + 4 * LENGTH, LENGTH)
    assert counted(sample(arm, None, span)) == 60
    twice = Arm(counts=(routes[0], told(LINE, service="c-http", node="n")), measure=proxied)
    assert sample(twice, None, span).blocks == ()


@given(
    grown=st.lists(st.tuples(*[st.integers(0, 9)] * 4), min_size=4, max_size=8),
    offset=st.integers(0, 99).map(lambda tenths: tenths / 10),
    early=st.lists(st.floats(0, 1), min_size=8, max_size=8),
)
def test_what_two_scrapers_tell_of_one_process_is_never_counted_twice(
    grown: list[tuple[int, int, int, int]], offset: float, early: list[float]
) -> None:
    """Each has seen any part of what came between the other's scrapes."""
    first, second = [], []
    for code in range(4):
        sums = [float(total) for total in accumulate(row[code] for row in grown)]
        first.append(told(sums, 0, code=f"{code}00"))
        between = [
            now if offset == 0 else now + round(part * (later - now))
            for now, later, part in zip(sums, sums[1:], early, strict=False)
        ]
        second.append(told(between, offset, code=f"{code}00", instance="c"))
    truth = sum(map(sum, grown[1:]))
    samples = read(*first, *second, cells=len(grown))
    few = sum(series.points[-1][1] for series in second) < ENOUGH
    assert counted(samples) <= truth or few


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rate", [2, 20, 60])
def test_workers_that_share_the_load_evenly_are_not_taken_for_one(seed: int, rate: int) -> None:
    """A port each and the same part of the requests: their slow requests tell them apart."""
    chance = random.Random(f"{seed} {rate}")  # noqa: S311
    series: list[Series] = []
    for worker, offset in ((1, 1.0), (2, 6.0)):
        totals = dict.fromkeys(EDGES, 0)
        rows: dict[str, list[float | None]] = {edge: [] for edge in EDGES}
        for _ in range(60):
            for duration in (chance.lognormvariate(-3, 1) for _ in range(rate)):
                for edge in EDGES:
                    totals[edge] += duration <= float(edge)
            for edge in EDGES:
                rows[edge].append(totals[edge])
        series += [
            told(rows[edge], offset, le=edge, instance=f"10.0.0.1:800{worker}") for edge in EDGES
        ]
    window = tuple(replace(one, points=one.points[53:]) for one in series)
    begins = SINCE + 53 * LENGTH
    samples = sample(
        Arm(buckets=window), None, Span(SINCE, begins, SINCE + 60 * LENGTH, LENGTH, begins)
    )
    assert samples.broken == ()
    assert len(samples.blocks) == 7
