"""From raw scrapes to verdicts: an arm whose scrapes stop, and data that cannot be used."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from domain.canary import judge_rules
from domain.judge import Reason, Verdict
from domain.observed_rollout import ObservedRollout, RolloutWatch, Watching, recompute_rollout
from domain.samples import Arm, Series, Span, sample
from domain.soak import known_time, scraped
from domain.trace import _silences
from tests.support.release_records import plan

SINCE = datetime(2026, 3, 1, 12, tzinfo=UTC)
LENGTH = timedelta(seconds=10)
MINUTE = timedelta(minutes=1)
CELLS = 40
P95 = timedelta(milliseconds=500)
RULES = judge_rules(plan(), 10, has_stable=True)
Value = Callable[[int], float]
CODE = "http_response_status_code"


def points(value: Value, cells: Sequence[int]) -> tuple[tuple[float, float], ...]:
    begins = SINCE.timestamp()
    return tuple((begins + 10 * cell + 3, value(cell)) for cell in cells)


def pod(name: str, value: Value, scraped_cells: int = CELLS) -> Arm:
    """Scraped until some cell; `up` is 0 afterwards, its restarts are known all the time."""
    who, cells = {"job": "shop", "instance": f"{name}:80"}, range(scraped_cells)

    def up(cell: int) -> float:
        return float(cell < scraped_cells)

    return Arm(
        buckets=tuple(
            Series(name, {**who, CODE: "200", "le": edge}, points(value, cells))
            for edge in ("0.5", "+Inf")
        ),
        up=(Series(name, who, points(up, range(CELLS))),),
        restarts=(Series(name, {"container": "shop"}, points(lambda _: 0, range(CELLS))),),
        started={name: SINCE - timedelta(hours=2)},
    )


def together(*pods: Arm) -> Arm:
    return Arm(
        buckets=tuple(one for arm in pods for one in arm.buckets),
        up=tuple(one for arm in pods for one in arm.up),
        restarts=tuple(one for arm in pods for one in arm.restarts),
        started={name: at for arm in pods for name, at in arm.started.items()},
    )


def seen_by(arm: Arm, span: Span) -> Arm:
    """What a query of the span's window finds."""
    first, last = span.seen_from.timestamp(), span.until.timestamp()

    def clipped(series: Sequence[Series]) -> tuple[Series, ...]:
        found = (
            replace(one, points=tuple(point for point in one.points if first < point[0] <= last))
            for one in series
        )
        return tuple(one for one in found if one.points)

    return replace(
        arm, buckets=clipped(arm.buckets), up=clipped(arm.up), restarts=clipped(arm.restarts)
    )


def growing(per_cell: float) -> Value:
    return lambda cell: per_cell * cell


CANARY = together(pod("c1", growing(50)), pod("c2", growing(50)))
STABLE = together(*(pod(f"s{n}", growing(300)) for n in range(3)))


def question(**changed: object) -> RolloutWatch:
    return RolloutWatch(
        environment="production",
        namespace="production",
        canary={"track": "canary"},
        stable={"track": "stable"},
        weight=10,
        rules=RULES.model_copy(update=changed),
        since=SINCE,
        ends_at=SINCE + timedelta(hours=1),
        block=LENGTH,
        slow_above=P95,
    )


def watched(canary: Arm, stable: Arm, asked: RolloutWatch | None = None) -> Iterator[Watching]:
    """Observe mode's answers, looked at after each scrape."""
    watching = Watching.begun(asked or question())
    for cell in range(1, CELLS):
        now = SINCE + cell * LENGTH + timedelta(seconds=4)
        span = watching.span(now)
        samples = sample(seen_by(canary, span), seen_by(stable, span), span, P95)
        watching = watching.with_samples(samples).judged(now)
        yield watching


def verdicts(record: ObservedRollout) -> list[tuple[Verdict, Reason]]:
    said = [(one.judgement.verdict, one.judgement.reason) for one in record.answers]
    return list(dict.fromkeys(said))


GATHERING, NO_DATA = (Verdict.HOLD, Reason.gathering), (Verdict.HOLD, Reason.no_data)


def test_arms_that_are_scraped_are_promoted_by_the_default_plan() -> None:
    (*_, last) = watched(CANARY, STABLE)
    assert verdicts(last.record) == [GATHERING, (Verdict.PROMOTE, Reason.within_limit)]


@pytest.mark.parametrize("arm", ["canary", "stable"])
def test_an_arm_whose_scrapes_stop_is_held_however_well_the_other_is_scraped(arm: str) -> None:
    gone = together(*(pod(f"x{n}", growing(50), scraped_cells=6) for n in range(2)))
    arms = (gone, STABLE) if arm == "canary" else (CANARY, gone)
    *_, before, last = watched(*arms)
    assert verdicts(last.record) == [GATHERING, NO_DATA]
    said = last.record.answers[-1].judgement
    assert f"Holding: no data on errors, slow of the {arm} for more than 2 min" in said.sentence
    assert said.time_needed is None
    assert f"every scrape of the {arm}'s pods fails (`up` is 0)" in said.sentence
    assert before.record.blocks[-1].dark == {"errors": (arm,), "slow": (arm,)}
    stored = ObservedRollout.model_validate_json(last.record.model_dump_json())
    assert recompute_rollout(stored).differences == ()


