"""A person's abort and a cancel in Temporal: everything is as it was, from any phase."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import CancelledError

from domain.commands import CommandName
from domain.phases import Outcome, Phase
from tests.support.release_world import PRODUCTION, STAGING, Reaction, World
from workflows.release import ReleaseWorkflow

When = tuple[str, Callable[[Any], bool]]


def always(asked: Any) -> bool:
    return True


WITHIN: dict[Phase, When] = {
    Phase.PREPARE: ("read_stable", always),
    Phase.BUILD: ("build_image", always),
    Phase.SCAN: ("judge_report", always),
    Phase.STAGING: ("check_revision", always),
    Phase.SOAK: ("earn_window begins", always),
    Phase.APPROVAL: ("tell", lambda asked: "approval needed" in asked.text),
    Phase.CANARY: ("observe_step", always),
    Phase.WATCH: ("observe_step", lambda asked: asked.watch),
}
BEFORE_ANY_WRITE = (Phase.PREPARE, Phase.BUILD, Phase.SCAN)


def given(live: World, phase: Phase, react: Reaction) -> None:
    """Somebody stops the release in a phase, and not before."""
    name, matches = WITHIN[phase]
    live.when(name, react, matches)
    if phase is Phase.SCAN:
        live.script("judge_report", "no report")
    if phase is not Phase.APPROVAL:
        live.approves()


async def has_left_the_lanes(live: World, *, entered: bool) -> None:
    if entered:
        await live.lane(STAGING).result()


@pytest.mark.parametrize("phase", WITHIN)
async def test_an_abort_in_any_phase_undoes_everything_done_so_far(
    live: World, phase: Phase
) -> None:
    async def abort() -> None:
        await live.signal(CommandName.ABORT, "otto")

    given(live, phase, abort)
    state = await live.release()
    assert state.outcome is Outcome.ABORTED
    assert state.sentence == "aborted by otto: otto says so"
    assert phase in {stage.phase for stage in state.stages}
    assert (state.rollback is None) is (phase in BEFORE_ANY_WRITE)
    assert live.is_restored
    await has_left_the_lanes(live, entered=phase not in BEFORE_ANY_WRITE)


@pytest.mark.parametrize("phase", WITHIN)
async def test_a_cancel_in_any_phase_undoes_everything_and_ends_cancelled(
    live: World, phase: Phase
) -> None:
    async def cancel() -> None:
        await live.handle().cancel()

    given(live, phase, cancel)
    release = await live.starts()
    with pytest.raises(WorkflowFailureError) as ended:
        await release.result()
    assert isinstance(ended.value.cause, CancelledError)
    assert (await release.describe()).status is WorkflowExecutionStatus.CANCELED
    state = await release.query(ReleaseWorkflow.state)
    assert (state.outcome, state.sentence) == (Outcome.ABORTED, "cancelled in Temporal")
    assert live.is_restored
    await has_left_the_lanes(live, entered=phase not in BEFORE_ANY_WRITE)


async def test_an_abort_in_the_queue_of_a_lane_gives_the_place_up(live: World) -> None:
    first, second = live.also("a" * 40), live.also("b" * 40)

    async def abort() -> None:
        await live.signal(CommandName.ABORT, "otto", release=second.release_id)

    live.when("enter_lane", abort, lambda asked: asked.ticket.commit == second.commit)
    live.approves(release=first.release_id)
    ahead, behind = await live.starts_in_order(first, second)
    aborted = await behind.result()
    assert (aborted.outcome, aborted.rollback) == (Outcome.ABORTED, None)
    assert (await ahead.result()).outcome is Outcome.RELEASED
    await live.lane(STAGING).result()


async def test_a_write_that_has_begun_is_finished_before_the_abort_counts(live: World) -> None:
    async def abort() -> None:
        await live.signal(CommandName.ABORT, "otto")

    live.when("shift_traffic", abort, lambda asked: asked.weight == 10)
    live.approves()
    state = await live.release()
    assert state.outcome is Outcome.ABORTED
    assert live.weights == [10, 0]
    assert live.is_restored


async def test_a_cancel_while_the_rollback_runs_does_not_stop_it(live: World) -> None:
    async def cancel() -> None:
        await live.handle().cancel()

    async def abort() -> None:
        await live.signal(CommandName.ABORT, "otto")

    live.when("observe_step", abort)
    live.when("undo", cancel)
    live.approves()
    state = await live.release()
    assert state.outcome is Outcome.ABORTED
    assert live.is_restored


async def test_once_it_settles_an_abort_halts_instead_of_taking_the_good_copy_away(
    live: World,
) -> None:
    async def abort() -> None:
        await live.signal(CommandName.ABORT, "otto")

    async def resume() -> None:
        await live.signal_resume("otto")

    live.breaks("settle_release")
    live.when("settle_release", abort)
    live.when_told("halted, nothing is changed: aborted by otto", resume)
    live.approves()
    state = await live.release()
    assert state.outcome is Outcome.RELEASED
    assert live.weights == [10, 50, 100]


async def test_the_first_to_stop_a_release_is_the_reason(live: World) -> None:
    async def abort() -> None:
        await live.signal(CommandName.ABORT, "otto")

    async def cancel() -> None:
        await live.handle().cancel()

    live.when("create_revision", abort)
    live.when_told("abort by otto", cancel)
    state = await live.release()
    assert (state.outcome, state.sentence) == (Outcome.ABORTED, "aborted by otto: otto says so")
    assert state.stages[-2].phase is Phase.STAGING


async def test_nobody_is_ever_sent_to_a_canary_that_was_aborted_before_its_first_step(
    live: World,
) -> None:
    async def abort() -> None:
        await live.signal(CommandName.ABORT, "otto")

    live.when("create_revision", abort, lambda asked: asked.target.environment is PRODUCTION)
    live.approves()
    state = await live.release()
    assert state.outcome is Outcome.ABORTED
    assert live.weights == []
