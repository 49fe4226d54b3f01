"""A release: the journey of one bundle of one service to all of production's traffic."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from temporalio import workflow
from temporalio.exceptions import ActivityError, ChildWorkflowError, WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from domain.decisions import Action, Report, Signal, decide, outcome_of
    from domain.environments import RELEASE_ENVIRONMENTS, Environment, rollback_id
    from domain.journal import RollbackRequest
    from domain.phases import Outcome, Phase
    from domain.release import ReleaseRequest, ReleaseState
    from workflows.approval import Approving
    from workflows.build import completed
    from workflows.canary import Promoting
    from workflows.interruptible import Interrupted, cause_of
    from workflows.rollback import RollbackWorkflow
    from workflows.staging import Staging
    from workflows.story import COMMIT, SERVICE

Stage = Callable[[], Awaitable[Report]]


@workflow.defn
class ReleaseWorkflow(Staging, Approving, Promoting):
    """Commit to 100 %, over days; any failure undoes everything done so far."""

    @workflow.init
    def __init__(self, request: ReleaseRequest) -> None:
        self._state = ReleaseState(request=request, started_at=workflow.now())
        self._held_for = ""
        super().__init__()

    @workflow.run
    async def run(self, request: ReleaseRequest) -> ReleaseState:
        workflow.upsert_search_attributes(
            [SERVICE.value_set(request.service), COMMIT.value_set(request.commit[:10])]
        )
        for phase, stage in self._journey():
            report = await self._attempt(phase, stage)
            while (action := decide(phase, report.signal)) in (Action.HOLD, Action.HALT):
                await (self._hold if action is Action.HOLD else self._halt)(report)
                report = await self._attempt(phase, stage)
            if action is not Action.ADVANCE:
                return await self._roll_back(report)
        return await self._end(Outcome.RELEASED, f"{request.service} serves everybody")

    def _journey(self) -> tuple[tuple[Phase, Stage], ...]:
        return (
            (Phase.PREPARE, self._prepare),
            (Phase.BUILD, self._build),
            (Phase.SCAN, self._scan),
            (Phase.STAGING, self._deploy_to_staging),
            (Phase.SOAK, self._soak),
            (Phase.APPROVAL, self._gain_approval),
            (Phase.CANARY, self._canary),
            (Phase.WATCH, self._watch),
            (Phase.SETTLE, self._settle),
        )

    @workflow.query(description="everything about this release")
    def state(self) -> ReleaseState:
        return self._state

    async def _attempt(self, phase: Phase, stage: Stage) -> Report:
        """Perform a stage; whatever happens becomes a report for the table."""
        self._open_stage(phase)
        try:
            # Where users are on the canary, a pause stops the steps and never the watching.
            if phase not in (Phase.CANARY, Phase.WATCH):
                await self._unpaused()
            report = await stage()
        except Interrupted as interrupted:
            self._interruption, report = None, interrupted.report
        except ActivityError as error:
            report = Report(signal=Signal.BROKEN, sentence=cause_of(error))
        self._close_stage(report)
        return report

    async def _hold(self, report: Report) -> None:
        """Nothing proves anything: say so once, change nothing, and look again."""
        judged = self._state.phase in (Phase.CANARY, Phase.WATCH)
        if judged and workflow.patched("holds-are-told-by-reason"):
            news = self._hold_news()
        else:
            news = f"holding: {report.sentence}" if report.sentence != self._held_for else None
            self._held_for = report.sentence
        if news is not None:
            self._tell(news)

    async def _halt(self, report: Report) -> None:
        """Traffic stays on the healthy copy; a person says when to go on."""
        self._tell(f"halted, nothing is changed: {report.sentence}. Say resume to try again.")
        self._wait_note("an operator's resume")
        resumed = self._resumed
        await self._until(lambda: self._resumed > resumed or self._interruption is not None)

    async def _roll_back(self, report: Report) -> ReleaseState:
        """Undo everything by the journal, in a workflow that outlives this one."""
        outcome = outcome_of(
            report.signal, reached_production=self._state.journal.touches(Environment.PRODUCTION)
        )
        self._end_hold()
        if self._state.journal.compensations:
            self._open_stage(Phase.ROLLBACK)
            self._tell(f"rolling back: {report.sentence}")
            undone = await self._undo_everything(report.sentence)
            self._close_stage(undone)
            if decide(Phase.ROLLBACK, undone.signal) is Action.PAGE:
                self._tell(f"the rollback did not undo everything: {undone.sentence}")
                outcome = Outcome.ROLLBACK_INCOMPLETE
        state = await self._end(outcome, report.sentence)
        if report.signal is Signal.CANCELLED:
            raise asyncio.CancelledError
        return state

    async def _undo_everything(self, reason: str) -> Report:
        request = self._state.request
        self._change(rollback=rollback_id(request.release_id))
        rollback = workflow.execute_child_workflow(
            RollbackWorkflow.run,
            RollbackRequest(
                release_id=request.release_id,
                service=request.service,
                reason=reason,
                journal=self._state.journal,
                lanes_held=tuple(e for e in RELEASE_ENVIRONMENTS if self._holds(e)),
                thread=self._state.thread,
            ),
            id=rollback_id(request.release_id),
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            static_summary=f"roll back {request.release_id}: {reason}"[:200],
        )
        try:
            report = await self._surely(rollback)
        except (ChildWorkflowError, WorkflowAlreadyStartedError) as error:
            return Report(signal=Signal.BROKEN, sentence=cause_of(error))
        if report.returned(Environment.PRODUCTION):
            self._splits.pop(Environment.PRODUCTION, None)
        if report.is_complete:
            return completed(report.sentence)
        return Report(signal=Signal.BROKEN, sentence=report.sentence)

    async def _end(self, outcome: Outcome, sentence: str) -> ReleaseState:
        """Hand the lanes back, say how it ended, and let every handler finish."""
        self._set_outcome(outcome, sentence)
        for environment in RELEASE_ENVIRONMENTS:
            await self._leave(environment)
        self._set_weight(self._last_known_share())
        self._tell(f"{outcome}: {sentence}")
        await self._surely(self._all_told())
        await self._surely(workflow.wait_condition(workflow.all_handlers_finished))
        return self._state

    def _last_known_share(self) -> int:
        """Percent of production that gets this release, unless it was given back."""
        split = self._splits.get(Environment.PRODUCTION)
        return split.weight_of(self._state.revision) if split else 0
