"""What people say: verified, applied once, answered, and every refusal that was looked at kept."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from domain.commands import Command, CommandName
from domain.errors import PermanentFailure
from domain.phases import Outcome
from domain.release import ReleaseState
from tests.support.conditions import eventually
from tests.support.release_world import World
from workflows.release import ReleaseWorkflow


@pytest.fixture
async def waiting(live: World) -> World:
    """A release that waits for an approval."""
    await live.starts()
    await live.is_told("approval needed")
    return live


async def state_of(world: World) -> ReleaseState:
    return await world.handle().query(ReleaseWorkflow.state)


async def refusal_of(world: World, name: CommandName, command: Command) -> ApplicationError:
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await world.update(name, command.actor, command)
    assert isinstance(refused.value.cause, ApplicationError)
    return refused.value.cause


async def test_an_update_is_answered_and_counts(waiting: World) -> None:
    answer = await waiting.update(CommandName.APPROVE, "ann")
    assert (answer.accepted, answer.sentence) == (True, "approve by ann: ann says so")
    state = await waiting.handle().result()
    assert state.outcome is Outcome.RELEASED
    assert [(a.principal, a.verified) for a in state.approvals] == [("ann", True)]


async def test_a_command_at_the_wrong_time_is_refused_at_once(waiting: World) -> None:
    why = await refusal_of(
        waiting, CommandName.SKIP_SOAK, waiting.command(CommandName.SKIP_SOAK, "rita")
    )
    assert why.type == "Refused"
    assert why.message == "skip-soak counts in the phase soak; the release is in approval"


async def test_a_command_about_another_release_is_refused(waiting: World) -> None:
    other = waiting.command(CommandName.APPROVE, "ann", release="release-album-other")
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await waiting.handle().execute_update(CommandName.APPROVE.value, other)
    assert "is about release-album-other, not release-album-cccccccccc" in str(refused.value.cause)


async def test_a_statement_sent_under_another_name_is_refused(waiting: World) -> None:
    pause = waiting.command(CommandName.PAUSE, "ann")
    why = await refusal_of(waiting, CommandName.APPROVE, pause)
    assert why.message == "the statement says pause, it was sent as approve"


async def test_a_refused_signature_is_answered_and_kept_with_who_and_why(waiting: World) -> None:
    waiting.refused_actors.add("mallory")
    answer = await waiting.update(CommandName.APPROVE, "mallory")
    assert (answer.accepted, answer.sentence) == (False, "approve refused: mallory may not")
    state = await state_of(waiting)
    assert [(r.name, r.actor, r.why) for r in state.refusals] == [
        (CommandName.APPROVE, "mallory", "mallory may not")
    ]
    assert state.approvals == ()


async def test_a_command_that_cannot_be_verified_does_not_count(waiting: World) -> None:
    waiting.script("verify_command", PermanentFailure("the policy cannot be read"))
    answer = await waiting.update(CommandName.APPROVE, "ann")
    assert answer.sentence == "approve refused: could not be verified: the policy cannot be read"
    assert (await state_of(waiting)).approvals == ()


@pytest.mark.parametrize("wrong", ["untimely", "another release", "another name", "signature"])
async def test_a_signal_that_does_not_count_is_kept_as_a_refusal(
    waiting: World, wrong: str
) -> None:
    waiting.refused_actors.add("mallory")
    command, sent_as, why = {
        "untimely": (
            waiting.command(CommandName.SKIP_SOAK, "rita"),
            CommandName.SKIP_SOAK,
            "skip-soak counts in the phase soak",
        ),
        "another release": (
            waiting.command(CommandName.APPROVE, "ann", release="release-album-other"),
            CommandName.APPROVE,
            "the statement is about release-album-other",
        ),
        "another name": (
            waiting.command(CommandName.PAUSE, "ann"),
            CommandName.APPROVE,
            "the statement says pause",
        ),
        "signature": (
            waiting.command(CommandName.APPROVE, "mallory"),
            CommandName.APPROVE,
            "mallory may not",
        ),
    }[wrong]
    await waiting.handle().signal(sent_as.value, command)

    async def kept() -> bool:
        return bool((await state_of(waiting)).refusals)

    await eventually(kept)
    state = await state_of(waiting)
    assert state.refusals[0].why.startswith(why)
    assert state.commands == ()


async def test_the_same_command_counts_once_however_often_and_by_whichever_way_it_comes(
    waiting: World,
) -> None:
    command = waiting.command(CommandName.PAUSE, "otto")
    answers = await asyncio.gather(
        waiting.update(CommandName.PAUSE, "otto", command),
        waiting.update(CommandName.PAUSE, "otto", command, id="the-same"),
        waiting.update(CommandName.PAUSE, "otto", command, id="the-same"),
        waiting.handle().signal(CommandName.PAUSE.value, command),
    )
    assert {answer.sentence for answer in answers[:3]} == {"pause by otto: otto says so"}
    await waiting.is_told("pause by otto")
    state = await state_of(waiting)
    assert [accepted.command for accepted in state.commands] == [command]
    assert state.refusals == ()


async def test_repeating_a_command_that_counted_is_answered_the_same_although_it_is_late_now(
    live: World,
) -> None:
    command: list[Command] = []
    answers: list[str] = []

    async def approve() -> None:
        command.append(live.command(CommandName.APPROVE, "ann"))
        await live.handle().signal(CommandName.APPROVE.value, command[0])

    async def repeat() -> None:
        answer = await live.update(CommandName.APPROVE, "ann", command[0])
        answers.append(answer.sentence)

    live.when_told("approval needed", approve)
    live.when("observe_step", repeat)
    state = await live.release()
    assert state.outcome is Outcome.RELEASED
    assert answers == ["approve by ann: ann says so"]
    assert len(state.commands) == 1


@pytest.mark.parametrize("by", ["update", "signal"])
async def test_an_update_and_a_signal_of_the_same_name_do_the_same(waiting: World, by: str) -> None:
    say = waiting.update if by == "update" else waiting.signal
    await say(CommandName.REJECT, "paul")
    state = await waiting.handle().result()
    assert (state.outcome, state.sentence) == (Outcome.REJECTED, "rejected by paul: paul says so")
    assert [(c.principal, c.verified) for c in state.commands] == [("paul", True)]


async def test_pause_and_resume_may_follow_each_other_again_and_again(waiting: World) -> None:
    for name in (CommandName.PAUSE, CommandName.RESUME) * 2:
        assert (await waiting.update(name, "otto")).accepted
        paused = (await state_of(waiting)).paused_by
        assert (paused is not None) is (name is CommandName.PAUSE)


async def test_a_finished_release_hears_nothing_any_more(waiting: World) -> None:
    await waiting.update(CommandName.REJECT, "paul")
    await waiting.handle().result()
    with pytest.raises(RPCError, match="already completed"):
        await waiting.update(CommandName.ABORT, "otto")


async def test_a_lost_message_never_fails_a_release_and_is_kept(live: World) -> None:
    async def lose() -> None:
        live.script("tell", PermanentFailure("not_in_channel"))

    live.when_told("10 %: PROMOTE", lose)
    live.approves()
    state = await live.release()
    assert state.outcome is Outcome.RELEASED
    assert any("10 %: PROMOTE" in text for text in state.undelivered)
