"""A release workflow that is told what its state is, for tests of those who look at releases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from activities.approval import Approval
    from domain.commands import AcceptedCommand, Answer, Command, CommandName
    from domain.environments import CONTROL_QUEUE, Environment, cluster_queue
    from domain.release import ReleaseRequest, ReleaseState
    from domain.steps import ObserveStep, Verification, VerifyCommand
    from starter.launch import start

REFUSED = "mallory"


@workflow.defn(name="ReleaseWorkflow")
class StandInRelease:
    """Has the names of the real one; refuses mallory, accepts everybody else.

    Where its change is known, the real gate's activity says who counts.
    """

    @workflow.init
    def __init__(self, request: ReleaseRequest) -> None:
        self._state = ReleaseState(request=request, started_at=workflow.now())
        for name in CommandName:
            workflow.set_update_handler(name.value, self._receiver(name))

    @workflow.run
    async def run(self, request: ReleaseRequest) -> ReleaseState:
        await workflow.wait_condition(lambda: self._state.is_over)
        return self._state

    @workflow.signal
    def become(self, state: ReleaseState) -> None:
        self._state = state

    @workflow.signal
    def observe(self, asked: ObserveStep) -> None:
        """Ask production's observer, and take no answer."""
        self._observing = workflow.start_activity(
            "observe_step",
            asked,
            task_queue=cluster_queue(Environment.PRODUCTION),
            start_to_close_timeout=timedelta(hours=1),
            heartbeat_timeout=timedelta(seconds=20),
        )

    @workflow.query
    def state(self) -> ReleaseState:
        return self._state

    def _receiver(self, name: CommandName) -> Callable[[Command], Awaitable[Answer]]:
        async def receive(command: Command) -> Answer:
            if command.actor == REFUSED:
                return Answer(accepted=False, sentence=f"{name} refused: mallory wrote the change")
            if (
                self._state.change is not None
                and not (said := await self._verify(command)).accepted
            ):
                return Answer(accepted=False, sentence=f"{name} refused: {said.sentence}")
            accepted = AcceptedCommand(
                command=command,
                principal=command.actor,
                verified=command.signature is not None,
                at=workflow.now(),
            )
            self._state = self._state.with_(commands=(*self._state.commands, accepted))
            return Answer(accepted=True, sentence=f"{name} by {command.actor}")

        return receive

    async def _verify(self, command: Command) -> Verification:
        return await workflow.execute_activity_method(
            Approval.verify_command,
            VerifyCommand(
                command=command,
                release_id=self._state.request.release_id,
                evidence=self._state.evidence,
                change=self._state.change,
            ),
            start_to_close_timeout=timedelta(seconds=20),
        )


@asynccontextmanager
async def answering(client: Client, *gate: Callable[..., Any]) -> AsyncIterator[None]:
    """A worker of role control that serves it, and the gate's activities."""
    async with Worker(
        client, task_queue=CONTROL_QUEUE, workflows=[StandInRelease], activities=gate
    ):
        yield


class Release:
    """One of them, and its state as the test makes it."""

    def __init__(
        self, handle: WorkflowHandle[StandInRelease, ReleaseState], state: ReleaseState
    ) -> None:
        self.handle = handle
        self.state = state

    @classmethod
    async def started(cls, client: Client, request: ReleaseRequest) -> Release:
        named = await start(client, request)
        handle = client.get_workflow_handle_for(StandInRelease.run, named.release_id)
        return cls(handle, await handle.query(StandInRelease.state))

    @property
    def id(self) -> str:
        return self.state.request.release_id

    async def becomes(self, **changes: object) -> None:
        """Change its state."""
        self.state = self.state.with_(**changes)
        await self.handle.signal(StandInRelease.become, self.state)

    async def now(self) -> ReleaseState:
        """Its state, with what others did to it."""
        return await self.handle.query(StandInRelease.state)
