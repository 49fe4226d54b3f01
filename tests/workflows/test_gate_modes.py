"""Gates that ask a person or only observe: what moves, what is told, and who decides."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise

import pytest

from domain.commands import CommandName
from domain.gates import GateMode
from domain.holds import MOST_TELLINGS
from domain.judge.verdict import Reason, Verdict
from domain.phases import Outcome, Phase
from domain.release import ReleaseState
from domain.steps import ObserveStep
from tests.support.release_records import plan, request
from tests.support.release_world import World
from tests.workflows.conftest import SHORT

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

    async def test_a_pause_at_the_end_of_a_steps_time_does_not_fill_the_history(
        self, world: World
    ) -> None:
        async def pause() -> None:
            await world.signal(CommandName.PAUSE, "otto")

        async def count() -> None:
            looks.append(1)
            if len(looks) == 5:
                await world.signal(CommandName.ABORT, "otto")
            world.when("observe_step", count, lambda asked: asked.weight == 10)

        looks: list[int] = []
        planned(world, canary="observe")
        world.canary_at(10, watch=True).says((HOLD, Reason.no_data), (HOLD, Reason.both_bad))
        world.when("observe_step", pause)
        world.when("observe_step", count, lambda asked: asked.weight == 10)
        await world.release()
        asked = [c.asked for c in world.calls if c.name == "observe_step"]
        guards = asked[3:]
        assert guards
        lengths = [later.ends_at - one.ends_at for one, later in pairwise(guards)]
        assert all(length >= STEP for length in lengths)

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
        # Whoever is asked hears at once when nobody sees the canary any more.
        watched = [c.asked for c in world.calls if c.name == "observe_step" and c.asked.watch]
        assert all(one.tells for one in watched)

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

    @pytest.mark.parametrize("reason", [Reason.no_data, Reason.both_bad, Reason.stable_bad])
    async def test_what_is_not_seen_or_bad_while_a_person_is_asked_is_told_and_asked_anew(
        self, world: World, reason: Reason
    ) -> None:
        async def asked_again() -> None:
            world.when_told("asks, PROMOTE says", abort)

        async def abort() -> None:
            await world.signal(CommandName.ABORT, "otto")

        planned(world, canary="ask")
        world.canary_at(10, watch=True).says((HOLD, reason))
        world.when_told(f"holding: HOLD because {reason}", asked_again)
        state = await world.release()
        assert state.outcome is Outcome.ABORTED
        assert world.weights == [10, 0]
        lines = [line for text in world.told for line in text.splitlines()]
        said = [line for line in lines if "HOLD because" in line or "asks, PROMOTE" in line]
        assert [f"HOLD because {reason}" in line for line in said] == [False, True, False]

    async def test_an_asked_source_that_comes_and_goes_is_told_so_often_only(
        self, world: World
    ) -> None:
        planned(world, canary="ask")
        world.canary_at(10, watch=True).says(*[(HOLD, Reason.no_data)] * 12)

        async def abort() -> None:
            await world.signal(CommandName.ABORT, "otto")

        world.when("observe_step", abort, lambda asked: asked.watch and not asked.tells)
        state = await world.release()
        assert state.outcome is Outcome.ABORTED
        looks = [c.asked for c in world.calls if c.name == "observe_step" and c.asked.watch]
        assert sum(one.tells for one in looks) <= MOST_TELLINGS

    @pytest.mark.parametrize(
        ("seen", "told"),
        [
            ((HOLD, Reason.no_data), "nobody sees the new revision"),
            (WORSE, "asks, ROLL_BACK says"),
        ],
    )
    async def test_a_promote_of_the_moment_in_which_that_changes_moves_nothing(
        self, live: World, seen: tuple[Verdict, Reason], told: str
    ) -> None:
        live.canary_at(10, watch=True).says(seen)
        live.canary_at(10).says((GOOD, Reason.relative), (HOLD, Reason.no_data))
        await self.promoted_too_late(live, lambda asked: asked.watch, told)

    async def test_a_promote_of_a_hold_that_becomes_a_rollback_is_asked_about_and_moves_nothing(
        self, live: World
    ) -> None:
        live.canary_at(10).says((HOLD, Reason.both_bad), WORSE)
        await self.promoted_too_late(
            live, lambda asked: asked.told is Reason.both_bad, "asks, ROLL_BACK says"
        )

    async def promoted_too_late(
        self, live: World, when: Callable[[ObserveStep], bool], told: str
    ) -> None:
        """Rita promotes in the look before the judge's answer; Otto aborts when he hears it."""

        async def promote() -> None:
            await live.looks_at_the_hold()
            assert (await live.update(CommandName.PROMOTE, "rita")).accepted
            live.answers_at_once = True

        async def abort() -> None:
            await live.signal(CommandName.ABORT, "otto")

        live.request = request(plan=plan(**SHORT, gates={"canary": "ask"}))
        live.approves()
        live.when("observe_step", promote, when)
        live.when_told(told, abort)
        state = await live.release()
        assert state.outcome is Outcome.ABORTED
        assert live.weights == [10, 0]
        assert not any(call.name == "record_promotion" for call in live.calls)
        assert any("promote by rita does not count any more" in text for text in live.told)

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
