"""Holds: what people must hear of, and which promote of a person counts."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain.holds import ASKED, Hold, is_news, overtaken, unpromotable
from domain.judge.verdict import Judgement, Reason, Thresholds, Verdict
from domain.phases import Phase
from tests.support.release_records import NOON

PROMOTED = (Reason.relative, Reason.within_limit, Reason.quiet)
ROLLED_BACK = (Reason.worse, Reason.over_limit)
HELD = [reason for reason in Reason if reason not in (*PROMOTED, *ROLLED_BACK)]
MUST_KNOW = [reason for reason in HELD if reason is not Reason.gathering]


def judgement(reason: Reason) -> Judgement:
    verdict = Verdict.HOLD
    if reason in PROMOTED:
        verdict = Verdict.PROMOTE
    if reason in ROLLED_BACK:
        verdict = Verdict.ROLL_BACK
    return Judgement(
        verdict=verdict,
        reason=reason,
        sentence="",
        evidence=1.0,
        proof={},
        thresholds=Thresholds(roll_back=100, promote=20),
        counts={},
        blocks=3,
        elapsed=timedelta(0),
    )


def hold(reason: str = "stable_bad", weight: int = 10) -> Hold:
    return Hold(phase=Phase.CANARY, weight=weight, reason=reason, sentence="", since=NOON)


@pytest.mark.parametrize("reason", MUST_KNOW)
def test_a_hold_is_news_until_people_know_its_reason(reason: Reason) -> None:
    assert is_news(judgement(reason), None)
    assert not is_news(judgement(reason), reason)
    other = next(one for one in MUST_KNOW if one is not reason)
    assert is_news(judgement(reason), other)


@pytest.mark.parametrize("reason", [Reason.gathering, *PROMOTED])
def test_that_a_hold_is_over_is_news_and_gathering_alone_is_none(reason: Reason) -> None:
    assert not is_news(judgement(reason), None)
    assert is_news(judgement(reason), Reason.no_data)


def test_gathering_after_a_deadline_is_a_hold_of_its_own_and_told_once() -> None:
    assert not is_news(judgement(Reason.gathering), Reason.gathering)
    assert is_news(judgement(Reason.within_limit), Reason.gathering)


@pytest.mark.parametrize("reason", [*(r for r in HELD if r is not Reason.no_data), ASKED])
def test_a_promote_counts_for_the_hold_that_it_names(reason: str) -> None:
    held = hold(reason)
    assert unpromotable(held, held.name, Phase.CANARY) is None


def test_nobody_promotes_what_nobody_sees() -> None:
    held = hold("no_data")
    why = unpromotable(held, held.name, Phase.CANARY)
    assert why == (
        "nobody sees the new revision at 10 % (no data): promote counts when the metrics source"
        " answers again; abort rolls back"
    )


def test_nothing_is_promoted_while_nothing_is_held() -> None:
    why = unpromotable(None, hold().name, Phase.CANARY)
    assert why == (
        "nothing is held in canary: the judge decides; promote counts while a step is held"
    )


@pytest.mark.parametrize(
    "about",
    [
        None,
        "canary 10 % stable_bad since 2026-03-01T11:59:59.000+00:00",
        hold(weight=50).name,
        hold("both_bad").name,
    ],
)
def test_a_promote_of_another_hold_does_not_count(about: str | None) -> None:
    why = unpromotable(hold(), about, Phase.CANARY)
    assert why == (
        f"it is about {about or 'no hold'}, held now is canary 10 % stable_bad since"
        " 2026-03-01T12:00:00.000+00:00; look again"
    )


@pytest.mark.parametrize("reason", [*PROMOTED, *ROLLED_BACK])
def test_a_verdict_of_the_judge_is_first_whatever_a_person_said_meanwhile(reason: Reason) -> None:
    said = judgement(reason)
    why = overtaken(hold(), said, early=False)
    assert why == f"the judge said {said.verdict} first"


def test_a_promote_counts_while_the_judge_still_holds_for_what_it_is_about() -> None:
    assert overtaken(hold(), judgement(Reason.stable_bad), early=False) is None
    assert overtaken(hold(), judgement(Reason.stable_bad), early=True) is None
    for other in (Reason.no_data, Reason.gathering, Reason.relative):
        why = overtaken(hold(), judgement(other), early=True)
        assert why == "it is not held for stable_bad any more: "
