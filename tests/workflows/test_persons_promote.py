"""A person's promote: one held step, with a reason, and only while it is about what is held."""

from __future__ import annotations

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from domain.commands import CommandName
from domain.judge.verdict import Reason, Verdict
from domain.phases import Outcome
from domain.steps import RefusedPromotion
from tests.support.release_records import plan, request
from tests.support.release_world import World

HOLD = Verdict.HOLD
NO_DATA = (HOLD, Reason.no_data)
LONG = [(HOLD, Reason.stable_bad)] * 40


@pytest.mark.parametrize(
    "reason",
    [
        Reason.stable_bad,
        Reason.both_bad,
        Reason.no_traffic,
        Reason.quiet_hold,
        Reason.needs_load,
        Reason.inconclusive,
    ],
)
async def test_a_held_step_is_taken_by_a_person_with_a_reason_and_only_that_one(
    world: World, reason: Reason
) -> None:
    world.approves()
    world.canary_at(10).says(*[(HOLD, reason)] * 40)
    world.when_told("holding: ", world.promotes)
    state = await world.release()
    assert state.outcome is Outcome.RELEASED
    assert world.weights == [10, 50, 100]
    first, *others = state.verdicts
    assert (first.weight, first.verdict, first.reason, first.by) == (10, "PROMOTE", reason, "rita")
    assert first.sentence == f"promoted by rita: rita says so; the judge: HOLD because {reason}"
    assert [(v.weight, v.by) for v in others] == [(50, None), (100, None), (100, None)]
    assert first.record is not None
    assert "promotion-10" in {record.kind for record in state.records}
    (kept,) = [call.asked for call in world.calls if call.name == "record_promotion"]
    assert (kept.accepted.principal, kept.held.reason) == ("rita", reason)
    names = [f"{c.name} {getattr(c.asked, 'weight', '')}" for c in world.calls]
    assert names.index("record_promotion 10") < names.index("shift_traffic 50")
    assert state.held is None


async def test_a_promote_whose_look_was_lost_does_not_count_until_it_is_said_again(
    world: World,
) -> None:
    world.approves()
    world.canary_at(10).says(*LONG)
    world.when_told("holding: ", world.promotes)
    state = await world.release()
    assert state.verdicts[0].by == "rita"
    (kept,) = [call.asked for call in world.calls if call.name == "record_promotion"]
    assert kept.observation is not None


async def test_the_thread_offers_the_exact_commands(world: World) -> None:
    world.approves()
    world.canary_at(10).says((HOLD, Reason.stable_bad))
    await world.release()
    (told,) = [text for text in world.told if "holding: " in text]
    release = world.request.release_id
    assert told == (
        "holding: HOLD because stable_bad. A release manager may go on from 10 %: tidegate promote"
        f" {release} --reason TEXT; to roll back: tidegate abort {release} --reason TEXT"
    )


async def test_a_held_watch_is_ended_by_a_person(world: World) -> None:
    world.approves()
    world.canary_at(100, watch=True).says(*[(HOLD, Reason.no_traffic)] * 40)
    world.when_told("holding: ", world.promotes)
    state = await world.release()
    assert state.outcome is Outcome.RELEASED
    assert state.verdicts[-1].by == "rita"
    (kept,) = [call.asked for call in world.calls if call.name == "record_promotion"]
    assert kept.watch


EXPIRED = RefusedPromotion(why="the signature expired at 12:00")
LATE = "promote by rita does not count any more: the signature expired at 12:00; promote again"


async def test_a_promote_that_expires_before_it_is_stored_is_refused_and_the_hold_goes_on(
    world: World,
) -> None:
    world.approves()
    world.canary_at(10).says(*LONG)
    world.script("record_promotion", EXPIRED)
    world.when_told("holding: ", world.promotes)
    world.when_told(LATE, world.promotes)
    state = await world.release()
    assert state.outcome is Outcome.RELEASED
    assert world.weights == [10, 50, 100]
    first, second = (call.asked for call in world.calls if call.name == "record_promotion")
    assert first.held.name == second.held.name
    assert state.verdicts[0].by == "rita"
    (refusal,) = state.refusals
    assert (refusal.name, refusal.actor, refusal.why) == ("promote", "rita", EXPIRED.why)
    assert len([text for text in world.told if "holding: " in text]) == 1


async def test_one_that_expires_while_a_gate_asks_leaves_the_question_as_it_was(
    world: World,
) -> None:
    world.request = request(plan=plan(gates={"canary": "ask"}, canary={"steps": [10, 100]}))
    world.approves()
    world.script("record_promotion", EXPIRED)
    world.when_told("from 10 %", world.promotes)
    world.when_told(LATE, world.promotes)
    world.when_told("from 100 %", world.promotes)
    state = await world.release()
    assert state.outcome is Outcome.RELEASED
    first, second, _ = (call.asked for call in world.calls if call.name == "record_promotion")
    assert first.held.name == second.held.name
    assert [text for text in world.told if "from 10 %" in text][1:] == []


