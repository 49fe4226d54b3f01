from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from rich.console import Console

from domain.commands import RefusedCommand
from domain.phases import Outcome, Phase
from domain.release import ReleaseState, StageRecord, StepVerdict
from domain.soak import SoakProgress
from starter.story import facts, rounded, soak_sentence, verdict_line, waits
from starter.view import view
from tests.support.release_records import NOON, plan, request

HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)


def state(**changes: Any) -> ReleaseState:
    return ReleaseState(request=request(), started_at=NOON).with_(**changes)


def stage(phase: Phase, **changes: Any) -> StageRecord:
    return StageRecord(phase=phase, title=phase.value, started_at=NOON).with_(**changes)


def verdict(weight: int, sentence: str, word: str = "PROMOTE") -> StepVerdict:
    return StepVerdict(weight=weight, verdict=word, reason="relative", sentence=sentence)


def shown(release: ReleaseState, note: str = "", *, width: int = 160, fits: bool = False) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(view(release, NOON + HOUR, note, fits=fits))
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


def test_the_soak_has_one_bar_and_says_when_it_can_end_at_the_earliest() -> None:
    soaking = state(
        phase=Phase.SOAK,
        stages=(stage(Phase.SOAK),),
        soak=SoakProgress(goal=24 * HOUR, earned=6 * HOUR),
        next_wake_up=NOON + 18 * HOUR,
    )
    (bar,) = waits(soaking, NOON)
    assert bar.note == "6h of 1d healthy time earned, at the earliest 18h left"


def test_the_rehearsal_clock_is_shown_where_it_shortens_and_nowhere_else() -> None:
    hurried = request(plan=plan(rehearsal={"soak": "1h = 1s"}))
    stages = (stage(Phase.BUILD), stage(Phase.SOAK, ended_at=NOON + 24 * SECOND, ok=True))
    screen = shown(state(request=hurried, stages=stages))
    assert "✔ soak (24s, rehearsal clock 1h = 1s)" in screen
    assert screen.count("rehearsal") == 1


def test_a_finished_release_waits_for_nothing() -> None:
    over = state(outcome=Outcome.RELEASED, next_wake_up=NOON, waiting_for="somebody")
    assert (waits(over, NOON), facts(over)) == ([], [])


def test_refusals_and_messages_that_were_not_delivered_are_told() -> None:
    refused = RefusedCommand(name="approve", actor="mallory", why="wrote the change", at=NOON)
    found = facts(state(refusals=(refused,), undelivered=("10 %: PROMOTE", "done")))
    assert found == [
        "refused: approve by mallory: wrote the change",
        "2 messages were not delivered to the team's channel; `tidegate doctor` says what is wrong",
    ]


@pytest.mark.parametrize(
    ("exact", "told"),
    [
        (timedelta(milliseconds=625), timedelta(milliseconds=600)),
        (timedelta(seconds=3.4), 3 * SECOND),
        (timedelta(seconds=59.9), MINUTE),
        (HOUR - timedelta(milliseconds=1), HOUR),
        (24 * HOUR + 20 * SECOND, 24 * HOUR),
    ],
)
def test_durations_are_rounded_to_what_a_person_reads(exact: timedelta, told: timedelta) -> None:
    assert rounded(exact) == told


def test_the_soak_is_never_said_to_be_earned_before_it_is() -> None:
    nearly = SoakProgress(goal=6 * SECOND, earned=timedelta(seconds=5.875))
    assert soak_sentence(nearly) == "5s of 6s healthy time earned"


@pytest.mark.parametrize(
    ("word", "sentence", "line"),
    [
        ("PROMOTE", "Promoted: 2/908 bad", "10 %: PROMOTE: 2/908 bad"),
        ("ROLL_BACK", "Rolled back after 3 s on errors", "10 %: ROLL_BACK after 3 s on errors"),
        ("PROMOTE", "not worse", "10 %: PROMOTE: not worse"),
    ],
)
def test_a_verdicts_line_says_the_verdict_once(word: str, sentence: str, line: str) -> None:
    assert verdict_line(verdict(10, sentence, word)) == line


