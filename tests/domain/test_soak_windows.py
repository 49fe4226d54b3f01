"""The windows of a soak that are kept: small, whole, and what another plan makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.plan import ServicePlan
from domain.records import canonical_json
from domain.soak import SoakProgress, SoakRecord, SoakWindow
from domain.soak_replay import soak_under
from domain.soak_windows import MOST_STRETCHES, NOTHING, Counted, Finding, SoakStretch, kept
from tests.support.release_records import NOON, plan

HALF, HOUR = timedelta(minutes=30), timedelta(hours=1)
RULES = ("pause", "reset", "credit")


def seen(requests: int = 1000, errors: int = 0, slow: int = 0) -> dict[str, Counted]:
    return {
        "errors": Counted(requests, errors),
        "slow": Counted(requests, slow),
        "restarts": Counted(30, 0),
    }


def healthy(requests: int = 1000, **bad: int) -> SoakWindow:
    counts = seen(requests, **bad)
    return SoakWindow(
        length=HALF, healthy=True, sentence="healthy", finding=Finding.HEALTHY,
        counts=counts, known=HALF,
    )  # fmt: skip


def over(**bad: int) -> SoakWindow:
    return SoakWindow(
        length=HALF, healthy=False, sentence="errors", finding=Finding.LIMITS,
        counts=seen(**bad), known=HALF,
    )  # fmt: skip


def quiet(requests: int) -> SoakWindow:
    return SoakWindow(
        length=HALF, healthy=False, unknown=HALF, sentence="few", finding=Finding.QUIET,
        counts=seen(requests), known=HALF,
    )  # fmt: skip


CRASHED = SoakWindow(length=HALF, healthy=False, sentence="0 of 1 ready", finding=Finding.PODS)
BLIND = SoakWindow(
    length=HALF, healthy=False, unknown=HALF, sentence="no metrics", finding=Finding.SILENT
)
PROBED = SoakWindow(length=HALF, healthy=False, sentence="probe", finding=Finding.PROBE)
OLDER = SoakWindow(length=HALF, healthy=False, sentence="errors")


def soaked(windows: Sequence[SoakWindow], under: ServicePlan, *, keeps: bool = True) -> SoakRecord:
    """The record as the workflow makes it; it stops where the goal is earned."""
    progress, at = SoakProgress(goal=under.pace.soak), NOON
    for window in windows:
        if progress.is_earned:
            break
        progress = progress.add(window, under.soak.on_unhealthy, at if keeps else None)
        at += window.length
    return SoakRecord(plan=under.soak, progress=progress)


def soak(duration: str = "2h", **sections: Any) -> ServicePlan:
    limits = sections.pop("limits", {})
    return plan(soak={"duration": duration, **sections}, limits=limits)


# --- what is kept ------------------------------------------------------------------------------

windows = st.lists(
    st.sampled_from([healthy(), over(errors=90), quiet(3), CRASHED, BLIND, OLDER]), max_size=60
)


@given(windows, st.sampled_from(RULES), st.integers(1, 20))
def test_what_is_kept_is_all_of_the_soak_whatever_was_joined(
    found: list[SoakWindow], rule: str, most: int
) -> None:
    progress = soaked(found, soak("24h", on_unhealthy=rule)).progress
    for stretches in (progress.stretches, kept(progress.stretches, most)):
        assert sum(one.windows for one in stretches) == progress.windows
        assert sum((one.length for one in stretches), NOTHING) == progress.elapsed
        assert [one.earned for one in stretches[-1:]] == [progress.earned] * bool(stretches)
    assert len(kept(progress.stretches, most)) <= most


def test_a_soak_of_days_in_minutes_stays_small_as_a_state_and_as_evidence() -> None:
    minute = timedelta(minutes=1)
    wordy = over(errors=90).with_(length=minute, sentence="pods " * 100)
    found = [healthy().with_(length=minute), wordy] * 400
    found += [healthy().with_(length=minute)] * 2_000
    progress = soaked(found, soak("72h", deadline="96h")).progress
    assert len(progress.stretches) == MOST_STRETCHES
    assert len(canonical_json(progress)) < 100_000
    whole = soaked([healthy()] * 48, soak("24h")).progress
    assert len(whole.stretches) == 48
    assert len(canonical_json(whole)) < 48 * 190


def test_alike_windows_are_joined_before_unlike_ones() -> None:
    short = timedelta(minutes=1)
    found = [healthy(), healthy(), CRASHED.with_(length=short), healthy().with_(length=short)]
    progress = soaked(found, soak("24h")).progress
    assert [one.finding for one in kept(progress.stretches, 3)] == ["healthy", "pods", "healthy"]
    assert [one.finding for one in kept(progress.stretches, 2)] == ["healthy", "mixed"]


def test_windows_that_are_not_all_kept_are_not_kept_at_all() -> None:
    begun = SoakProgress(goal=24 * HOUR, earned=HOUR, elapsed=HOUR, windows=2)
    assert begun.add(healthy(), "pause", NOON).stretches == ()
    assert begun.with_(windows=0).add(healthy(), "pause", NOON).stretches != ()


def test_a_window_is_written_briefly_and_reads_as_it_was() -> None:
    (stretch,) = soaked([healthy()], soak()).progress.stretches
    assert SoakStretch.model_validate_json(stretch.model_dump_json()) == stretch
    assert set(stretch.model_dump()) == {"since", "length", "finding", "earned", "counts", "known"}
    plain = SoakWindow(length=HALF, healthy=True, sentence="healthy")
    assert set(plain.model_dump()) == {"length", "healthy", "sentence"}


# --- what another plan makes of them -----------------------------------------------------------


@given(windows, st.sampled_from(RULES), st.sampled_from(RULES), st.integers(1, 60))
def test_another_rule_for_unhealthy_windows_is_answered_as_if_it_had_been_the_plans(
    found: list[SoakWindow], then: str, now: str, most: int
) -> None:
    """Also of joined windows, unless unlike ones had to be joined."""
    old, new = soak("6h", on_unhealthy=then), soak("6h", on_unhealthy=now)
    record = soaked(found, old)
    lived = soaked(found[: record.progress.windows], new)
    stretches = kept(record.progress.stretches, most)
    record = record.with_(progress=record.progress.with_(stretches=stretches))
    judged = soak_under(record, old, new)
    if any(one.finding is Finding.MIXED for one in stretches) and record.progress.unhealthy:
        assert judged.enough in (None, lived.progress.is_earned)
    else:
        assert judged.enough is lived.progress.is_earned


def other(old: ServicePlan, new: ServicePlan, *found: SoakWindow) -> tuple[bool | None, str]:
    judged = soak_under(soaked(found, old), old, new)
    return judged.enough, judged.sentence


def test_a_reset_in_place_of_a_pause_says_what_would_have_been_earned_by_the_end() -> None:
    told = other(soak(), soak(on_unhealthy="reset"), healthy(), CRASHED, *[healthy()] * 3)
    assert told == (
        False,
        "1h 30m of 2h healthy time earned with the new on_unhealthy when the old soak ended, "
        "after 2h 30m: 30m more had been asked; whether that time would have been healthy, no "
        "record says",
    )
    told = other(soak(on_unhealthy="reset"), soak(), healthy(), CRASHED, *[healthy()] * 4)
    assert told == (True, "2h of 2h healthy time earned with the new on_unhealthy, after 2h 30m")


@pytest.mark.parametrize(
    ("old", "new", "found", "enough"),
    [
        # min_requests: up, down, and met.
        ({}, {"min_requests": 20}, [healthy(3), *[healthy()] * 3], False),
        ({}, {"min_requests": 20}, [healthy(20)] * 4, True),
        ({"min_requests": 20}, {"min_requests": 3}, [quiet(3), *[healthy()] * 4], True),
        ({"min_requests": 20}, {"min_requests": 5}, [quiet(3), *[healthy()] * 3], False),
        # errors: 20 of 1000 are over 1 %, not over 2 %; 15 are over neither.
        ({}, {"limits": {"errors": "0.1%"}}, [healthy(errors=15), *[healthy()] * 3], False),
        ({}, {"limits": {"errors": "2%"}}, [over(errors=20), *[healthy()] * 4], True),
        # A window over both limits, one with crashed pods, one without metrics stay what they are.
        ({}, {"limits": {"errors": "2%"}}, [over(errors=90), *[healthy()] * 3], False),
        ({}, {"limits": {"errors": "5%"}}, [CRASHED, *[healthy()] * 3], False),
        ({}, {"limits": {"errors": "5%"}}, [BLIND, *[healthy()] * 3], False),
        # p95: a longer one makes fewer slow, a shorter one more.
        ({}, {"limits": {"p95": "1s"}}, [healthy(slow=40), *[healthy()] * 3], True),
        ({}, {"limits": {"p95": "1s"}}, [over(slow=90), *[healthy()] * 4], None),
        ({}, {"limits": {"p95": "250ms"}}, [healthy()] * 4, None),
        ({}, {"limits": {"p95": "250ms"}}, [over(slow=90), *[BLIND] * 3], False),
        ({}, {"limits": {"p95": "1s"}}, [over(errors=90, slow=90), *[healthy()] * 3], False),
        # What a probe would have added or been answered, and what was not counted.
        ({}, {"probe": {"path": "/x", "rate": 1}}, [healthy()] * 4, None),
        ({}, {"limits": {"errors": "5%"}}, [PROBED, *[healthy()] * 4], None),
        ({}, {"limits": {"errors": "0.5%"}}, [PROBED, *[healthy()] * 3], False),
        ({}, {"limits": {"errors": "5%"}}, [OLDER, *[healthy()] * 4], None),
    ],
)
def test_other_limits_and_requests_are_answered_where_the_counts_say(
    old: dict[str, Any], new: dict[str, Any], found: list[SoakWindow], enough: bool | None
) -> None:
    judged, sentence = other(soak(**old), soak(**new), *found)
    assert judged is enough, sentence
    assert ("not knowable with the new" in sentence) == (enough is None)


def test_a_soak_by_the_new_rules_is_given_up_at_the_new_deadline() -> None:
    new = soak("2h", deadline="2h", on_unhealthy="reset")
    told = other(soak(), new, healthy(), CRASHED, *[healthy()] * 3)
    assert told == (
        False, "1h of 2h healthy time earned with the new on_unhealthy: given up after 2h"
    )  # fmt: skip


def test_only_healthy_time_of_which_scrapes_tell_is_earned_by_new_limits() -> None:
    half_blind = over(errors=20).with_(known=HALF / 2)
    enough, sentence = other(
        soak("1h"), soak("1h", limits={"errors": "2%"}), half_blind, healthy(), healthy()
    )
    assert (enough, sentence.split(" of ")[0]) == (True, "1h")
    assert sentence.endswith("after 1h 30m")


def test_joined_windows_answer_looser_limits_and_not_stricter_ones() -> None:
    old, found = soak("24h"), [healthy(errors=5)] * 48
    record = soaked(found, old)
    few = record.with_(progress=record.progress.with_(stretches=kept(record.progress.stretches, 9)))
    assert soak_under(few, old, soak("24h", limits={"errors": "2%"})).enough is True
    judged = soak_under(few, old, soak("24h", limits={"errors": "0.1%"}))
    assert (judged.enough, "joined to stay small" in judged.sentence) == (None, True)
    assert soak_under(record, old, soak("24h", limits={"errors": "0.1%"})).enough is False


def test_unlike_windows_that_were_joined_answer_no_other_rule() -> None:
    old = soak("24h")
    record = soaked([healthy(), CRASHED, *[healthy()] * 47], old)
    one = record.with_(progress=record.progress.with_(stretches=kept(record.progress.stretches, 1)))
    judged = soak_under(one, old, soak("24h", on_unhealthy="reset"))
    assert (judged.enough, "joined to stay small" in judged.sentence) == (None, True)
    assert soak_under(record, old, soak("24h", on_unhealthy="reset")).enough is False


def test_records_without_windows_answer_as_before() -> None:
    old = soak()
    record = soaked([healthy(), CRASHED, *[healthy()] * 3], old, keeps=False)
    judged = soak_under(record, old, soak(on_unhealthy="reset"))
    assert judged.enough is None
    assert "on_unhealthy changed, and its windows are not stored one by one" in judged.sentence
    assert soak_under(record, old, soak(probe={"path": "/x", "rate": 1})).enough is None


def test_windows_that_the_new_plan_would_cut_otherwise_are_told_as_they_were() -> None:
    _, sentence = other(soak(), soak(window="10m", on_unhealthy="reset"), *[healthy()] * 3, CRASHED)
    assert "with the new on_unhealthy (in windows of 30m)" in sentence
