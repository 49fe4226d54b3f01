"""Series that begin, end and come back: new codes, relabelling, restarts, lost scrapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.samples import Arm, Samples, Series, Span, sample

SINCE = datetime(2026, 3, 1, 12, tzinfo=UTC)
LENGTH = timedelta(seconds=10)
LONG_AGO = SINCE - timedelta(days=9)
APP = {"job": "shop", "instance": "10.0.0.1:8080"}
CODES = ("200", "404", "500")
Totals = Sequence[float | None]


def points(totals: Totals, offset: float = 3) -> tuple[tuple[float, float], ...]:
    begins = SINCE.timestamp() + offset
    return tuple((begins + 10 * n, value) for n, value in enumerate(totals) if value is not None)


def told(totals: Totals, code: str = "200", **labels: str) -> Series:
    """A counter of pod c per scrape of 10 s; None: it was not there."""
    own = {**APP, "http_response_status_code": code, **labels}
    return Series("c", own, points(totals))


def read(*counts: Series, cells: int = 5, started: datetime = LONG_AGO) -> Samples:
    up = (Series("c", APP, points([1.0] * cells)),)
    arm = Arm(counts=counts, up=up, started={"c": started})
    return sample(arm, None, Span.following(SINCE, SINCE, SINCE + cells * LENGTH, LENGTH))


def by_cell(samples: Samples) -> dict[int, int]:
    """Requests of each block, by the cell that it begins with."""
    return {
        (block.start - SINCE) // LENGTH: block.counts["errors"].canary_requests
        for block in samples.blocks
    }


OLD: Totals = [1000, 1010, None, None, None]
NEW: Totals = [None, None, 1020, 1030, 1040]


@pytest.mark.parametrize("started", [LONG_AGO, SINCE])
def test_series_that_go_on_under_other_labels_are_no_growth_and_are_named(
    started: datetime,
) -> None:
    whole = 1000 if started == SINCE else 0
    samples = read(told(OLD), told(NEW, zone="a"), started=started)
    assert by_cell(samples) == {0: whole, 1: 10, 3: 10, 4: 10}
    (broken,) = samples.broken
    assert (broken.pod, broken.at) == ("c", SINCE + 2 * LENGTH + timedelta(seconds=3))
    assert "relabelled between two scrapes" in str(broken)
    assert "counts again from the next" in str(broken)


def test_all_series_that_are_relabelled_at_once_are_named_once() -> None:
    old = [told([9, 9, None, None, None], code, path=path) for code in CODES for path in "ab"]
    new = [told([None, None, 9, 10, 10], code, route=path) for code in CODES for path in "ab"]
    samples = read(*old, *new)
    assert by_cell(samples) == {0: 0, 1: 0, 3: 6, 4: 0}
    assert len(samples.broken) == 1


def test_labels_that_change_and_change_back_are_counted_once() -> None:
    there_and_back = told([100, 110, None, None, 140]), told([None, None, 120, 130, None], zone="a")
    samples = read(*there_and_back)
    assert by_cell(samples) == {0: 0, 1: 10, 3: 10}
    assert len(samples.broken) == 2


def test_replicas_that_are_told_as_one_relabel_nothing() -> None:
    """Thanos takes each series from one of a pair of Prometheus, whose scrapes lie between."""

    def of_the_other(totals: Totals, code: str) -> Series:
        return replace(told(totals, code), points=points(totals, offset=-2))

    asked, failed, idle = [100, 110, 120, 130, 140], [None, None, 4, 7, 9], [200.0] * 5
    samples = read(told(asked), of_the_other(failed, "503"), of_the_other(idle, "404"))
    assert samples.broken == ()
    assert sum(by_cell(samples).values()) == 40 + 9


def test_labels_that_change_at_every_scrape_are_counted_by_neither() -> None:
    """One counter, told under two labels in turn."""
    one, other = told([100, None, 120, None, 140]), told([None, 110, None, 130, None], zone="a")
    samples = read(one, other)
    assert sum(by_cell(samples).values()) <= 40
    assert "relabelled between two scrapes" in str(samples.broken[0])


def test_a_new_target_of_a_pod_born_in_the_step_does_not_begin_at_0() -> None:
    moved = told(NEW, instance="10.0.0.1:http", job="again")
    samples = read(told(OLD), moved, started=SINCE)
    assert by_cell(samples) == {0: 1000, 1: 10, 3: 10, 4: 10}


@pytest.mark.parametrize("code", ["404", "500"])
def test_a_new_code_beside_series_that_go_on_begins_at_0(code: str) -> None:
    going_on = told([1000, 1010, 1020, 1030, 1040])
    samples = read(going_on, told([None, None, 2000, 2003, 2003], code))
    assert samples.broken == ()
    assert by_cell(samples) == {0: 0, 1: 10, 2: 2010, 3: 13, 4: 10}


def test_what_is_less_than_all_that_ended_was_counted_since() -> None:
    samples = read(told(OLD), told([None, None, 1009, 1020, 1030], zone="a"))
    assert (samples.broken, by_cell(samples)[2]) == ((), 1009)


def test_series_that_ended_at_0_leave_nothing_to_be_counted_twice() -> None:
    samples = read(told([0, 0, None, None, None]), told([None, None, 7, 8, 9], zone="a"))
    assert (samples.broken, by_cell(samples)) == ((), {0: 0, 1: 0, 2: 7, 3: 1, 4: 1})


def test_codes_after_a_restart_begin_at_0() -> None:
    """Those that had no request yet are not there, until they come."""
    samples = read(
        told([1000, 1010, 4, 9, 14]),
        told([3, 3, None, None, None], "404"),
        told([None, None, 5, 5, 5], "500"),
    )
    assert samples.broken == ()
    assert by_cell(samples) == {0: 0, 1: 10, 2: 9, 3: 5, 4: 5}


def test_a_code_that_comes_back_after_a_restart_restarts_nothing_else_again() -> None:
    samples = read(told([100, 110, 5, 10, 15]), told([7, 7, None, None, 1], "500"))
    assert by_cell(samples) == {0: 0, 1: 10, 2: 5, 3: 5, 4: 6}


def test_a_process_that_begins_anew_restarts_no_other_process_of_its_pod() -> None:
    other = told([50, 60, 3, 6, 9], instance="10.0.0.1:9090")
    assert by_cell(read(told([1000, 1010, 1020, 1030, 1040]), other))[2] == 13


def test_series_that_vanished_before_a_scrape_do_not_go_on_after_it() -> None:
    samples = read(told(OLD), told([None, None, None, 2000, 2010], "500"))
    assert (samples.broken, by_cell(samples)[3]) == ((), 2000)


def test_a_second_process_has_series_of_its_own_whatever_ends_beside_them() -> None:
    """The first is still scraped, and its next scrape is yet to come."""
    port = {**APP, "instance": "10.0.0.1:9090", "http_response_status_code": "200"}
    late = Series("c", {**port, "path": "/new"}, points([None, None, None, None, 20], 8))
    own = Series("c", port, points([4000, 4001, 4002, 4003, 4004], 8))
    samples = read(told([10, 11, 12, 13, 14]), own, late)
    assert (samples.broken, by_cell(samples)[4]) == ((), 22)


def test_a_second_process_that_begins_later_begins_at_0() -> None:
    port = {"job": "shop", "instance": "10.0.0.1:9090", "http_response_status_code": "200"}
    late = Series("c", port, points([None, None, None, 20, 21], 8))
    early = told([4, 4, None, None, None], "404"), told([9, 10, 11, 12, 13])
    samples = read(*early, late, started=SINCE)
    assert (samples.broken, by_cell(samples)) == ((), {0: 13, 1: 1, 2: 1, 3: 21, 4: 2})


def test_a_target_that_was_away_meanwhile_may_have_gone_on_as_another() -> None:
    counts = told([5, 6, None, None, None, 9, 9]), told([None, None, 7, 8], instance="c")
    arm = Arm(counts=counts, started={"c": SINCE})
    samples = sample(arm, None, Span.following(SINCE, SINCE, SINCE + 7 * LENGTH, LENGTH))
    assert 2 not in by_cell(samples)
    assert sum(by_cell(samples).values()) <= 9


# --- whatever happens, no more is counted than came ------------------------------------------


@dataclass(frozen=True)
class Interval:
    """What happens between two scrapes: requests, perhaps a restart and more of them."""

    requests: Mapping[str, int]
    after_restart: Mapping[str, int] | None
    generation: int
    lost: bool


@dataclass
class Process:
    """Counters of one process as a scrape finds them: what was not asked is not there."""

    target: Mapping[str, str]
    offset: float
    moves: bool
    counters: dict[str, float]
    found: dict[tuple[str, int], list[tuple[float, float]]] = field(default_factory=dict)
    answered: dict[int, list[tuple[float, float]]] = field(default_factory=dict)
    came: list[tuple[float, str, int]] = field(default_factory=list)

    def live(self, number: int, interval: Interval) -> None:
        """Count what came, and scrape."""
        time = SINCE.timestamp() + 10 * number + self.offset
        for part in (interval.requests, interval.after_restart):
            if part is None:
                continue
            if part is interval.after_restart:
                self.counters = {}
            for code, count in part.items():
                self.counters[code] = self.counters.get(code, 0) + count
                self.came.append((time, code, count))
        if interval.lost:
            return
        self.answered.setdefault(interval.generation, []).append((time, 1.0))
        for code, value in self.counters.items():
            self.found.setdefault((code, interval.generation), []).append((time, value))

    def labels(self, generation: int) -> dict[str, str]:
        """A relabelling changes a label of the series, or of the target that `up` has too."""
        if generation == 0:
            return dict(self.target)
        if self.moves:
            return {**self.target, "instance": f"{self.target['instance']}-{generation}"}
        return {**self.target, "zone": str(generation)}

    def arm(self, started: datetime) -> Arm:
        """All that a source would tell of it."""
        counts = tuple(
            Series(
                "c",
                {**self.labels(generation), "http_response_status_code": code},
                tuple(found),
            )
            for (code, generation), found in self.found.items()
        )
        up = tuple(
            Series("c", self.labels(generation), tuple(times))
            for generation, times in self.answered.items()
        )
        return Arm(counts=counts, up=up, started={"c": started})


REQUESTS = st.dictionaries(st.sampled_from(CODES), st.integers(1, 9), max_size=3)
INTERVALS = st.lists(
    st.builds(
        Interval,
        requests=REQUESTS,
        after_restart=st.one_of(st.none(), st.none(), REQUESTS),
        generation=st.sampled_from((0, 0, 0, 1, 2)),
        lost=st.sampled_from((False, False, False, True)),
    ),
    min_size=4,
    max_size=14,
)


def lived(intervals: list[Interval], moves: bool, lifetime: Mapping[str, int]) -> Process:
    """A pod's target may change again and again; back to one that was left it does not go."""
    process = Process(APP, 3.0, moves, dict(lifetime))
    latest = 0
    for number, interval in enumerate(intervals):
        latest = max(latest, interval.generation)
        process.live(number, replace(interval, generation=latest) if moves else interval)
    return process


