"""One release of a service at a time in an environment; the others wait in order."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from temporalio import workflow
from temporalio.exceptions import ApplicationError, ChildWorkflowError, WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from activities.lanes import Lanes
    from domain.environments import CONTROL_QUEUE, rollback_id
    from domain.journal import RollbackRequest
    from domain.lane import Ending, HolderEnd, Lane, Ticket
    from workflows import options
    from workflows.rollback import RollbackWorkflow


@workflow.defn
class LaneWorkflow:
    """Admits, watches its holder, and rolls back what a holder left when it was terminated."""

    @workflow.init
    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._superseded: list[tuple[Ticket, Ticket]] = []

    @workflow.run
    async def run(self, lane: Lane) -> None:
        while not workflow.info().is_continue_as_new_suggested():
            await workflow.wait_condition(self._has_work)
            if self._lane.is_idle and not self._superseded:
                return
            await self._tell_superseded()
            self._lane = self._lane.admit()
            if self._lane.holder is not None:
                await self._serve(self._lane.holder)
        await workflow.wait_condition(workflow.all_handlers_finished)
        workflow.continue_as_new(self._lane)

    @workflow.signal(description="join the queue of this lane")
    def enter(self, ticket: Ticket) -> None:
        self._lane = self._lane.enter(ticket)

    @workflow.signal(description="hand the lane back, or leave its queue")
    def leave(self, release_id: str) -> None:
        self._lane = self._lane.leave(release_id)

    @workflow.signal(description="a soaked release waits for approval; older ones are told")
    def announce(self, ticket: Ticket) -> None:
        self._lane, older = self._lane.announce(ticket)
        self._superseded += [(old, ticket) for old in older]

    @workflow.query(description="who holds the lane, who waits")
    def state(self) -> Lane:
        return self._lane

    def _has_work(self) -> bool:
        return bool(self._superseded or self._lane.queue or self._lane.is_idle)

    async def _tell_superseded(self) -> None:
        while self._superseded:
            older, newer = self._superseded.pop(0)
            try:
                release = workflow.get_external_workflow_handle(older.release_id)
                await release.signal("newer_candidate", newer)
            except ApplicationError:
                # It ended without saying so: nothing to tell, nothing to remember.
                self._lane = self._lane.leave(older.release_id)

    async def _serve(self, holder: Ticket) -> None:
        """Grant the lane and keep it for the holder until it leaves, or ends without leaving."""
        with suppress(ApplicationError):
            release = workflow.get_external_workflow_handle(holder.release_id)
            await release.signal("lane_granted", self._lane.environment)
        end = workflow.start_activity_method(
            Lanes.await_release_end,
            holder.release_id,
            **options.on(CONTROL_QUEUE, options.POLL, f"watch {holder.release_id}"),
        )
        while self._lane.holder == holder and not end.done():
            await workflow.wait_condition(
                lambda: end.done() or self._lane.holder != holder or bool(self._superseded)
            )
            await self._tell_superseded()
        if end.done():
            await self._clear_up(holder, end.result())
            self._lane = self._lane.leave(holder.release_id)
            return
        end.cancel()
        with suppress(Exception, asyncio.CancelledError):
            await end

    async def _clear_up(self, holder: Ticket, end: HolderEnd) -> None:
        """Undo what a terminated holder left before the next release is admitted."""
        if end.ending is not Ending.ABANDONED or not end.journal.compensations:
            return
        request = RollbackRequest(
            release_id=holder.release_id,
            service=holder.service,
            reason=end.reason,
            journal=end.journal,
            thread=end.thread,
        )
        with suppress(WorkflowAlreadyStartedError, ChildWorkflowError):
            await workflow.execute_child_workflow(
                RollbackWorkflow.run,
                request,
                id=rollback_id(holder.release_id),
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                static_summary=f"roll back {holder.release_id}: {end.reason}",
            )
