"""Ten minutes without the metrics source, by the plan's real durations, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

import pytest

from domain.canary import judge_rules
from domain.holds import is_news
from domain.judge.counts import Block, Counts
from domain.judge.decision import judge
from domain.judge.state import JudgeState, observe, start
from domain.judge.verdict import Judgement, Reason, Verdict
from tests.support.judge_streams import SINCE
from tests.support.release_records import plan

PLAN = plan()
RULES = judge_rules(PLAN, 10, has_stable=True)
TICK = PLAN.pace.block
MINUTE = timedelta(minutes=1)
BEGINS, ENDS = SINCE + 3 * MINUTE, SINCE + 13 * MINUTE


class Word(NamedTuple):
    """What an observation ended with, and when."""

    at: datetime
    judgement: Judgement


def block(start: datetime, end: datetime) -> Block:
    """One request per second to the canary, nine to stable, none bad."""
    seconds = round((end - start).total_seconds())
    counts = Counts(canary_requests=seconds, stable_requests=9 * seconds)
    return Block(start=start, end=end, counts={"errors": counts, "slow": counts})


def lost(now: datetime, until: datetime) -> list[Block]:
    """Nothing was scraped: one difference covers the gap when the source is back."""
    if BEGINS < now <= ENDS or until >= now:
        return []
    return [block(until, now)]


def unreachable(now: datetime, until: datetime) -> list[Block]:
    """Scraped all the time, and read late."""
    if BEGINS < now <= ENDS:
        return []
    ticks = round((now - until) / TICK)
    return [block(until + n * TICK, until + (n + 1) * TICK) for n in range(ticks)]


def never_down(now: datetime, until: datetime) -> list[Block]:
    return [block(until, now)]


def words(source: object) -> Iterator[Word]:
    """Every answer that the observing would give, by the rules of its activity."""
    state, told, now = start(RULES, ("errors", "slow"), SINCE), None, SINCE
    while now < SINCE + RULES.last_deadline:
        now += TICK
        state = read(source, state, now)
        judgement = judge(state, RULES, now - SINCE)
        if judgement.verdict is not Verdict.HOLD:
            yield Word(now, judgement)
            return
        if is_news(judgement, told):
            yield Word(now, judgement)
            told = None if judgement.reason is Reason.gathering else judgement.reason


def read(source: object, state: JudgeState, now: datetime) -> JudgeState:
    assert callable(source)
    for one in source(now, state.until or SINCE):
        state = observe(state, RULES, one)
    return state


@pytest.mark.parametrize("source", [lost, unreachable])
def test_an_outage_of_ten_minutes_is_told_in_two_moves_nothing_and_then_it_finishes(
    source: object,
) -> None:
    told, *rest = words(source)
    assert told.judgement.reason is Reason.no_data
    assert BEGINS < told.at <= BEGINS + RULES.silent_after + TICK
    assert all(word.at > ENDS for word in rest)
    assert rest[-1].judgement.verdict is Verdict.PROMOTE
    assert rest[-1].at < SINCE + RULES.last_deadline
    assert [word.judgement.verdict for word in rest[:-1]] == [Verdict.HOLD] * len(rest[:-1])


def test_without_an_outage_nothing_is_told_before_the_verdict() -> None:
    (only,) = words(never_down)
    assert only.judgement.verdict is Verdict.PROMOTE
    assert only.at > BEGINS


def test_a_gap_that_is_read_late_costs_no_evidence() -> None:
    """Alpha and beta are spent on the same blocks, whenever they are read."""
    late = read(unreachable, read(unreachable, start_state(), BEGINS), ENDS + TICK)
    now, whole = SINCE, start_state()
    while now <= ENDS:
        now += TICK
        whole = read(never_down, whole, now)
    assert late == whole


def start_state() -> JudgeState:
    return start(RULES, ("errors", "slow"), SINCE)
