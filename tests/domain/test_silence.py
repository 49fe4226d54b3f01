"""What is not there: a quiet pod, a pod that nobody scrapes, a source that answers stale data."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain.judge import Counts
from domain.samples import Arm, Samples, Series, Span, sample
from tests.support.judge_streams import counts

SINCE = datetime(2026, 3, 1, 12, tzinfo=UTC)
LENGTH = timedelta(seconds=10)
LONG_AGO = SINCE - timedelta(hours=1)


def points(values: list[float | None], offset: float = 3) -> tuple[tuple[float, float], ...]:
    """One value per cell of 10 s; None: no scrape."""
    begins = SINCE.timestamp()
    return tuple(
        (begins + 10 * index + offset, value)
        for index, value in enumerate(values)
        if value is not None
    )


def requests(pod: str, values: list[float | None], **labels: str) -> Series:
    own = {"job": "shop", "instance": f"{pod}:80", "http_response_status_code": "200"}
    return Series(pod, {**own, **labels, "le": "+Inf"}, points(values))


def up(pod: str, values: list[float | None], instance: str = "80", offset: float = 3) -> Series:
    labels = {"job": "shop", "instance": f"{pod}:{instance}"}
    return Series(pod, labels, points(values, offset))


def restarts(pod: str, values: list[float | None]) -> Series:
    return Series(pod, {"job": "kube-state-metrics", "instance": "k:80"}, points(values))


def read(canary: Arm, stable: Arm | None, cells: int) -> Samples:
    return sample(canary, stable, Span.following(SINCE, SINCE, SINCE + cells * LENGTH, LENGTH))


def errors(samples: Samples) -> list[Counts]:
    return [block.counts["errors"] for block in samples.blocks if "errors" in block.counts]


def test_a_pod_that_is_scraped_and_was_asked_nothing_yet_counts_no_requests() -> None:
    samples = read(Arm(up=(up("c", [1, 1, 1]),), started={"c": LONG_AGO}), None, 3)
    assert errors(samples) == [Counts()] * 3
    assert (samples.quiet, samples.broken) == (("c",), ())


def test_a_pod_whose_scrapes_fail_counts_nothing() -> None:
    down = Arm(up=(up("c", [0, 0, 0]),), started={"c": LONG_AGO})
    samples = read(down, None, 3)
    assert (samples.blocks, samples.quiet) == ((), ())


def test_restarts_alone_do_not_say_that_requests_would_be_seen() -> None:
    unseen = Arm(restarts=(restarts("c", [0] * 6),), started={"c": LONG_AGO})
    samples = read(unseen, None, 6)
    assert errors(samples) == []
    (broken,) = samples.broken
    assert "http_server_request_duration_seconds_bucket at 2026-03-01T11:00:00+00:00" in str(broken)
    assert "none came since then of c or another pod of the canary, and no `up`" in str(broken)


def test_a_pod_that_is_new_is_not_missed_yet() -> None:
    samples = read(Arm(started={"c": SINCE + 2 * LENGTH}), None, 3)
    assert samples.broken == ()


def test_the_first_request_of_an_old_pod_counts() -> None:
    late = Arm(
        buckets=(requests("c", [None, None, 4, 6]),),
        up=(up("c", [1, 1, 1, 1]),),
        started={"c": LONG_AGO},
    )
    assert [one.canary_requests for one in errors(read(late, None, 4))] == [0, 0, 4, 2]


def test_another_port_of_a_pod_does_not_say_when_its_counters_were_absent() -> None:
    """The series is old; that the window's first sample follows `up` of another port is chance."""
    old = Arm(
        buckets=(requests("c", [None, 1_000, 1_004]),),
        up=(up("c", [1, 1, 1], instance="9000", offset=1), up("c", [None, 1, 1])),
        started={"c": LONG_AGO},
    )
    assert [one.canary_requests for one in errors(read(old, None, 3))][-1] == 4
    assert sum(one.canary_requests for one in errors(read(old, None, 3))) == 4


def test_another_port_of_a_pod_does_not_say_that_its_counters_were_scraped() -> None:
    missed = Arm(
        buckets=(requests("c", [0, 10, None, 30]),),
        up=(up("c", [1, 1, 1, 1], instance="9000"), up("c", [1, 1, 0, 1])),
    )
    samples = read(missed, None, 4)
    assert [one.canary_requests for one in errors(samples)] == [0, 10, 20]
    assert samples.blocks[-1].end - samples.blocks[-1].start == 2 * LENGTH


def test_without_requests_nothing_was_slow() -> None:
    quiet = Arm(up=(up("c", [1, 1, 1]),))
    span = Span.following(SINCE, SINCE, SINCE + 3 * LENGTH, LENGTH)
    samples = sample(quiet, None, span, timedelta(milliseconds=500))
    assert [block.counts["slow"] for block in samples.blocks] == [Counts()] * 3
    uncounted = Arm(counts=(requests("c", [0, 10, 20]),))
    last = sample(uncounted, None, span, timedelta(milliseconds=500)).blocks[-1]
    assert "slow" not in last.counts  # requests without a histogram: nobody knows


def test_quiet_pods_beside_a_busy_stable_are_compared() -> None:
    canary = Arm(up=(up("c", [1, 1, 1]),), started={"c": LONG_AGO})
    stable = Arm(buckets=(requests("s", [0, 90, 180]),))
    assert errors(read(canary, stable, 3))[1:] == [counts(0, 0, 90, 0)] * 2


def test_a_pod_scraped_for_both_arms_is_refused_by_its_up_alone() -> None:
    both = Arm(up=(up("c", [1, 1, 1]),))
    samples = read(both, both, 3)
    assert samples.blocks == ()
    assert "matched by both arms" in str(samples.broken[0])


@pytest.mark.parametrize(("cells", "stale"), [(5, False), (6, True), (30, True)])
def test_a_source_that_answers_with_nothing_of_now_is_named(cells: int, stale: bool) -> None:
    arm = Arm(buckets=(requests("c", [0, 10, 20]),), restarts=(restarts("c", [0, 0, 0]),))
    samples = read(arm, None, cells)
    assert len(samples.blocks) == 3
    told = [str(broken) for broken in samples.broken]
    expected = (
        "the source at 2026-03-01T12:00:23+00:00: answers stale data, it has nothing newer: look"
        " why it no longer takes samples"
    )
    assert told == ([expected] if stale else [])


def test_pods_that_are_no_longer_scraped_are_told_from_a_stale_source() -> None:
    canary = Arm(buckets=(requests("c", [0, 10]),), restarts=(restarts("c", [0] * 8),))
    samples = read(canary, None, 8)
    (broken,) = samples.broken
    assert "no pod of the canary was scraped since: look at its targets" in str(broken)


def test_pods_that_are_down_are_no_stale_source() -> None:
    canary = Arm(buckets=(requests("c", [0, 10]),), up=(up("c", [1, 1, *[0] * 6]),))
    (broken,) = read(canary, None, 8).broken
    assert "no pod of the canary was scraped since" in str(broken)


def test_one_arm_without_scrapes_is_named_while_the_other_is_heard() -> None:
    canary = Arm(buckets=(requests("c", [0, 10, *range(20, 100, 10)]),))
    samples = read(canary, Arm(started={"s": LONG_AGO}), 10)
    assert "or another pod of the stable, and no `up`" in str(samples.broken[0])
