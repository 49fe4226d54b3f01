"""Undo what a release has done, in reverse: a workflow of its own, so nothing stops it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from enum import StrEnum

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.notification import Notification
    from activities.undo import Undoing
    from domain.environments import CONTROL_QUEUE, cluster_queue
    from domain.journal import (
        Compensation,
        RestoreEntry,
        RestoreTraffic,
        RollbackReport,
        RollbackRequest,
        UndoOutcome,
        UndoResult,
    )
    from domain.steps import Tell, Undo
    from workflows import options
    from workflows.interruptible import cause_of, finish

DRAIN = timedelta(seconds=30)


class Resolution(StrEnum):
    """What a person says about an undo that cannot go on."""

    RETRY = "retry"
    SKIP = "skip"
    GIVE_UP = "give-up"


@workflow.defn
class RollbackWorkflow:
    """Carries out a journal backwards; stops with every pod alive where traffic cannot return."""

    @workflow.init
    def __init__(self, request: RollbackRequest) -> None:
        self._request = request
        self._report = RollbackReport(release_id=request.release_id)
        self._stuck: Compensation | None = None
        self._resolution: Resolution | None = None
        self._pages = 0

    @workflow.run
    async def run(self, request: RollbackRequest) -> RollbackReport:
        for compensation in request.journal.undo_order():
            result = await self._undo(compensation)
            self._report = self._report.with_(results=(*self._report.results, result))
            if result.outcome is UndoOutcome.GIVEN_UP:
                break
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._report

    @workflow.query(description="what was undone so far, and what is stuck")
    def state(self) -> RollbackReport:
        return self._report

    @workflow.update(description="retry, skip or give up the undo that cannot go on")
    async def resolve(self, resolution: Resolution) -> str:
        stuck, self._resolution = self._stuck, resolution
        return f"{resolution}: {stuck}"

    @resolve.validator
    def _something_is_stuck(self, resolution: Resolution) -> None:
        if self._stuck is None:
            raise ValueError(f"nothing to {resolution}: the rollback is not stuck")

    async def _undo(self, compensation: Compensation) -> UndoResult:
        while True:
            result = await self._try(compensation)
            if result.outcome is not UndoOutcome.FAILED or not _must_hold(compensation):
                return result
            resolution = await self._ask_a_person(result)
            if resolution is Resolution.SKIP:
                return result.with_(outcome=UndoOutcome.SKIPPED)
            if resolution is Resolution.GIVE_UP:
                return result.with_(outcome=UndoOutcome.GIVEN_UP)

    async def _try(self, compensation: Compensation) -> UndoResult:
        try:
            undoing = workflow.start_activity_method(
                Undoing.undo,
                Undo(release_id=self._request.release_id, compensation=compensation, drain=DRAIN),
                **options.on(
                    cluster_queue(compensation.environment), options.UNDO, str(compensation)
                ),
            )
            return await finish(undoing)
        except ActivityError as error:
            return UndoResult(
                compensation=compensation,
                outcome=UndoOutcome.FAILED,
                sentence=cause_of(error),
            )

    async def _ask_a_person(self, failed: UndoResult) -> Resolution:
        """Page, and keep every pod alive until somebody says what to do."""
        self._stuck, self._resolution = failed.compensation, None
        workflow.set_current_details(f"stuck: {failed.compensation}: {failed.sentence}")
        await self._page(
            f"rollback of {self._request.release_id} is stuck: could not {failed.compensation}: "
            f"{failed.sentence}. All pods are kept. Say retry, skip or give-up."
        )
        answer = workflow.wait_condition(lambda: self._resolution is not None)
        await finish(asyncio.create_task(answer))
        self._stuck = None
        return self._resolution or Resolution.RETRY

    async def _page(self, text: str) -> None:
        self._pages += 1
        key = f"{workflow.info().workflow_id}:{self._pages}"
        try:
            telling = workflow.start_activity_method(
                Notification.tell,
                Tell(
                    release_id=self._request.release_id,
                    thread=self._request.thread,
                    key=key,
                    text=text,
                ),
                **options.on(CONTROL_QUEUE, options.TELL, text),
            )
            await finish(telling)
        except ActivityError as error:
            workflow.logger.error("nobody could be paged: %s", cause_of(error))


def _must_hold(compensation: Compensation) -> bool:
    """Whether going on after a failure would send users to something that is being destroyed."""
    return isinstance(compensation, RestoreTraffic | RestoreEntry)
