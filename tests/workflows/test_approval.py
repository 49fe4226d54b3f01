"""The approval gate: people decide about frozen evidence, in time, and it must still hold."""

from __future__ import annotations

from datetime import timedelta

from domain.commands import Command, CommandName
from domain.lane import Ticket
from domain.phases import Outcome, Phase
from domain.plan import HOUR
from tests.support.release_records import plan, request
from tests.support.release_world import PRODUCTION, World


async def test_a_rejection_ends_the_release_and_names_who_and_why(world: World) -> None:
    async def reject() -> None:
        await world.signal(CommandName.REJECT, "paul")

    world.when_told("approval needed from ann, paul", reject)
    state = await world.release()
    assert state.outcome is Outcome.REJECTED
    assert state.sentence == "rejected by paul: paul says so"
    assert world.weights == []
    assert world.is_restored


async def test_when_nobody_decides_in_time_the_release_expires(world: World) -> None:
    state = await world.release()
    assert state.outcome is Outcome.EXPIRED
    approval = next(stage for stage in state.stages if stage.phase is Phase.APPROVAL)
    assert approval.ended_at is not None
    day = approval.ended_at - approval.started_at
    assert 24 * HOUR <= day < 24 * HOUR + timedelta(minutes=1)
    assert world.is_restored


async def test_half_a_quorum_does_not_count_as_a_decision(world: World) -> None:
    world.request = request(plan=plan(approval={"quorum": 2}))
    world.approves("ann")
    state = await world.release()
    assert state.outcome is Outcome.EXPIRED
    assert [a.principal for a in state.approvals] == ["ann"]


async def test_who_waits_for_approval_holds_no_lane(world: World) -> None:
    seen: list[bool] = []

    async def look() -> None:
        state = await world.lane_state(PRODUCTION)
        seen.append(state.holder is None and state.queue == ())
        await world.signal(CommandName.REJECT, "ann")

    world.when_told("approval needed", look)
    await world.release()
    assert seen == [True]


async def test_who_was_rejected_is_no_candidate_any_more(world: World) -> None:
    async def reject() -> None:
        await world.signal(CommandName.REJECT, "ann")

    world.when_told("approval needed", reject)
    await world.release()
    await world.lane(PRODUCTION).result()


async def test_an_approval_that_became_void_is_asked_for_again_with_new_evidence(
    world: World,
) -> None:
    world.script("confirm_approval", "the stable revision changed")
    world.approves("ann")
    state = await world.release()
    assert state.outcome is Outcome.RELEASED
    assert any("approval void: the stable revision changed" in text for text in world.told)
    digests = [a.command.statement.evidence for a in state.commands]
    assert len(set(digests)) == 2
    assert len(state.approvals) == 1
    assert state.evidence is not None
    assert digests[-1] == state.evidence.digest


async def test_a_late_approval_of_void_evidence_does_not_count(world: World) -> None:
    world.script("confirm_approval", "the stable revision changed")
    late: list[Command] = []

    async def approve() -> None:
        late.append(world.command(CommandName.APPROVE, "paul"))
        await world.signal(CommandName.APPROVE, "ann")

    async def too_late() -> None:
        await world.handle().signal(CommandName.APPROVE.value, late[0])
        world.approves("ann")

    world.when_told("approval needed", approve)
    world.when_told("approval void", too_late)
    state = await world.release()
    assert state.outcome is Outcome.RELEASED
    assert [a.principal for a in state.approvals] == ["ann"]
    assert [refused.actor for refused in state.refusals] == ["paul"]
    assert state.evidence is not None
    assert {a.command.statement.evidence for a in state.approvals} == {state.evidence.digest}


async def test_before_there_is_evidence_nothing_can_be_approved(world: World) -> None:
    async def approve() -> None:
        await world.signal(CommandName.APPROVE, "ann")

    world.when("announce_candidate", approve)
    world.approves("paul")
    state = await world.release()
    assert [a.principal for a in state.approvals] == ["paul"]
    assert "there is no evidence to approve" in state.refusals[0].why


async def test_a_release_whose_approval_became_void_can_still_be_superseded(world: World) -> None:
    world.script("confirm_approval", "the stable revision changed")

    async def newer() -> None:
        ticket = Ticket(release_id="release-newer", service="album", commit="d" * 40)
        await world.handle().signal("newer_candidate", ticket)

    async def asked_again() -> None:
        world.when_told("approval needed", newer)

    world.approves("ann")
    world.when_told("approval void", asked_again)
    state = await world.release()
    announced = [call for call in world.calls if call.name == "announce_candidate"]
    assert len(announced) == 2
    assert state.outcome is Outcome.SUPERSEDED
