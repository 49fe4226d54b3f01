"""The declared load: shared by the arms as users are, bounded, and only where it is wanted."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.canary import judge_rules
from domain.judge.counts import Block, Counts
from domain.judge.decision import judge
from domain.judge.rules import OnQuiet
from domain.judge.state import JudgeState, observe, start
from domain.judge.verdict import Reason, Verdict
from domain.load import (
    MOST_REQUESTS,
    LoadReport,
    Tally,
    lasts,
    requests_of,
    rules_under_load,
    to_canary,
    wants_load,
)
from domain.metrics.templates import PROBE_ROUTES
from domain.plan import ServicePlan
from domain.probes import Probe
from tests.support.release_records import NOON, plan

MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)


def with_load(**canary: Any) -> ServicePlan:
    load = {"path": "/api/v1/albums", "rate": canary.pop("rate", 5)}
    return plan(canary={"on_quiet": "synthetic", "load": load, **canary})


@given(st.integers(1, 100), st.integers(0, 500))
def test_each_hundred_requests_is_shared_as_the_users_are_and_evenly(weight: int, at: int) -> None:
    taken = [to_canary(number, weight) for number in range(at, at + 100)]
    assert sum(taken) == weight
    gaps = [number for number, canary in enumerate(taken) if canary]
    assert all(b - a <= -(-100 // weight) for a, b in pairwise(gaps))


@given(st.integers(1, 10**6), st.integers(1, 100), st.floats(0.01, 10))
def test_no_load_is_longer_than_the_most(least: int, weight: int, rate: float) -> None:
    asked = with_load(min_requests=least, rate=rate)
    assert asked.canary.load is not None
    assert 1 <= requests_of(asked, asked.canary.load, weight) <= MOST_REQUESTS


def test_a_load_lasts_a_deadline_or_until_the_canary_has_its_requests() -> None:
    fast, slow = with_load(rate=5), with_load(rate=0.1)
    assert fast.canary.load is not None
    assert slow.canary.load is not None
    assert requests_of(fast, fast.canary.load, 10) == 5 * 600
    assert lasts(fast, fast.canary.load, 10) == 10 * MINUTE + MINUTE
    assert requests_of(slow, slow.canary.load, 10) == 300  # 30 of them the canary's


def quiet(requests: int, asked: ServicePlan) -> JudgeState:
    """Ten minutes at 10 % with so many requests to the canary in all, none bad."""
    rules = judge_rules(asked, 10, has_stable=True)
    state = start(rules, ("errors",), NOON)
    for number in range(60):
        one = requests // 58 + (1 if number - 2 < requests % 58 else 0)
        counts = Counts(canary_requests=one, canary_bad=0, stable_requests=9 * one, stable_bad=0)
        begun = NOON + number * 10 * SECOND
        block = Block(start=begun, end=begun + 10 * SECOND, counts={"errors": counts})
        state = observe(state, rules, block)
    return state


@pytest.mark.parametrize(("requests", "reason"), [(0, Reason.no_traffic), (58, Reason.needs_load)])
def test_a_quiet_step_wants_its_load_and_is_quiet_when_that_is_over(
    requests: int, reason: Reason
) -> None:
    asked = with_load(extensions=0)
    rules, state = judge_rules(asked, 10, has_stable=True), quiet(requests, asked)
    before = judge(state, rules, 10 * MINUTE)
    assert (before.reason, wants_load(before)) == (reason, True)
    during = judge(state, rules_under_load(rules, 11 * MINUTE), 10 * MINUTE)
    assert (during.verdict, during.reason) == (Verdict.HOLD, Reason.gathering)
    assert not wants_load(during)
    loaded = judge(quiet(58, asked), rules_under_load(rules, 11 * MINUTE), 11 * MINUTE)
    assert (loaded.verdict, loaded.reason) == (Verdict.PROMOTE, Reason.quiet)


def test_a_load_that_nobody_counted_is_no_traffic_still() -> None:
    asked = with_load()
    rules = rules_under_load(judge_rules(asked, 10, has_stable=True), 11 * MINUTE)
    assert rules.on_quiet is OnQuiet.advance
    assert judge(quiet(0, asked), rules, 11 * MINUTE).reason is Reason.no_traffic


def test_answers_other_than_declared_are_told_and_beyond_chance_they_are_wrong() -> None:
    report = LoadReport()
    for _ in range(6):
        report = report.add("answered 404, expected 200", canary=True)
    assert not report.canary.is_wrong()
    report = report.add("answered 404, expected 200", canary=True).add("", canary=False)
    assert report.canary.is_wrong()
    assert report.sentence == (
        "declared load sent, 8 requests; canary: 0 of 7 answered as declared, last: answered 404, "
        "expected 200; stable: 1 of 1 answered as declared"
    )
    assert not Tally(sent=20, unexpected=1).is_wrong(limit=0.01)
    assert Tally(sent=20, unexpected=3).is_wrong(limit=0.01)


@pytest.mark.parametrize("route", sorted(PROBE_ROUTES))
@pytest.mark.parametrize("form", ["{}", "{}/", "{}?deep=1"])
def test_a_probe_that_would_not_be_counted_is_refused(route: str, form: str) -> None:
    with pytest.raises(ValidationError, match="left out of all counts"):
        Probe(path=form.format(route))


def test_a_release_that_began_before_there_was_a_load_can_still_be_read() -> None:
    assert plan(canary={"on_quiet": "synthetic"}).canary.load is None


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"canary": {"load": {"path": "/a"}}}, "sent only with on_quiet: synthetic, not advance"),
        ({"soak": {"probe": "/a", "min_requests": 0}}, "the probe is never sent"),
        ({"soak": {"probe": "/a", "min_requests": 31}}, "the probe sends 30 in the 30 s"),
        ({"soak": {"probe": {"path": "/a", "rate": 11}}}, "less than or equal to 10"),
        ({"soak": {"probe": {"path": "/a", "rate": True}}}, "must be a number"),
        ({"soak": {"probe": {"path": "/a", "method": "POST"}}}, "'GET'"),
        ({"soak": {"probe": {"path": "a"}}}, "pattern"),
    ],
)
def test_a_plan_whose_load_cannot_be_meant_is_refused(sections: Any, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        plan(**sections)


def test_a_window_needs_twenty_requests_where_a_probe_can_send_them_else_none() -> None:
    assert plan().soak.least_requests == 0
    assert plan(soak={"probe": "/a"}).soak.least_requests == 20
    assert plan(soak={"min_requests": 5}).soak.least_requests == 5