def test_an_estimate_is_given_only_while_both_arms_are_seen() -> None:
    gone = together(*(pod(name, growing(50), scraped_cells=6) for name in ("c1", "c2")))
    last = [one.record.answers[-1].judgement for one in watched(gone, STABLE)]
    assert "more at" in last[5].sentence
    unseen = [one for one in last if one.reason is Reason.gathering][-1]
    assert unseen.time_needed is None
    assert "no pod of the canary was scraped of late" in unseen.sentence
    assert "more at" not in unseen.sentence


def test_one_dark_pod_of_many_holds_nothing() -> None:
    pods = [pod(f"c{n}", growing(50), scraped_cells=6 if n == 0 else CELLS) for n in range(12)]
    (*_, last) = watched(together(*pods), STABLE)
    assert verdicts(last.record)[-1] == (Verdict.PROMOTE, Reason.within_limit)
    assert not any(block.dark for block in last.record.blocks)


def test_a_quiet_canary_that_is_scraped_is_quiet_and_not_dark() -> None:
    unasked = replace(CANARY, buckets=())
    (*_, last) = watched(unasked, STABLE, question(deadline=3 * MINUTE, extensions=0))
    assert verdicts(last.record) == [GATHERING, (Verdict.HOLD, Reason.no_traffic)]
    assert not any(block.dark for block in last.record.blocks)


def test_quiet_pods_count_0_requests_one_by_one() -> None:
    asked, unasked = pod("c1", growing(50)), replace(pod("c2", growing(0)), buckets=())
    span = Span.following(SINCE, SINCE, SINCE + 3 * LENGTH, LENGTH)
    blocks = sample(together(asked, unasked), STABLE, span, P95).blocks
    told = [block.pods.canary_requests for block in blocks if block.pods is not None]
    assert told == [(50, 0), (50, 0)]


def test_the_time_of_a_restart_is_no_scrape_of_requests() -> None:
    gone = together(*(pod(name, growing(50), scraped_cells=2) for name in ("c1", "c2")))
    span = Span(SINCE, SINCE, SINCE + 20 * LENGTH, LENGTH, SINCE)
    dark = [block.dark for block in sample(gone, STABLE, span).blocks]
    assert dark[:2] == [{}, {}]
    assert dark[2:] == [{"errors": ("canary",)}] * len(dark[2:])
    later = replace(span, after=SINCE + 10 * LENGTH, seen_from=SINCE + 5 * LENGTH)
    (first, *_) = sample(seen_by(gone, later), seen_by(STABLE, later), later).blocks
    assert first.dark == {"errors": ("canary",)}


def spoiled_by(canary: Value, **changed: object) -> Watching:
    broken = together(pod("c1", growing(50)), pod("c2", canary))
    (*_, last) = watched(broken, STABLE, question(**changed))
    return last


def test_a_third_of_the_blocks_left_out_is_counted_and_named_in_the_verdict() -> None:
    last = spoiled_by(lambda cell: math.nan if cell % 3 == 2 else 50 * cell)
    first = last.record.first(Verdict.PROMOTE)
    assert first is not None
    left_out = sum(bool(block.spoiled) for block in last.record.blocks[: first.blocks])
    assert left_out > 5
    assert first.judgement.sentence.endswith(
        f"; {left_out} of {first.blocks} blocks could not be used, the latest: value nan is not a"
        " count (pod c2)"
    )
    stored = ObservedRollout.model_validate_json(last.record.model_dump_json())
    assert recompute_rollout(stored).differences == ()
    hidden = tuple(block for block in stored.blocks if not block.spoiled)
    answers = (first.with_(blocks=first.blocks - left_out),)
    fewer = stored.with_(blocks=hidden, answers=answers)
    assert any("sentence: stored" in line for line in recompute_rollout(fewer).differences)


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_data_that_are_broken_throughout_are_no_data_also_at_a_short_deadline(value: float) -> None:
    last = spoiled_by(lambda _: value, deadline=MINUTE, extensions=0)
    assert verdicts(last.record) == [GATHERING, NO_DATA]
    said = last.record.answers[-1].judgement.sentence
    assert f" blocks could not be used, the latest: value {value:g} is not a count (pod c" in said
    assert said.count("is not a count") == 1  # no second way to say the same


def test_restarts_are_judged_also_where_the_first_block_could_not_be_used() -> None:
    last = spoiled_by(lambda cell: math.nan if cell < 4 else 50 * cell)
    assert "restarts" in last.state.metrics
    assert (last.state.left_out.blocks, last.state.left_out.of) == (4, len(last.record.blocks))
    assert recompute_rollout(last.record).differences == ()


def test_a_soak_earns_nothing_while_its_revision_is_not_scraped() -> None:
    gone = together(*(pod(name, growing(50), scraped_cells=6) for name in ("c1", "c2")))
    span = Span(SINCE, SINCE, SINCE + 30 * LENGTH, LENGTH, SINCE)
    assert known_time(sample(gone, None, span).blocks) == 6 * LENGTH
    later = replace(span, after=SINCE + 10 * LENGTH, seen_from=SINCE + 9 * LENGTH)
    blocks = sample(seen_by(gone, later), None, later).blocks
    assert len(blocks) == 20  # its restarts are known all the time
    assert (scraped(blocks), known_time(blocks)) == ((), timedelta(0))


def test_a_report_shows_the_time_in_which_an_arm_was_dark() -> None:
    gone = together(*(pod(name, growing(50), scraped_cells=6) for name in ("c1", "c2")))
    (*_, last) = watched(gone, STABLE)
    until = SINCE + CELLS * LENGTH
    begun = Watching.begun(last.record.watched).state
    (stretch,) = _silences(begun, until, RULES, last.record.blocks)
    assert (stretch.start, stretch.end) == (SINCE + 6 * LENGTH, until)
