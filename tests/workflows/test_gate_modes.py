"""Gates that ask a person or only observe: what moves, what is told, and who decides."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain.commands import CommandName
from domain.gates import GateMode
from domain.judge.verdict import Reason, Verdict
from domain.phases import Outcome, Phase
from domain.release import ReleaseState
from tests.support.release_records import plan, request
from tests.support.release_world import World

HOLD, BACK, GOOD = Verdict.HOLD, Verdict.ROLL_BACK, Verdict.PROMOTE
WORSE = (BACK, Reason.worse)
STEP = timedelta(minutes=10)


def planned(world: World, **gates: str) -> None:
    world.request = request(plan=plan(gates=gates))
    world.approves()


def length_of(state: ReleaseState, phase: Phase) -> timedelta:
    stage = next(stage for stage in state.stages if stage.phase is phase)
    assert stage.ended_at is not None
    return stage.ended_at - stage.started_at


class TestOnlyObserving:
    """Recorded and told as "would have"; the release goes on at its deadlines."""

    async def test_a_worse_canary_goes_on_at_its_deadline(self, world: World) -> None:
        planned(world, canary="observe")
        world.canary_at(10, watch=True).says(WORSE)
        state = await world.release()
        assert state.outcome is Outcome.RELEASED
        assert world.weights == [10, 50, 100]
        first = state.verdicts[0]
        assert (first.verdict, first.mode) == ("ROLL_BACK", GateMode.OBSERVE)
        assert first.sentence == (
            "the canary gate only observes; it would have rolled back: ROLL_BACK because worse"
        )
        assert any(first.sentence in text for text in world.told)
        assert 3 * STEP <= length_of(state, Phase.CANARY) < 4 * STEP

    async def test_a_canary_without_evidence_is_told_and_goes_on_at_its_deadline(
        self, world: World
    ) -> None:
        planned(world, canary="observe")
        no_data = (HOLD, Reason.no_data)
        world.canary_at(10, watch=True).says(no_data, no_data)
        state = await world.release()
        assert state.outcome is Outcome.RELEASED
        assert (state.verdicts[0].verdict, state.verdicts[0].weight) == ("HOLD", 10)
        assert "it would have held: HOLD because no_data" in state.verdicts[0].sentence
        assert length_of(state, Phase.CANARY) < 4 * STEP

    async def test_a_watch_goes_on_at_its_end(self, world: World) -> None:
        planned(world, watch="observe")
        world.canary_at(100, watch=True).says(WORSE)
        state = await world.release()
        assert state.outcome is Outcome.RELEASED
        assert length_of(state, Phase.WATCH) >= 3 * STEP
        assert "the watch gate only observes" in state.verdicts[-1].sentence

    async def test_an_abort_is_heard_all_the_time(self, world: World) -> None:
        async def abort() -> None:
            await world.signal(CommandName.ABORT, "otto")

        planned(world, canary="observe")
        world.canary_at(10, watch=True).says(WORSE)
        world.when_told("would have rolled back", abort)
        state = await world.release()
        assert state.outcome is Outcome.ABORTED
        assert world.is_restored

    async def test_failed_tests_and_findings_are_noted_for_the_approver(self, world: World) -> None:
        planned(world, tests="observe", scan="observe")
        world.script("run_unit_tests", "2 of 12 unit tests failed")
        world.script("judge_report", ("CVE-2026-1",))
        state = await world.release()
        assert state.outcome is Outcome.RELEASED
        assert [(note.gate, note.mode, note.by) for note in state.gate_notes] == [
            ("tests", "observe", None),
            ("scan", "observe", None),
        ]
        (frozen,) = [call.asked for call in world.calls if call.name == "freeze_evidence"]
        assert frozen.gate_notes == state.gate_notes
        assert any("would have stopped: 2 of 12 unit tests failed" in text for text in world.told)

    async def test_a_scan_report_that_never_comes_is_not_waited_for_again(
        self, world: World
    ) -> None:
        planned(world, scan="observe")
        world.script("judge_report", "no report", "no report")
        state = await world.release()
        assert state.outcome is Outcome.RELEASED
        assert state.gate_notes[0].sentence.startswith("no scan report for")

    async def test_a_soak_that_is_not_earned_is_noted(self, world: World) -> None:
        planned(world, soak="observe")
        world.soak_windows(*[False] * 200)
        state = await world.release()
        assert state.outcome is Outcome.RELEASED
        assert "soak not earned within" in state.gate_notes[0].sentence

    async def test_pods_that_do_not_come_up_end_a_release_whatever_only_observes(
        self, world: World
    ) -> None:
        planned(world, **dict.fromkeys(("tests", "scan", "soak", "canary", "watch"), "observe"))
        world.script("create_revision", "it crashes")
        state = await world.release()
        assert state.outcome is Outcome.FAILED
        assert world.is_restored


class TestAsking:
    """Nothing moves before a person has decided."""

    async def test_each_step_waits_for_a_person_and_is_watched_meanwhile(
        self, world: World
    ) -> None:
        seen: list[list[int]] = []

        async def promote() -> None:
            seen.append(list(world.weights))
            world.when_told("asking: ", promote)
            await world.promotes()

        planned(world, canary="ask")
        world.when_told("asking: ", promote)
        state = await world.release()
        assert state.outcome is Outcome.RELEASED
        assert seen == [[10], [10, 50], [10, 50, 100]]
        assert [v.by for v in state.verdicts] == ["rita", "rita", "rita", None]
        assert "the canary gate asks, PROMOTE says the judge" in state.verdicts[0].sentence
        assert "watch 10 %" in world.steps
        # Holds of a canary that a person is asked about already are not told beside it.
        watched = [c.asked for c in world.calls if c.name == "observe_step" and c.asked.watch]
        assert [one.tells for one in watched] == [False, False, False, True]

    async def test_a_worse_canary_stays_where_it_is_until_somebody_aborts(
        self, world: World
    ) -> None:
        async def abort() -> None:
            assert world.weights == [10]
            await world.signal(CommandName.ABORT, "otto")

        planned(world, canary="ask")
        world.canary_at(10).says(WORSE)
        world.when_told("the canary gate asks, ROLL_BACK says the judge", abort)
        state = await world.release()
        assert state.outcome is Outcome.ABORTED
        assert world.weights == [10, 0]
        assert world.is_restored

    async def test_what_turns_out_worse_while_a_person_is_asked_is_asked_about_anew(
        self, world: World
    ) -> None:
        """A promote of the good verdict is void: it was about another hold."""

        async def look() -> None:
            await world.looks_at_the_hold()

        async def old_promote() -> None:
            world.when_told("promote refused", abort)
            await world.signal(CommandName.PROMOTE, "rita")
            await abort()

        async def abort() -> None:
            await world.signal(CommandName.ABORT, "otto")

        planned(world, canary="ask")
        world.canary_at(10, watch=True).says(WORSE)
        world.when_told("asks, PROMOTE says", look)
        world.when_told("asks, ROLL_BACK says", old_promote)
        state = await world.release()
        assert state.outcome is Outcome.ABORTED
        assert world.weights == [10, 0]
        assert [v.by for v in state.verdicts] == []

    async def test_a_watch_asks_before_the_old_revision_is_retired(self, world: World) -> None:
        planned(world, watch="ask")
        world.when_told("the watch gate asks, PROMOTE says the judge", world.promotes)
        state = await world.release()
        assert state.outcome is Outcome.RELEASED
        assert state.verdicts[-1].by == "rita"

    @pytest.mark.parametrize(
        ("gate", "script", "answer"),
        [
            ("tests", "run_unit_tests", "2 of 12 unit tests failed"),
            ("tests", "check_revision", "GET /health said 500"),
            ("scan", "judge_report", ("CVE-2026-1",)),
        ],
    )
    async def test_a_closed_gate_waits_for_a_person(
        self, world: World, gate: str, script: str, answer: object
    ) -> None:
        planned(world, **{gate: "ask"})
        world.script(script, answer)
        world.when_told(f"the {gate} gate says no", world.promotes)
        state = await world.release()
        assert state.outcome is Outcome.RELEASED
        (note,) = state.gate_notes
        assert (note.gate, note.mode, note.by, note.reason) == (
            gate,
            "ask",
            "rita",
            "rita says so",
        )

    async def test_a_closed_gate_that_nobody_wants_is_aborted(self, world: World) -> None:
        async def abort() -> None:
            await world.signal(CommandName.ABORT, "otto")

        planned(world, soak="ask")
        world.soak_windows(*[False] * 200)
        world.when_told("the soak gate says no", abort)
        state = await world.release()
        assert state.outcome is Outcome.ABORTED
        assert world.is_restored
