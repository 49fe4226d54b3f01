"""One release of a service at a time in an environment; the others wait in order."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from temporalio import workflow
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ChildWorkflowError,
    WorkflowAlreadyStartedError,
)

with workflow.unsafe.imports_passed_through():
    from activities.lanes import Lanes
    from activities.notification import Notification
    from domain.decisions import Action, decide
    from domain.environments import CONTROL_QUEUE, release_of, rollback_id
    from domain.journal import RollbackRequest
    from domain.lane import HolderEnd, Lane, Ticket
    from domain.steps import Tell
    from workflows import options
    from workflows.interruptible import cause_of
    from workflows.rollback import RollbackWorkflow


@workflow.defn
class LaneWorkflow:
    """Admits, watches its holder, and clears up after one that was terminated."""

    @workflow.init
    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._superseded: list[tuple[Ticket, Ticket]] = []
        self._pages = 0

    @workflow.run
    async def run(self, lane: Lane) -> None:
        while not workflow.info().is_continue_as_new_suggested():
            await workflow.wait_condition(self._has_work)
            if self._lane.is_idle and not self._superseded:
                await workflow.wait_condition(workflow.all_handlers_finished)
                if self._lane.is_idle and not self._superseded:
                    return
            await self._tell_superseded()
            self._lane = self._lane.admit()
            if self._lane.holder is not None:
                await self._serve(self._lane.holder)
        await workflow.wait_condition(workflow.all_handlers_finished)
        # What is not told now is forgotten: the next run knows the lane only.
        await self._tell_superseded()
        workflow.continue_as_new(self._lane)

    @workflow.signal(description="join the queue of this lane")
    def enter(self, ticket: Ticket) -> None:
        self._lane = self._lane.enter(ticket)

    @workflow.signal(description="a rollback wants in, unless a release is there or comes next")
    async def visit(self, ticket: Ticket) -> None:
        if (release := self._lane.in_the_way_of(ticket)) is None:
            self._lane = self._lane.enter(ticket)
            return
        with suppress(ApplicationError):
            visitor = workflow.get_external_workflow_handle(ticket.release_id)
            await visitor.signal("lane_refused", args=[self._lane.environment, release])

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
        """Do what the table says about how the holder ended, before the next is admitted."""
        match decide(end.phase, end.report.signal):
            case Action.ADVANCE:
                return
            case Action.ROLL_BACK:
                await self._roll_back(holder, end)
            case _:
                await self._page(
                    holder,
                    end,
                    f"{end.report.sentence} in {end.phase}: nothing is changed in "
                    f"{self._lane.environment}, the next release is let in. Look at what serves "
                    "and which pods are left.",
                )

    async def _roll_back(self, holder: Ticket, end: HolderEnd) -> None:
        if not end.journal.compensations:
            return
        request = RollbackRequest(
            release_id=holder.release_id,
            service=holder.service,
            reason=end.report.sentence,
            journal=end.journal,
            lanes_held=(self._lane.environment,),
            thread=end.thread,
        )
        await self._page(holder, end, f"rolling back: {end.report.sentence}")
        try:
            report = await workflow.execute_child_workflow(
                RollbackWorkflow.run,
                request,
                id=rollback_id(holder.release_id),
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                static_summary=f"roll back {holder.release_id}: {end.report.sentence}"[:200],
            )
            told = f"rolled back: {report.sentence}"
        except WorkflowAlreadyStartedError:
            return
        except ChildWorkflowError as error:
            told = f"the rollback of {holder.release_id} did not end: {cause_of(error)}"
        await self._page(holder, end, told)

    async def _page(self, holder: Ticket, end: HolderEnd, text: str) -> None:
        """Tell the thread of a release that cannot speak for itself any more."""
        self._pages += 1
        try:
            await workflow.execute_activity_method(
                Notification.tell,
                Tell(
                    release_id=release_of(holder.release_id),
                    thread=end.thread,
                    key=f"{workflow.info().workflow_id}:{workflow.info().run_id}:{self._pages}",
                    text=text,
                ),
                **options.on(CONTROL_QUEUE, options.TELL, text),
            )
        except ActivityError as error:
            workflow.logger.error("nobody could be told: %s", cause_of(error))
