from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from domain.commands import AcceptedCommand, RefusedCommand
from domain.holds import Hold
from domain.phases import Outcome, Phase
from domain.release import ReleaseState
from domain.soak import SoakProgress
from starter.telling import Calendar, Event, Storyteller
from tests.starter.test_story import HOUR, MINUTE, SECOND, stage, state, verdict
from tests.support.release_records import NOON, accepted

DAY = timedelta(days=1)
START = "release-album-cccccccccc-0001: album cccccccccc, started by starter"


def told(*states: ReleaseState) -> list[str]:
    """The words of a whole story, looked at once per state."""
    storyteller = Storyteller()
    return [event.text for one in states for event in storyteller.tell(one, NOON + HOUR)][1:]


def by(name: str, who: str = "ann", **changes: Any) -> AcceptedCommand:
    return accepted(name, who).with_(at=NOON, **changes)


def test_the_story_begins_with_what_is_released_and_by_whom() -> None:
    assert Storyteller().tell(state(), NOON) == [Event(NOON, START)]


def test_the_first_look_tells_everything_so_far_in_order_with_its_own_times() -> None:
    built = stage(Phase.BUILD, ended_at=NOON + MINUTE, ok=True, sentence="image built")
    soaking = stage(Phase.SOAK, started_at=NOON + 2 * MINUTE)
    found = Storyteller().tell(state(phase=Phase.SOAK, stages=(built, soaking)), NOON + HOUR)
    assert found[1:] == [
        Event(NOON + MINUTE, "✔ build (1m): image built"),
        Event(NOON + 2 * MINUTE, "▶ soak"),
    ]


def test_a_rollback_is_told_once_and_in_the_order_in_which_it_happened() -> None:
    reason = "Rolled back after 3 s on errors"
    shift = "album-a 90 %, album-b 10 %, read back from gateway public"
    canary = stage(Phase.CANARY)
    running = state(
        phase=Phase.CANARY, stages=(canary,), weight=10, sentence=shift, waiting_for="a verdict"
    )
    failed = canary.with_(ended_at=NOON + MINUTE, ok=False, sentence=reason)
    back = stage(
        Phase.ROLLBACK,
        started_at=NOON + MINUTE,
        ended_at=NOON + 2 * MINUTE,
        ok=True,
        sentence="6 of 6 undone",
    )
    over = running.with_(
        phase=Phase.DONE,
        stages=(failed, back),
        verdicts=(verdict(10, reason, "ROLL_BACK"),),
        weight=0,
        sentence=reason,
        outcome=Outcome.ROLLED_BACK,
        ended_at=NOON + 2 * MINUTE,
        waiting_for=None,
    )
    assert told(running, over) == [
        "▶ canary",
        f"  10 % to the new revision: {shift}",
        "  waiting for a verdict",
        "  10 %: ROLL_BACK after 3 s on errors",
        "✘ canary (1m)",
        "▶ rollback",
        "  0 % to the new revision",
        "✔ rollback (1m): 6 of 6 undone",
        "ROLLED_BACK after 2m",
    ]


def test_time_never_runs_backwards_and_nothing_is_later_than_what_follows() -> None:
    storyteller = Storyteller()
    canary = stage(Phase.CANARY)
    running = state(phase=Phase.CANARY, stages=(canary,), weight=10, waiting_for="a verdict")
    seen = storyteller.tell(running, NOON + 50 * SECOND)
    over = running.with_(
        phase=Phase.DONE,
        stages=(canary.with_(ended_at=NOON + MINUTE, ok=True, sentence="promoted"),),
        verdicts=(verdict(10, "fine"), verdict(100, "fine too")),
        weight=100,
        outcome=Outcome.RELEASED,
        ended_at=NOON + MINUTE,
        waiting_for=None,
    )
    seen += storyteller.tell(over, NOON + 2 * MINUTE)
    times = [event.at for event in seen if event.at is not None]
    assert len(times) == len(seen)
    assert times == sorted(times)
    assert times[-1] == NOON + MINUTE


def test_when_nobody_looked_the_time_of_a_verdict_is_left_open() -> None:
    canary = stage(Phase.CANARY, ended_at=NOON + MINUTE, ok=True)
    over = state(phase=Phase.WATCH, stages=(canary,), verdicts=(verdict(100, "fine"),), weight=100)
    events = Storyteller().tell(over, NOON + HOUR)
    assert Event(None, "  100 %: PROMOTE: fine") in events
    assert Calendar(NOON).lines(Event(None, "x")) == ["         x"]


def test_nothing_is_told_twice() -> None:
    now = state(
        phase=Phase.CANARY,
        stages=(stage(Phase.CANARY),),
        verdicts=(verdict(10, "not worse"),),
        sentence="not worse",
        weight=10,
        commands=(by("pause"),),
        waiting_for="a verdict",
    )
    once = told(now)
    assert len(once) == len(set(once))
    assert told(now, now, now.with_(next_wake_up=NOON + HOUR)) == once