def canary(**changes: Any) -> ReleaseState:
    present: dict[str, Any] = {
        "phase": Phase.CANARY,
        "weight": 50,
        "stages": (
            stage(Phase.SOAK, ended_at=NOON, ok=True, sentence="earned"),
            stage(Phase.CANARY),
        ),
        "verdicts": (verdict(10, "not worse"),),
        "sentence": "not worse",
        "waiting_for": "a verdict at 50 %",
        "next_wake_up": NOON + 2 * HOUR,
    }
    return state(**{**present, **changes})


def test_the_screen_shows_stages_verdicts_bars_and_who_is_waited_for() -> None:
    screen = shown(canary(), "this picture is old")
    for part in (
        *("50 % of production", "✔ soak: earned", "… canary (1h)"),
        *("10 %: PROMOTE: not worse", "1h left", "waiting for a verdict at 50 %"),
        "this picture is old",
    ):
        assert part in screen
    assert screen.count("not worse") == 1


def test_the_reason_of_a_rollback_stands_on_the_screen_once() -> None:
    reason = "Rolled back after 3 s on errors"
    stages = (
        stage(Phase.CANARY, ended_at=NOON, ok=False, sentence=reason),
        stage(Phase.ROLLBACK, ended_at=NOON, ok=True, sentence="6 of 6 undone"),
    )
    screen = shown(
        state(
            phase=Phase.DONE,
            stages=stages,
            verdicts=(verdict(10, reason, "ROLL_BACK"),),
            outcome=Outcome.ROLLED_BACK,
            sentence=reason,
        )
    )
    assert screen.count("after 3 s on errors") == 1
    assert screen.splitlines()[-1] == "ROLLED_BACK"


def test_the_watchs_verdict_stands_under_the_watch() -> None:
    released = state(
        phase=Phase.DONE,
        stages=(stage(Phase.CANARY), stage(Phase.WATCH, ended_at=NOON, ok=True, sentence="still")),
        verdicts=(verdict(50, "half"), verdict(100, "all"), verdict(100, "still")),
    )
    lines = [line.strip("│├└─ ") for line in shown(released).splitlines()[1:]]
    assert lines == [
        "… canary (1h)",
        "50 %: PROMOTE: half",
        "100 %: PROMOTE: all",
        "✔ watch",
        "100 %: PROMOTE: still",
    ]


def test_on_a_small_screen_what_is_over_takes_one_line_and_what_goes_on_is_whole() -> None:
    long = "a sentence that goes on and on " * 10
    stages = tuple(
        stage(phase, ended_at=NOON, ok=True, sentence=f"{phase}: {long}")
        for phase in (Phase.PREPARE, Phase.BUILD, Phase.SCAN, Phase.STAGING, Phase.SOAK)
    )
    latest = f"{long}the latest verdict"
    busy = canary(
        stages=(*stages, stage(Phase.CANARY)),
        verdicts=(verdict(10, f"old: {long}"), verdict(50, latest)),
        sentence=latest,
        weight=100,
    )
    screen = shown(busy, width=100, fits=True)
    assert len(screen.splitlines()) <= 20
    assert max(map(len, screen.splitlines())) <= 100
    assert "the latest verdict" in " ".join(screen.split())
    assert "waiting for a verdict" in screen


def test_what_a_bar_or_a_wait_says_is_not_said_under_the_stage_again() -> None:
    soaking = SoakProgress(goal=24 * HOUR, earned=6 * HOUR)
    screen = shown(
        state(
            phase=Phase.SOAK,
            stages=(stage(Phase.SOAK),),
            soak=soaking,
            sentence=soaking.sentence,
        )
    )
    assert screen.count("healthy time earned") == 1
    asking = shown(
        state(
            phase=Phase.APPROVAL,
            stages=(stage(Phase.APPROVAL),),
            sentence="waiting for 1 approval of sha256:1",
            waiting_for="1 approval by ben",
        )
    )
    assert asking.count("waiting for") == 1


def test_text_of_others_is_never_taken_for_markup() -> None:
    assert "[red]bad[/red]" in shown(state(waiting_for="[red]bad[/red]"))
