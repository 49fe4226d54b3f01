"""Joining lanes, and noticing that a lane's holder is gone."""

from __future__ import annotations

from datetime import timedelta

from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.failures import NotYet
from domain.environments import CONTROL_QUEUE, lane_id, rollback_id
from domain.errors import TransientFailure
from domain.lane import Ending, HolderEnd, Lane
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
    async def await_release_end(self, release_id: str) -> HolderEnd:
        """Look, and be asked again, until a lane's holder has closed; read what it left."""
        status = await self._status(release_id)
        rollback = await self._status(rollback_id(release_id))
        for name, found in ((release_id, status), (rollback_id(release_id), rollback)):
            if found is WorkflowExecutionStatus.RUNNING:
                raise NotYet(f"{name} is running", LOOK_AGAIN)
        if status in (None, WorkflowExecutionStatus.COMPLETED):
            return HolderEnd(ending=Ending.SETTLED, reason="the release ended by itself")
        if rollback is not None:
            return HolderEnd(ending=Ending.SETTLED, reason="its rollback has finished")
        state = await self._temporal.get_workflow_handle(release_id).query(
            "state", result_type=ReleaseState, rpc_timeout=RPC_TIMEOUT
        )
        reason = f"{release_id} was closed without settling ({status.name.lower()})"
        return HolderEnd(
            ending=Ending.ABANDONED, reason=reason, journal=state.journal, thread=state.thread
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