@settings(max_examples=300)
@given(
    intervals=INTERVALS,
    moves=st.booleans(),
    lifetime=st.dictionaries(st.sampled_from(CODES), st.integers(1, 2000), max_size=3),
    every=st.sampled_from((1, 2, 20)),
)
def test_no_more_is_counted_than_came(
    intervals: list[Interval], moves: bool, lifetime: Mapping[str, int], every: int
) -> None:
    """Over any relabellings, new codes, restarts and lost scrapes, however often it is looked."""
    started = LONG_AGO if lifetime else SINCE
    process = lived(intervals, moves, lifetime)
    arm, after, counted = process.arm(started), SINCE, [0, 0]
    for cells in range(1, len(intervals) + 1):
        if cells % every and cells < len(intervals):
            continue
        now = SINCE + cells * LENGTH
        span = Span.following(SINCE, after, now, LENGTH)
        samples = sample(_between(arm, span), None, span)
        after = samples.until
        for block in samples.blocks:
            counted[0] += block.counts["errors"].canary_requests
            counted[1] += block.counts["errors"].canary_bad
        came = [one for one in process.came if one[0] <= now.timestamp()]
        assert counted[0] <= sum(count for _, _, count in came)
        assert counted[1] <= sum(count for _, code, count in came if code == "500")


def _between(arm: Arm, span: Span) -> Arm:
    """What a query over the span's window finds."""

    def cut(given: tuple[Series, ...]) -> tuple[Series, ...]:
        first, last = span.seen_from.timestamp(), span.until.timestamp()
        found = (
            replace(one, points=tuple(p for p in one.points if first < p[0] <= last))
            for one in given
        )
        return tuple(one for one in found if one.points)

    return replace(arm, counts=cut(arm.counts), up=cut(arm.up))
