"""Raw counters to blocks: differences per pod and scrape, resets, births, gaps, broken data."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.judge import Block, Counts, Histogram, Pods
from domain.samples import ERRORS, RESTARTS, SERIES_LIMIT, SLOW, Arm, Samples, Series, Span, sample
from domain.scrapes import SCRAPER_LABELS
from tests.support.judge_streams import counts

SINCE = datetime(2026, 3, 1, 12, tzinfo=UTC)
LENGTH = timedelta(seconds=10)
SLOW_ABOVE = timedelta(milliseconds=500)
Values = Sequence[float | None]


def series(pod: str, values: Values, **labels: str) -> Series:
    """One value per cell of 10 s, scraped 3 s into it; None: no scrape."""
    return scraped(pod, values, 3, 1, labels)


def scraped(
    pod: str, values: Values, offset: float, scale: float, labels: dict[str, str]
) -> Series:
    """One value per cell of 10 s x `scale`, scraped `offset` x `scale` into it."""
    begins = SINCE.timestamp()
    points = tuple(
        (begins + scale * (10 * index + offset), value)
        for index, value in enumerate(values)
        if value is not None
    )
    return Series(pod, {"pod": pod, "http_response_status_code": "200"} | labels, points)


def histogram(pod: str, totals: Values, fast: Values, **labels: str) -> tuple[Series, ...]:
    """The two buckets that count: `le="0.5"` and `le="+Inf"`."""
    return (
        series(pod, fast, **labels, le="0.5"),
        series(pod, totals, **labels, le="+Inf"),
        series(pod, fast, **labels, le="0.25"),
    )


def total(pod: str, values: Values, **labels: str) -> Arm:
    return Arm(counts=(series(pod, values, **labels),))


def read(
    canary: Arm,
    stable: Arm | None,
    cells: float,
    slow_above: timedelta | None = None,
    after: int = 0,
) -> Samples:
    """What a query at the end of the cells finds."""
    now = SINCE + cells * LENGTH
    span = Span.following(SINCE, SINCE + after * LENGTH, now, LENGTH)
    return sample(_until(canary, now), stable and _until(stable, now), span, slow_above)


def errors(samples: Samples) -> list[Counts]:
    return [block.counts[ERRORS] for block in samples.blocks]


STABLE = total("s", [0, 90, 180, 270, 360, 450])


def test_growth_between_scrapes_becomes_one_block_per_cell() -> None:
    samples = read(total("c", [5, 15, 25, 45]), STABLE, 4)
    assert errors(samples) == [
        counts(0, 0, 0, 0),
        counts(10, 0, 90, 0),
        counts(10, 0, 90, 0),
        counts(20, 0, 90, 0),
    ]
    assert [block.start for block in samples.blocks] == [SINCE + n * LENGTH for n in range(4)]
    assert samples.until == SINCE + 4 * LENGTH
    assert samples.broken == ()


def test_the_order_in_which_a_source_answers_changes_nothing() -> None:
    pods = tuple(series(pod, [0, grown]) for pod, grown in (("a", 3), ("b", 5), ("c", 7)))
    found = [read(Arm(counts=order), STABLE, 2) for order in (pods, pods[::-1])]
    assert found[0].blocks[1].pods is not None
    assert found[0] == found[1]


def test_server_errors_are_bad_and_client_errors_are_not() -> None:
    canary = Arm(
        counts=(
            series("c", [0, 10]),
            series("c", [0, 3], http_response_status_code="503"),
            series("c", [0, 4], http_response_status_code="404", error_type="404"),
            series("c", [0, 2], http_response_status_code="", error_type="TimeoutError"),
        )
    )
    assert errors(read(canary, STABLE, 2))[1] == counts(19, 5, 90, 0)


def test_a_request_above_the_nearest_edge_is_slow() -> None:
    canary = Arm(buckets=histogram("c", [0, 10, 20], [0, 9, 14]))
    stable = Arm(buckets=histogram("s", [0, 90, 180], [0, 90, 175]))
    samples = read(canary, stable, 3, SLOW_ABOVE)
    assert [block.counts[SLOW] for block in samples.blocks[1:]] == [
        counts(10, 1, 90, 0),
        counts(10, 5, 90, 5),
    ]
    assert errors(samples)[1] == counts(10, 0, 90, 0)


@pytest.mark.parametrize(
    ("limit", "edge"), [(0.5, "0.5"), (0.49, "0.5"), (0.3, "0.25"), (0.375, "0.25"), (9, "0.5")]
)
def test_the_nearest_edge_that_both_arms_have_is_used(limit: float, edge: str) -> None:
    def arm(pod: str, *extra: str) -> Arm:
        grown = {"0.25": 2, "0.5": 5, "1": 9, "+Inf": 10}
        return Arm(
            buckets=tuple(
                series(pod, [0, grown[le]], le=le) for le in ("0.25", "0.5", "+Inf", *extra)
            )
        )

    samples = read(arm("c", "1"), arm("s"), 2, timedelta(seconds=limit))
    slow = {"0.25": 8, "0.5": 5}[edge]
    assert samples.blocks[1].counts[SLOW] == counts(10, slow, 10, slow)


def test_arms_without_a_common_edge_have_no_slow_metric_and_say_so() -> None:
    canary = Arm(buckets=(series("c", [0, 5], le="0.5"), series("c", [0, 5], le="+Inf")))
    stable = Arm(buckets=(series("s", [0, 5], le="1"), series("s", [0, 5], le="+Inf")))
    samples = read(canary, stable, 2, SLOW_ABOVE)
    assert SLOW not in samples.blocks[1].counts
    assert "no bucket edge that both arms have near 0.5 s" in str(samples.broken[0])


def test_a_counter_that_went_down_began_anew() -> None:
    assert errors(read(total("c", [100, 110, 4, 9]), STABLE, 4))[1:] == [
        counts(10, 0, 90, 0),
        counts(4, 0, 90, 0),
        counts(5, 0, 90, 0),
    ]


def test_a_counter_that_went_down_to_zero_began_anew() -> None:
    assert errors(read(total("c", [100, 0, 5]), STABLE, 3))[1:] == [
        counts(0, 0, 90, 0),
        counts(5, 0, 90, 0),
    ]


def test_a_scrape_at_the_end_of_a_cell_belongs_to_it_alone() -> None:
    canary = Arm(
        counts=(scraped("c", [0, 10, math.nan, 30, 40], 10, 1, {}),),
        restarts=(scraped("c", [0, 1, 2, 3, 4], 10, 1, {"container": "app"}),),
    )
    samples = read(canary, Arm(counts=(scraped("s", [0, 90, 180, 270, 360], 10, 1, {}),)), 5)
    assert [block.start for block in samples.blocks] == [SINCE + n * LENGTH for n in (0, 1, 3, 4)]
    assert errors(samples)[1:] == [
        counts(10, 0, 90, 0),
        counts(0, 0, 90, 0),
        counts(10, 0, 90, 0),
    ]
    assert [block.counts[RESTARTS].canary_bad for block in samples.blocks[1:]] == [1, 1, 1]


def test_no_block_ends_after_what_was_queried() -> None:
    stable = total("s", [0, 90, 180])
    assert read(total("c", [0, 10, 20]), stable, 2.5).until == SINCE + 2 * LENGTH


def test_one_counter_that_went_down_restarts_all_counters_of_the_pod() -> None:
    canary = Arm(buckets=histogram("c", [10, 12], [10, 9]))
    stable = Arm(buckets=histogram("s", [0, 90], [0, 90]))
    samples = read(canary, stable, 2, SLOW_ABOVE)
    assert samples.broken == ()
    assert samples.blocks[1].counts[SLOW] == counts(12, 3, 90, 0)


def test_a_new_error_code_of_a_known_pod_starts_from_zero() -> None:
    canary = Arm(
        counts=(
            series("c", [0, 10, 20]),
            series("c", [None, None, 7], http_response_status_code="500"),
        )
    )
    assert errors(read(canary, STABLE, 3))[2] == counts(17, 7, 90, 0)


def test_a_pod_born_in_the_step_starts_from_zero() -> None:
    born = Arm(counts=(series("c", [None, 8, 18]),), started={"c": SINCE + timedelta(seconds=6)})
    assert errors(read(born, STABLE, 3)) == [
        counts(0, 0, 0, 0),
        counts(8, 0, 90, 0),
        counts(10, 0, 90, 0),
    ]


def test_a_pod_born_with_the_step_starts_from_zero() -> None:
    born = Arm(counts=(series("c", [8, 18]),), started={"c": SINCE})
    assert errors(read(born, STABLE, 2))[0].canary_requests == 8


def test_a_pod_of_unknown_or_older_birth_is_counted_from_its_second_scrape() -> None:
    unknown = Arm(counts=(series("c", [None, 8, 18]),))
    older = Arm(counts=unknown.counts, started={"c": SINCE - timedelta(seconds=1)})
    for arm in (unknown, older):
        assert errors(read(arm, STABLE, 3))[1:] == [counts(0, 0, 90, 0), counts(10, 0, 90, 0)]


def test_growth_over_the_weight_change_is_left_out() -> None:
    before = Series(
        "c",
        {"pod": "c", "http_response_status_code": "200"},
        ((SINCE.timestamp() - 7, 0), (SINCE.timestamp() + 3, 50), (SINCE.timestamp() + 13, 60)),
    )
    assert errors(read(Arm(counts=(before,)), STABLE, 2)) == [
        counts(0, 0, 0, 0),
        counts(10, 0, 90, 0),
    ]


def test_a_missing_scrape_merges_its_block_with_the_next() -> None:
    samples = read(total("c", [0, 10, None, 30, 40]), STABLE, 5)
    assert errors(samples)[1:] == [
        counts(10, 0, 90, 0),
        counts(20, 0, 180, 0),
        counts(10, 0, 90, 0),
    ]
    assert samples.blocks[2].end - samples.blocks[2].start == 2 * LENGTH


def test_one_silent_pod_of_many_does_not_hold_the_block() -> None:
    pods = tuple(series(f"s{n}", [0, 10, None if n == 0 else 20, 30]) for n in range(12))
    blocks = errors(read(total("c", [0, 10, 20, 30]), Arm(counts=pods), 4))
    assert [block.stable_requests for block in blocks[1:]] == [120, 110, 130]


def test_the_block_at_the_edge_waits_for_a_late_scrape() -> None:
    samples = read(total("c", [0, 10, None]), STABLE, 3)
    assert samples.until == SINCE + 2 * LENGTH
    later = read(total("c", [0, 10, None, 30]), STABLE, 4, after=2)
    assert errors(later) == [counts(20, 0, 180, 0)]


def test_a_pod_that_is_gone_does_not_hold_the_blocks_for_ever() -> None:
    samples = read(total("c", [0, 10]), total("s", list(range(0, 900, 90))), 10)
    assert samples.until == SINCE + 10 * LENGTH
    assert sum(block.stable_requests for block in errors(samples)) == 810


def test_polling_gives_the_same_blocks_as_reading_once() -> None:
    canary, stable = total("c", range(0, 120, 10)), total("s", range(0, 1080, 90))
    once = read(canary, stable, 12)
    blocks: list[Block] = []
    after = SINCE
    for poll in range(1, 25):
        now = SINCE + poll * LENGTH / 2
        span = Span.following(SINCE, after, now, LENGTH)
        samples = sample(_until(canary, now), _until(stable, now), span)
        blocks += samples.blocks
        after = samples.until
    assert tuple(blocks) == once.blocks


def _until(arm: Arm, now: datetime) -> Arm:
    def cut(given: tuple[Series, ...]) -> tuple[Series, ...]:
        return tuple(
            replace(item, points=tuple(p for p in item.points if p[0] <= now.timestamp()))
            for item in given
        )

    return replace(
        arm, buckets=cut(arm.buckets), counts=cut(arm.counts), restarts=cut(arm.restarts)
    )


@given(
    grown=st.lists(st.integers(0, 30), min_size=3, max_size=12),
    offset=st.floats(0.1, 9.9),
    scale=st.sampled_from((1.0, 0.01)),
)
def test_nothing_is_lost_or_counted_twice_at_any_clock(
    grown: list[int], offset: float, scale: float
) -> None:
    totals = [float(sum(grown[: index + 1])) for index in range(len(grown))]
    canary = Arm(counts=(scraped("c", totals, offset, scale, {}),))
    stable = Arm(counts=(scraped("s", totals, 10 - offset, scale, {}),))
    length = LENGTH * scale
    span = Span(SINCE, SINCE, SINCE + len(grown) * length, length, SINCE)
    blocks = errors(sample(canary, stable, span))
    assert len(blocks) == len(grown)
    assert sum(block.canary_requests for block in blocks) == sum(grown[1:])
    assert sum(block.stable_requests for block in blocks) == sum(grown[1:])


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 1e300])
def test_a_value_that_is_no_count_drops_its_block_in_both_arms_and_is_named(value: float) -> None:
    samples = read(total("c", [0, 10, value, 30, 40]), STABLE, 5)
    assert [block.start for block in samples.blocks] == [SINCE + n * LENGTH for n in (0, 1, 3, 4)]
    assert errors(samples)[2:] == [counts(0, 0, 90, 0), counts(10, 0, 90, 0)]
    (broken,) = samples.broken
    assert (broken.pod, broken.at) == ("c", SINCE + 2 * LENGTH + timedelta(seconds=3))
    assert "is not a count" in str(broken)
    assert 'http_response_status_code="200"' in str(broken)


def test_broken_data_of_an_earlier_block_is_not_named_again() -> None:
    at_its_end = Arm(counts=(scraped("c", [0, math.nan, 20, 30], 10, 1, {}),))
    assert read(at_its_end, STABLE, 4, after=2).broken == ()
    assert read(total("c", [0, math.nan, 20, 30]), STABLE, 4, after=2).broken == ()


def test_scrapes_out_of_order_leave_no_block() -> None:
    sound = series("c", [0, 10, 20])
    for points in (sound.points[::-1], (*sound.points, sound.points[-1])):
        samples = read(Arm(counts=(Series("c", sound.labels, points),)), STABLE, 3)
        assert samples.blocks == ()
        assert "repeated or out of order" in str(samples.broken[0])


@pytest.mark.parametrize("label", sorted(SCRAPER_LABELS - {"__name__"}))
def test_a_series_told_by_two_who_scraped_it_leaves_no_block(label: str) -> None:
    """Two jobs, or a pair of Prometheus whose answers are not deduplicated."""
    twice = Arm(counts=tuple(series("c", [0, 10], **{label: by}) for by in ("a", "b")))
    samples = read(twice, STABLE, 2)
    assert samples.blocks == ()
    assert "the same series twice" in str(samples.broken[0])


def test_a_pod_in_both_arms_leaves_no_block() -> None:
    samples = read(total("c", [0, 10]), total("c", [0, 10]), 2)
    assert samples.blocks == ()
    assert "matched by both arms" in str(samples.broken[0])


def test_more_fast_requests_than_requests_are_broken_data() -> None:
    canary = Arm(buckets=histogram("c", [0, 10], [0, 11]))
    samples = read(canary, Arm(buckets=histogram("s", [0, 9], [0, 9])), 2, SLOW_ABOVE)
    assert len(samples.blocks) == 1
    assert "counts 11 requests of 10 in all" in str(samples.broken[0])


def test_probes_are_not_traffic_but_show_that_the_pod_is_scraped() -> None:
    probed = Arm(counts=(series("c", [0, 10, 20], http_route="/health"),))
    assert errors(read(probed, None, 3)) == [Counts()] * 3


def test_restarts_are_counted_per_pod_and_scrape() -> None:
    canary = Arm(
        counts=(series("c", [0, 10, 20]),), restarts=(series("c", [0, 1, 3], container="app"),)
    )
    stable = Arm(
        counts=STABLE.counts,
        restarts=(series("s", [7, 7, 7], container="app"), series("t", [0, 0, 0])),
    )
    blocks = read(canary, stable, 3).blocks
    assert [block.counts[RESTARTS] for block in blocks] == [
        Counts(),  # there is no difference yet, and the metric is there from the first block on
        counts(1, 1, 2, 0),
        counts(1, 2, 2, 0),
    ]
    # One scrape since the weight changed tells no difference yet; that it is counted must be
    # known from the first block on, else restarts are never judged.
    assert blocks[0].counts[RESTARTS] == Counts()


def test_a_crashing_canary_without_requests_still_gives_blocks() -> None:
    canary = Arm(restarts=(series("c", [0, 1, 2], container="app"),))
    samples = read(canary, None, 3)
    assert samples.blocks[1].counts == {RESTARTS: counts(1, 1, 0, 0)}


def test_no_series_at_all_is_no_block() -> None:
    samples = read(Arm(), Arm(), 10)
    assert (samples.blocks, samples.until) == ((), SINCE)


def test_a_first_release_has_no_stable_arm() -> None:
    assert errors(read(total("c", [0, 10, 20]), None, 3))[1:] == [counts(10, 0, 0, 0)] * 2


def test_after_an_outage_of_the_source_one_difference_covers_it() -> None:
    values: Iterable[float | None] = [0, 10, *[None] * 30, 320, 330]
    canary = total("c", list(values))
    stable = total("s", [9 * value if value is not None else None for value in canary_values(34)])
    samples = read(canary, stable, 34)
    assert [block.canary_requests for block in errors(samples)] == [0, 10, 310, 10]
    assert [block.stable_requests for block in errors(samples)] == [0, 90, 2790, 90]


def canary_values(cells: int) -> list[float | None]:
    return [10 * n if n < 2 or n > 31 else None for n in range(cells)]


def test_the_window_bridges_missing_scrapes() -> None:
    span = Span.following(SINCE, SINCE + 9 * LENGTH, SINCE + 10 * LENGTH, LENGTH)
    assert span.seen_from == SINCE + 3 * LENGTH
    assert span.window == 7 * LENGTH


# --- histograms and pods -----------------------------------------------------------------------


def bucketed(pod: str, grown: dict[str, Values], **labels: str) -> tuple[Series, ...]:
    return tuple(series(pod, values, **labels, le=edge) for edge, values in grown.items())


def test_beside_a_stable_every_other_common_edge_is_counted() -> None:
    canary = bucketed(
        "c", {"0.1": [0, 4], "0.5": [0, 7], "1": [0, 9], "2": [0, 9], "+Inf": [0, 10]}
    )
    stable = bucketed("s", {"1": [0, 90], "0.5": [0, 80], "0.1": [0, 50], "+Inf": [0, 90]})
    (_, block) = read(Arm(buckets=canary), Arm(buckets=stable), 2, SLOW_ABOVE).blocks
    assert block.counts[SLOW] == counts(10, 3, 90, 10)
    assert block.histograms == {
        SLOW: Histogram(edges=(0.1, 1.0), canary_above=(6, 1), stable_above=(40, 0))
    }


def test_without_a_stable_there_is_no_histogram_to_compare() -> None:
    canary = bucketed("c", {"0.1": [0, 4], "0.5": [0, 7], "+Inf": [0, 10]})
    block = read(Arm(buckets=canary), None, 2, SLOW_ABOVE).blocks[1]
    assert (block.histograms, block.pods) == ({}, None)
    assert block.counts[SLOW] == counts(10, 3, 0, 0)


def test_several_canary_pods_are_counted_one_by_one() -> None:
    canary = (
        *bucketed("a", {"0.5": [0, 9], "+Inf": [0, 10]}),
        *bucketed("b", {"0.5": [0, 8], "+Inf": [0, 9]}),
        *bucketed("b", {"0.5": [0, 0], "+Inf": [0, 2]}, http_response_status_code="500"),
    )
    stable = (
        *bucketed("s", {"0.5": [0, 9], "+Inf": [0, 9]}),
        *bucketed("t", {"0.5": [0, 9], "+Inf": [0, 13]}),
    )
    block = read(Arm(buckets=canary), Arm(buckets=stable), 2, SLOW_ABOVE).blocks[1]
    assert block.pods == Pods(
        canary_requests=(10, 11),
        canary_bad={ERRORS: (0, 2), SLOW: (1, 3)},
        stable_pods=2,
        stable_least=9,
        stable_most=13,
    )
    assert block.counts[ERRORS] == counts(21, 2, 22, 0)


def test_one_canary_pod_is_not_counted_by_pod() -> None:
    assert read(total("c", [0, 10]), STABLE, 2).blocks[1].pods is None


def test_a_pod_that_appears_and_vanishes_inside_a_block_counts_while_it_was_scraped() -> None:
    short = Arm(
        counts=(series("c", [0, 10, 20]), series("d", [None, 8, None])),
        started={"d": SINCE + timedelta(seconds=11)},
    )
    assert [block.canary_requests for block in errors(read(short, STABLE, 6))] == [
        0,
        18,
        10,
        0,
        0,
        0,
    ]


def test_a_pod_of_unknown_birth_that_was_scraped_once_is_named() -> None:
    short = Arm(counts=(series("c", [0, 10, 20, 30, 40, 50]), series("d", [None, 8])))
    samples = read(short, STABLE, 6)
    assert [str(broken) for broken in samples.broken] == [
        "every series of pod d at 2026-03-01T12:00:13+00:00: seen in one scrape and gone: what it"
        " counted cannot be told"
    ]
    assert sum(block.canary_requests for block in errors(samples)) == 50
    assert read(short, STABLE, 4).broken == ()


@pytest.mark.parametrize(("old", "new"), [(15, 60), (15, 30), (20, 15), (30, 60), (10, 15)])
def test_after_a_restart_with_another_scrape_interval_no_block_begins_before_the_last_one(
    old: int, new: int
) -> None:
    canary, stable = total("c", range(60)), total("s", range(0, 540, 9))
    now, length = SINCE + 60 * LENGTH, timedelta(seconds=new)
    for blocks in range(1, 8):
        after = SINCE + blocks * timedelta(seconds=old)
        found = sample(canary, stable, Span.following(SINCE, after, now, length)).blocks
        assert after <= found[0].start < after + length
        assert [one.start for one in found[1:]] == [one.end for one in found[:-1]]


@given(st.integers(1, 200_000), st.integers(50_000, 61_000_000), st.integers(0, 10**9))
def test_blocks_follow_each_other_without_a_gap_whatever_their_length(
    blocks: int, length: int, beginning: int
) -> None:
    since = SINCE + timedelta(microseconds=beginning)
    one = timedelta(microseconds=length)
    after = since + blocks * one
    pod = Series("c", {"pod": "c", "http_response_status_code": "200"}, ())
    points = tuple(((after + n * one).timestamp() - 1e-3, float(n)) for n in range(4))
    arm = Arm(counts=(replace(pod, points=points),))
    found = sample(arm, None, Span.following(since, after, after + 2 * one, one)).blocks
    assert found[0].start == after


# --- clocks, amounts ---------------------------------------------------------------------------


def test_a_pod_scraped_before_it_was_created_shows_that_clocks_differ() -> None:
    early = Arm(counts=(series("c", [0, 10]),), started={"c": SINCE + timedelta(seconds=9)})
    (broken,) = read(early, STABLE, 2).broken
    assert "scraped 6 s before Kubernetes created it: their clocks differ" in str(broken)
    sound = Arm(counts=early.counts, started={"c": SINCE + timedelta(seconds=5)})
    assert read(sound, STABLE, 2).broken == ()


def test_a_scrape_from_the_future_shows_that_clocks_differ() -> None:
    span = Span.following(SINCE, SINCE, SINCE + 1.5 * LENGTH, LENGTH)
    (broken,) = sample(total("c", [0, 10, 20]), total("s", [0, 90]), span).broken
    assert "scraped 8 s from now: clocks differ" in str(broken)


def test_a_hundred_thousand_series_are_refused_with_the_limit() -> None:
    one = series("c", [0, 10, 20])
    samples = read(Arm(counts=(one,) * (SERIES_LIMIT + 1)), None, 3)
    assert (samples.blocks, samples.until) == ((), SINCE)
    (broken,) = samples.broken
    assert "50,001 series are more than the limit of 50,000: drop labels" in str(broken)
    half = (one,) * (SERIES_LIMIT // 2)
    both = read(Arm(buckets=half, counts=half), Arm(restarts=(one,)), 3)
    assert "50,001 series are more" in str(both.broken[0])


def test_as_many_series_as_the_limit_are_read() -> None:
    many = tuple(series(f"c{n}", [0, 1], http_route=f"/{n}") for n in range(SERIES_LIMIT - 1))
    samples = read(Arm(counts=many), total("s", [0, 1]), 2)
    assert errors(samples)[1].canary_requests == SERIES_LIMIT - 1


@given(
    st.lists(
        st.lists(st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True)), max_size=6),
        max_size=4,
    )
)
def test_no_values_whatsoever_end_in_a_traceback_or_in_negative_counts(
    values: list[list[float | None]],
) -> None:
    canary = Arm(
        buckets=tuple(
            series("c" if index % 2 else "d", given_, le=("0.5", "+Inf", "0.1", "+Inf")[index])
            for index, given_ in enumerate(values)
        )
    )
    samples = read(canary, STABLE, 6, SLOW_ABOVE)
    wrong = [v for given_ in values for v in given_ if v is not None and not 0 <= v <= 2**53]
    assert not wrong or samples.broken
