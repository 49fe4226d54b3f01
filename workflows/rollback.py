"""Undo what a release has done, in reverse: a workflow of its own, so nothing stops it."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.notification import Notification
    from activities.undo import Undoing
    from domain.decisions import Action, Signal, decide
    from domain.environments import CONTROL_QUEUE, Environment, cluster_queue
    from domain.journal import (
        OPEN,
        Compensation,
        RestoreEntry,
        RestoreTraffic,
        RollbackReport,
        RollbackRequest,
        UndoOutcome,
        UndoResult,
    )
    from domain.phases import Phase
    from domain.steps import Tell, Undo
    from workflows import options
    from workflows.interruptible import cause_of, finish
    from workflows.resolving import Resolution, Resolving
    from workflows.visiting import NoEntry, Visiting

DRAIN = timedelta(seconds=30)


@workflow.defn
class RollbackWorkflow(Visiting, Resolving):
    """Carries out a journal backwards; stops with every pod alive where traffic cannot return."""

    @workflow.init
    def __init__(self, request: RollbackRequest) -> None:
        Visiting.__init__(self)
        Resolving.__init__(self, request.release_id)
        self._request = request
        self._report = RollbackReport(release_id=request.release_id)
        self._pages = 0

    @workflow.run
    async def run(self, request: RollbackRequest) -> RollbackReport:
        for environment in request.journal.environments():
            await self._undo_in(environment)
            if self._report.given_up:
                break
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._report

    @workflow.query(description="what was undone so far, and what is stuck")
    def state(self) -> RollbackReport:
        return self._report.with_(stuck=self._stuck)

    async def _undo_in(self, environment: Environment) -> None:
        """Undo what was done in one environment, with its lane held."""
        steps = self._request.journal.undo_order(environment)
        if environment in self._request.lanes_held:
            await self._undo_all(steps)
            return
        refused = await self._visit(environment, self._request.service)
        if refused is not None:
            await self._keep(refused, steps)
            return
        await self._undo_all(steps)
        await self._leave(environment, self._request.service)

    async def _undo_all(self, steps: tuple[Compensation, ...]) -> None:
        for compensation in steps:
            result = await self._undo(compensation)
            self._note(result)
            if result.outcome is UndoOutcome.GIVEN_UP:
                return

    async def _keep(self, refused: NoEntry, steps: tuple[Compensation, ...]) -> None:
        """Touch nothing; only where no release takes over is that worth a page."""
        for step in steps:
            self._note(
                UndoResult(compensation=step, outcome=refused.outcome, sentence=refused.sentence)
            )
        if refused.outcome in OPEN:
            await self._page(f"{self._name} left something: {refused.sentence}")

    def _note(self, result: UndoResult) -> None:
        self._report = self._report.with_(results=(*self._report.results, result))

    @property
    def _name(self) -> str:
        return f"rollback of {self._request.release_id}"

    async def _undo(self, compensation: Compensation) -> UndoResult:
        while True:
            result = await self._try(compensation)
            if result.outcome is not UndoOutcome.FAILED:
                return result
            settled = await self._decide(result)
            if settled is not None:
                return settled

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

    async def _decide(self, failed: UndoResult) -> UndoResult | None:
        """What the table says about a failed undo; None: it is tried again."""
        if decide(Phase.ROLLBACK, Signal.BROKEN) is not Action.PAGE:
            return failed
        what = f"could not {failed.compensation}: {failed.sentence}"
        if _must_hold(failed.compensation):
            return await self._ask_a_person(failed, what)
        await self._page(f"{self._name} goes on, but {what}. It is left to be done by hand.")
        return failed

    async def _ask_a_person(self, failed: UndoResult, what: str) -> UndoResult | None:
        """Page, and keep every pod alive until somebody says what to do; None: try again."""
        self._is_stuck(failed)
        workflow.set_current_details(f"stuck: {failed.compensation}: {failed.sentence}")
        await self._page(
            f"{self._name} is stuck: {what}. All pods are kept. Say: tidegate resolve "
            f"{self._request.release_id} retry|skip|give-up --reason TEXT"
        )
        resolution, told = await self._decision()
        workflow.set_current_details("")
        await self._page(told)
        if resolution is Resolution.RETRY:
            return None
        skipped = resolution is Resolution.SKIP
        outcome = UndoOutcome.SKIPPED if skipped else UndoOutcome.GIVEN_UP
        return failed.with_(outcome=outcome, sentence=f"{failed.sentence}; {told}")

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