async def test_the_watch_goes_on_as_well_when_a_promote_of_it_expires(world: World) -> None:
    world.approves()
    world.canary_at(100, watch=True).says(*[(HOLD, Reason.no_traffic)] * 40)
    world.script("record_promotion", EXPIRED)
    world.when_told("holding: ", world.promotes)
    world.when_told(LATE, world.promotes)
    state = await world.release()
    assert (state.outcome, state.verdicts[-1].by) == (Outcome.RELEASED, "rita")


async def refused(world: World) -> str:
    with pytest.raises(WorkflowUpdateFailedError) as problem:
        await world.update(CommandName.PROMOTE, "rita")
    cause = problem.value.cause
    assert isinstance(cause, ApplicationError)
    return cause.message


class TestRefused:
    """Updates answer; they need a server on the wall clock."""

    async def test_while_nothing_is_held(self, live: World) -> None:
        said: list[str] = []

        async def ask() -> None:
            said.append(await refused(live))

        live.approves()
        live.when("observe_step", ask)
        await live.release()
        assert said == [
            "nothing is held in canary: the judge decides; promote counts while a step is held"
        ]

    async def test_while_nobody_sees_anything(self, live: World) -> None:
        said: list[str] = []

        async def ask() -> None:
            await live.looks_at_the_hold()
            said.append(await refused(live))

        live.approves()
        live.canary_at(10).says(NO_DATA)
        live.when_told("alert: nobody sees", ask)
        state = await live.release()
        assert state.outcome is Outcome.RELEASED
        assert said[0].startswith("nobody sees the new revision at 10 % (no data)")
        assert state.verdicts[0].by is None

    async def test_when_it_is_about_the_hold_of_another_step(self, live: World) -> None:
        said: list[str] = []

        async def remember() -> None:
            await live.looks_at_the_hold()
            await live.signal(CommandName.PROMOTE, "rita")
            live.when_told("from 50 %", ask)

        async def ask() -> None:
            said.append(await refused(live))
            await live.promotes()

        live.approves()
        live.canary_at(10).says(*LONG)
        live.canary_at(50).says(*LONG)
        live.when_told("from 10 %", remember)
        state = await live.release()
        assert state.outcome is Outcome.RELEASED
        (why,) = said
        assert why.startswith("it is about canary 10 % stable_bad since")
        assert "held now is canary 50 % stable_bad since" in why
        assert [v.by for v in state.verdicts[:2]] == ["rita", "rita"]

    async def test_when_the_judge_says_roll_back_at_the_same_moment(self, live: World) -> None:
        """The promote has counted; the observing that is given up for it answers ROLL_BACK."""

        async def promote() -> None:
            await live.looks_at_the_hold()
            answer = await live.update(CommandName.PROMOTE, "rita")
            assert answer.accepted
            live.answers_at_once = True

        live.approves()
        live.canary_at(10).says((HOLD, Reason.both_bad), (Verdict.ROLL_BACK, Reason.worse))
        live.when("observe_step", promote, lambda asked: asked.told is Reason.both_bad)
        state = await live.release()
        assert state.outcome is Outcome.ROLLED_BACK
        assert live.weights == [10, 0]
        assert not any(call.name == "record_promotion" for call in live.calls)
        void = "promote by rita does not count any more: the judge said ROLL_BACK first"
        assert any(void in text for text in live.told)

    async def test_by_somebody_who_may_not(self, live: World) -> None:
        async def ask() -> None:
            await live.looks_at_the_hold()
            answers.append(await live.update(CommandName.PROMOTE, "mallory"))

        answers: list[object] = []
        live.refused_actors.add("mallory")
        live.approves()
        live.canary_at(10).says((HOLD, Reason.both_bad))
        live.when_told("holding: ", ask)
        state = await live.release()
        assert state.verdicts[0].by is None
        assert state.refusals[0].why == "mallory may not"


async def test_paused_it_is_taken_and_goes_no_further_until_somebody_resumes(world: World) -> None:
    seen: list[list[int]] = []

    async def pause_and_promote() -> None:
        await world.signal(CommandName.PAUSE, "otto")
        await world.promotes()

    async def resume() -> None:
        seen.append(list(world.weights))
        await world.signal(CommandName.RESUME, "otto")

    world.approves()
    world.canary_at(10).says(*LONG)
    world.when_told("holding: ", pause_and_promote)
    world.when_told("10 %: PROMOTE: promoted by rita", resume)
    state = await world.release()
    assert state.outcome is Outcome.RELEASED
    assert seen == [[10]]
