"""Joining lanes, and noticing that a lane's holder is gone."""

from __future__ import annotations

from datetime import timedelta

from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.failures import NotYet
from domain.decisions import Report, Signal
from domain.environments import (
    CONTROL_QUEUE,
    is_rollback,
    lane_id,
    release_of,
    rollback_id,
)
from domain.errors import TransientFailure
from domain.lane import HolderEnd, Lane
from domain.phases import Phase
from domain.release import ReleaseState
from domain.steps import LaneRequest

LOOK_AGAIN = timedelta(seconds=15)
RPC_TIMEOUT = timedelta(seconds=10)


class Lanes:
    """Talks to Temporal itself, for the lanes."""

    def __init__(self, temporal: Client) -> None:
        self._temporal = temporal

    @activity.defn
    async def enter_lane(self, request: LaneRequest) -> None:
        """Queue up; starts the lane when nobody uses it."""
        await self._signal(request, "enter")

    @activity.defn
    async def announce_candidate(self, request: LaneRequest) -> None:
        """Say that this bundle has soaked and waits for approval."""
        await self._signal(request, "announce")

    @activity.defn
    async def visit_lane(self, request: LaneRequest) -> None:
        """Ask for the lane on behalf of a rollback; the lane grants it or says who has it."""
        await self._signal(request, "visit")

    @activity.defn
    async def await_release_end(self, holder: str) -> HolderEnd:
        """Look, and be asked again, until a lane's holder has closed; read what it left.

        The holder is a release, or a rollback; a release has not ended before its rollback.
        """
        release = release_of(holder)
        status = None if is_rollback(holder) else await self._status(release)
        rollback = await self._status(rollback_id(release))
        for name, found in ((release, status), (rollback_id(release), rollback)):
            if found is WorkflowExecutionStatus.RUNNING:
                raise NotYet(f"{name} is running", LOOK_AGAIN)
        if status is WorkflowExecutionStatus.COMPLETED:
            return _settled(f"{release} ended by itself")
        if rollback is WorkflowExecutionStatus.COMPLETED:
            return _settled(f"the rollback of {release} has finished")
        if status is None and rollback is None:
            return _settled(f"{holder} does not exist")
        return await self._end_of(release, status, rollback)

    async def _end_of(
        self,
        release: str,
        status: WorkflowExecutionStatus | None,
        rollback: WorkflowExecutionStatus | None,
    ) -> HolderEnd:
        state = await self._temporal.get_workflow_handle(release).query(
            "state", result_type=ReleaseState, rpc_timeout=RPC_TIMEOUT
        )
        if rollback is not None:
            signal, phase = Signal.BROKEN, Phase.ROLLBACK
            told = f"the rollback of {release} was closed before its end ({_word(rollback)})"
        elif status is WorkflowExecutionStatus.CANCELED and state.is_over:
            return _settled(f"{release} was cancelled and has ended")
        else:
            signal, phase = Signal.TERMINATED, state.phase
            told = f"{release} was closed without settling ({_word(status)})"
        return HolderEnd(
            phase=phase,
            report=Report(signal=signal, sentence=told),
            journal=state.journal,
            thread=state.thread,
        )

    async def _signal(self, request: LaneRequest, name: str) -> None:
        environment, service = request.environment, request.ticket.service
        await self._temporal.start_workflow(
            "LaneWorkflow",
            Lane(environment=environment, service=service),
            id=lane_id(environment, service),
            task_queue=CONTROL_QUEUE,
            start_signal=name,
            start_signal_args=[request.ticket],
            static_summary=f"one release of {service} at a time in {environment}",
            rpc_timeout=RPC_TIMEOUT,
        )

    async def _status(self, workflow_id: str) -> WorkflowExecutionStatus | None:
        try:
            description = await self._temporal.get_workflow_handle(workflow_id).describe(
                rpc_timeout=RPC_TIMEOUT
            )
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise TransientFailure(f"Temporal did not describe {workflow_id}: {error}") from error
        return description.status


def _settled(sentence: str) -> HolderEnd:
    return HolderEnd(phase=Phase.DONE, report=Report(signal=Signal.COMPLETED, sentence=sentence))


def _word(status: WorkflowExecutionStatus | None) -> str:
    return status.name.lower() if status else "gone"
