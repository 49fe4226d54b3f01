from __future__ import annotations

from datetime import timedelta
from typing import Any

from rich.console import Console

from domain.commands import RefusedCommand
from domain.phases import Outcome, Phase
from domain.release import ReleaseState, StageRecord, StepVerdict
from domain.soak import SoakProgress
from starter.story import Event, changes, facts, waits
from starter.view import view
from tests.support.release_records import NOON, accepted, plan, request

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def state(**changes: Any) -> ReleaseState:
    return ReleaseState(request=request(), started_at=NOON).with_(**changes)


def stage(phase: Phase, **changes: Any) -> StageRecord:
    return StageRecord(phase=phase, title=phase.value, started_at=NOON).with_(**changes)


def said(before: ReleaseState | None, after: ReleaseState) -> list[str]:
    return [event.text for event in changes(before, after, NOON)]


def shown(release: ReleaseState, note: str = "") -> str:
    console = Console(width=160, color_system=None)
    with console.capture() as captured:
        console.print(view(release, NOON + HOUR, note))
    return captured.get()


def test_the_soaks_bar_is_what_is_earned_of_the_goal() -> None:
    soaking = state(
        phase=Phase.SOAK, soak=SoakProgress(goal=24 * HOUR, earned=6 * HOUR), next_wake_up=None
    )
    (bar,) = waits(soaking, NOON)
    assert (bar.what, bar.share) == ("soak", 0.25)
    assert bar.note == "6h of 1d healthy time earned"


def test_the_approvals_bar_runs_from_the_gates_opening_to_the_expiry() -> None:
    waiting = state(
        phase=Phase.APPROVAL,
        stages=(stage(Phase.APPROVAL),),
        next_wake_up=NOON + 24 * HOUR,
    )
    (bar,) = waits(waiting, NOON + 6 * HOUR)
    assert (bar.what, bar.share, bar.note) == ("approval expires", 0.25, "18h left")


def test_a_steps_bar_runs_from_its_shift_to_its_last_deadline() -> None:
    shifted = NOON + HOUR
    step = state(
        phase=Phase.CANARY,
        stages=(stage(Phase.CANARY),),
        next_wake_up=shifted + 40 * MINUTE,
    )
    (bar,) = waits(step, shifted + 10 * MINUTE)
    assert (bar.what, bar.share) == ("deadline", 0.25)


def test_a_bar_never_leaves_its_bounds() -> None:
    late = state(phase=Phase.APPROVAL, stages=(stage(Phase.APPROVAL),), next_wake_up=NOON + HOUR)
    (bar,) = waits(late, NOON + 5 * HOUR)
    assert (bar.share, bar.note) == (1.0, "0s left")


def test_the_rehearsal_clock_is_shown_where_it_shortens_and_nowhere_else() -> None:
    hurried = request(plan=plan(rehearsal={"soak": "1h = 1s"}))
    soaking = state(
        request=hurried, phase=Phase.SOAK, soak=SoakProgress(goal=24 * HOUR, earned=HOUR)
    )
    assert waits(soaking, NOON)[0].note.endswith("(rehearsal clock 1h = 1s)")
    asking = soaking.with_(phase=Phase.APPROVAL, next_wake_up=NOON + HOUR)
    assert "rehearsal" not in waits(asking, NOON)[0].note


def test_a_finished_release_waits_for_nothing() -> None:
    over = state(outcome=Outcome.RELEASED, next_wake_up=NOON, waiting_for="somebody")
    assert (waits(over, NOON), facts(over)) == ([], [])


def test_refusals_and_messages_that_were_not_delivered_are_told() -> None:
    refused = RefusedCommand(name="approve", actor="mallory", why="wrote the change", at=NOON)
    found = facts(state(refusals=(refused,), undelivered=("10 %: PROMOTE\nsecond line",)))
    assert found == [
        "refused: approve by mallory: wrote the change",
        "not delivered to the team's channel: 10 %: PROMOTE",
    ]


def test_the_first_look_tells_everything_so_far_in_order_with_its_own_times() -> None:
    built = stage(Phase.BUILD, ended_at=NOON + MINUTE, ok=True, sentence="image built")
    soaking = stage(Phase.SOAK, started_at=NOON + 2 * MINUTE)
    found = changes(None, state(phase=Phase.SOAK, stages=(built, soaking)), NOON + HOUR)
    assert found == [
        Event(NOON + MINUTE, "✔ build (1m): image built"),
        Event(NOON + 2 * MINUTE, "▶ soak"),
    ]


def test_nothing_is_told_twice() -> None:
    verdict = StepVerdict(weight=10, verdict="PROMOTE", reason="relative", sentence="not worse")
    now = state(
        phase=Phase.CANARY,
        stages=(stage(Phase.CANARY),),
        verdicts=(verdict,),
        sentence="not worse",
        weight=10,
        commands=(accepted("pause", "ann"),),
        waiting_for="a verdict",
    )
    assert "10 %: PROMOTE not worse" in said(None, now)
    assert said(now, now) == []


def test_a_command_is_told_with_its_reason_and_whether_it_was_proved() -> None:
    proved = accepted("abort", "ann")
    told = said(state(), state(commands=(proved, proved.with_(verified=False))))
    assert told == ["abort by ann (signed): because", "abort by ann (not signed): because"]


def test_the_outcome_is_the_last_line() -> None:
    ended = state(
        outcome=Outcome.ROLLED_BACK,
        sentence="worse than stable",
        ended_at=NOON,
        refusals=(RefusedCommand(name="approve", actor="x", why="late", at=NOON),),
    )
    assert said(None, ended)[-1] == "ROLLED_BACK: worse than stable"


def test_the_screen_shows_stages_verdicts_bars_and_who_is_waited_for() -> None:
    verdict = StepVerdict(weight=10, verdict="PROMOTE", reason="relative", sentence="not worse")
    screen = shown(
        state(
            phase=Phase.CANARY,
            weight=50,
            stages=(
                stage(Phase.SOAK, ended_at=NOON, ok=True, sentence="earned"),
                stage(Phase.CANARY),
            ),
            verdicts=(verdict,),
            sentence="not worse",
            waiting_for="a verdict at 50 %",
            next_wake_up=NOON + 2 * HOUR,
        ),
        "this picture is old",
    )
    for part in (
        *("50 % of production", "✔ soak (0s): earned", "… canary (1h)"),
        *("10 %: PROMOTE not worse", "1h left", "waiting for a verdict at 50 %"),
        "this picture is old",
    ):
        assert part in screen
    assert screen.count("not worse") == 1


def test_text_of_others_is_never_taken_for_markup() -> None:
    assert "[red]bad[/red]" in shown(state(waiting_for="[red]bad[/red]"))
