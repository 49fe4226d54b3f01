"""Workflows changed in ways that would strand a running release: the replayer must report them."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.notification import Notification
    from domain.decisions import Report
    from domain.environments import CONTROL_QUEUE
    from domain.journal import Compensation, RollbackReport, RollbackRequest, UndoResult
    from domain.lane import Lane, Ticket
    from domain.release import ReleaseRequest, ReleaseState
    from domain.steps import Tell
    from workflows import options
    from workflows.build import completed
    from workflows.lane import LaneWorkflow
    from workflows.release import ReleaseWorkflow
    from workflows.rollback import RollbackWorkflow


@workflow.defn(name="ReleaseWorkflow")
class ScansNothing(ReleaseWorkflow):
    """A stage asks nobody any more."""

    @workflow.init
    def __init__(self, request: ReleaseRequest) -> None:
        super().__init__(request)

    @workflow.run
    async def run(self, request: ReleaseRequest) -> ReleaseState:
        return await super().run(request)

    async def _scan(self) -> Report:
        return completed("clean, surely")


@workflow.defn(name="ReleaseWorkflow")
class HoldsCapacityLate(ReleaseWorkflow):
    """The same activities in another order: stable's pods are kept after the canary is there."""

    @workflow.init
    def __init__(self, request: ReleaseRequest) -> None:
        super().__init__(request)

    @workflow.run
    async def run(self, request: ReleaseRequest) -> ReleaseState:
        return await super().run(request)

    async def _bring_up(self, first_weight: int) -> Report | None:
        problem = await super()._bring_up(first_weight)
        await super()._hold_capacity()
        return problem

    async def _hold_capacity(self) -> None:
        """Later."""


@workflow.defn(name="ReleaseWorkflow")
class TellsLess(ReleaseWorkflow):
    """A message to people is left out: no write, and still another history."""

    @workflow.init
    def __init__(self, request: ReleaseRequest) -> None:
        super().__init__(request)

    @workflow.run
    async def run(self, request: ReleaseRequest) -> ReleaseState:
        return await super().run(request)

    def _tell(self, text: str) -> None:
        if "approval needed" not in text:
            super()._tell(text)


@workflow.defn(name="RollbackWorkflow")
class AnnouncesFirst(RollbackWorkflow):
    """A further activity before each undo."""

    @workflow.init
    def __init__(self, request: RollbackRequest) -> None:
        super().__init__(request)

    @workflow.run
    async def run(self, request: RollbackRequest) -> RollbackReport:
        return await super().run(request)

    async def _try(self, compensation: Compensation) -> UndoResult:
        await workflow.execute_activity_method(
            Notification.tell,
            Tell(release_id=self._request.release_id, thread=None, key="", text="beware"),
            **options.on(CONTROL_QUEUE, options.TELL, "beware"),
        )
        return await super()._try(compensation)


@workflow.defn(name="LaneWorkflow")
class AdmitsInSilence(LaneWorkflow):
    """The holder is not told that it holds the lane."""

    @workflow.init
    def __init__(self, lane: Lane) -> None:
        super().__init__(lane)

    @workflow.run
    async def run(self, lane: Lane) -> None:
        await super().run(lane)

    async def _serve(self, holder: Ticket) -> None:
        await workflow.wait_condition(lambda: self._lane.holder != holder)