@pytest.mark.parametrize(
    ("command", "phase", "ok", "restated", "outcome"),
    [
        ("approve", Phase.APPROVAL, True, "approved by ann", Outcome.RELEASED),
        ("reject", Phase.APPROVAL, False, "rejected by ann: because", Outcome.REJECTED),
        ("abort", Phase.SOAK, False, "aborted by ann: because", Outcome.ABORTED),
        ("skip-soak", Phase.SOAK, True, "soak skipped by ann: because", Outcome.RELEASED),
    ],
)
def test_what_a_person_said_is_not_said_again_by_the_stage_and_the_outcome(
    command: str, phase: Phase, ok: bool, restated: str, outcome: Outcome
) -> None:
    said = by(command)
    ended = stage(phase, ended_at=NOON + MINUTE, ok=ok, sentence=restated)
    over = state(
        stages=(ended,),
        commands=(said,),
        approvals=(said,),
        outcome=outcome,
        sentence=restated,
        ended_at=NOON + MINUTE,
    )
    assert told(over) == [
        f"▶ {phase}",
        f"  {command} by ann (signed): because",
        f"{'✔' if ok else '✘'} {phase} (1m)",
        f"{outcome} after 1m",
    ]


def test_a_command_says_whether_it_was_proved_and_a_refused_one_why() -> None:
    refused = RefusedCommand(name="approve", actor="mallory", why="wrote it", at=NOON)
    now = state(
        stages=(stage(Phase.SOAK),),
        commands=(by("pause", verified=False),),
        refusals=(refused,),
    )
    assert told(now)[1:] == [
        "  pause by ann (not signed): because",
        "  refused: approve by mallory: wrote it",
    ]


def test_a_soak_is_told_by_quarters_and_when_something_was_unhealthy() -> None:
    goal = 24 * HOUR
    soaking = state(phase=Phase.SOAK, stages=(stage(Phase.SOAK),))
    windows = [SoakProgress(goal=goal, earned=hour * HOUR) for hour in range(24)]
    windows.append(windows[-1].with_(unhealthy=1, windows=25))
    assert told(*(soaking.with_(soak=one, sentence=one.sentence) for one in windows)) == [
        "▶ soak",
        "  6h of 1d healthy time earned",
        "  12h of 1d healthy time earned",
        "  18h of 1d healthy time earned",
        "  23h of 1d healthy time earned, 1 of 25 windows unhealthy",
    ]


def test_a_stage_that_holds_says_why_once_and_goes_on_in_the_same_stage() -> None:
    canary = stage(Phase.CANARY)
    running = state(phase=Phase.CANARY, stages=(canary,))
    held = running.with_(
        stages=(canary.with_(sentence="Holding: no traffic"),), sentence="Holding: no traffic"
    )
    assert told(running, held, held, running.with_(sentence="again")) == [
        "▶ canary",
        "… canary: Holding: no traffic",
        "  again",
    ]


def test_a_wait_says_until_when_with_the_date_when_it_is_another_day() -> None:
    asking = state(
        phase=Phase.APPROVAL,
        stages=(stage(Phase.APPROVAL),),
        waiting_for="1 approval by ben",
        sentence="waiting for 1 approval of sha256:1",
        next_wake_up=NOON + DAY,
    )
    until = (NOON + DAY).astimezone()
    assert told(asking)[1:] == [f"  waiting for 1 approval by ben, expires {until:%F %T}"]


def test_messages_that_were_not_delivered_are_counted_and_not_repeated() -> None:
    (line,) = told(state(undelivered=("10 %: PROMOTE: a long sentence",)))
    assert line.startswith("1 message was not delivered")


def test_the_outcome_is_the_last_line_with_its_reason_unless_that_was_told() -> None:
    over = state(outcome=Outcome.FAILED, sentence="no space", ended_at=NOON + SECOND)
    assert told(over) == ["FAILED after 1s: no space"]


def test_a_new_day_is_announced_by_its_date() -> None:
    calendar = Calendar(NOON)
    noon = f"{NOON.astimezone():%H:%M:%S}"
    assert calendar.lines(Event(NOON, "one")) == [f"{noon} one"]
    tomorrow = NOON + DAY
    assert calendar.lines(Event(tomorrow, "two")) == [
        f"{tomorrow.astimezone():%Y-%m-%d}",
        f"{noon} two",
    ]
    assert calendar.lines(Event(tomorrow, "three")) == [f"{noon} three"]


def test_a_hold_is_one_line_with_what_a_person_can_do() -> None:
    held = Hold(phase=Phase.CANARY, weight=10, reason="both_bad", sentence="", since=NOON)
    now = state(phase=Phase.CANARY, stages=(stage(Phase.CANARY),), held=held)
    (line,) = [one for one in told(now, now) if "held at" in one]
    assert line.endswith("(both bad): a release manager can promote it")
