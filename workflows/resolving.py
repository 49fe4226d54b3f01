"""A stuck rollback asks a person; the answer is signed and verified like every other command."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.approval import Approval
    from domain.commands import RESOLUTIONS, AcceptedCommand, Answer, Command, CommandName
    from domain.environments import CONTROL_QUEUE
    from domain.journal import UndoResult
    from domain.records import digest_of
    from domain.steps import Verification, VerifyCommand
    from workflows import options
    from workflows.interruptible import cause_of, finish


class Resolution(StrEnum):
    """What a person says about an undo that cannot go on."""

    RETRY = "retry"
    SKIP = "skip"
    GIVE_UP = "give-up"


class Resolving:
    """Base of the rollback workflow: takes one decision at a time, from an operator only."""

    def __init__(self, release_id: str) -> None:
        self._release_id = release_id
        self._stuck: UndoResult | None = None
        self._decided: AcceptedCommand | None = None
        self._answers: dict[str, Answer] = {}
        for name in RESOLUTIONS:
            workflow.set_update_handler(
                name.value, self._on_update(name), validator=self._validator(name)
            )

    def _is_stuck(self, failed: UndoResult) -> None:
        """From now on somebody may say what to do about it."""
        self._stuck, self._decided = failed, None

    async def _decision(self) -> tuple[Resolution, str]:
        """Wait, for as long as it takes, for what an operator says; and who said so, and why."""
        answer = workflow.wait_condition(lambda: self._decided is not None)
        await finish(asyncio.create_task(answer))
        self._stuck = None
        assert self._decided is not None  # noqa: S101 - the wait has looked
        return resolution_of(self._decided.command.name), _told(self._decided)

    def _on_update(self, name: CommandName) -> Callable[[Command], Awaitable[Answer]]:
        async def receive(command: Command) -> Answer:
            return await self._receive(name, command)

        return receive

    def _validator(self, name: CommandName) -> Callable[[Command], None]:
        def check(command: Command) -> None:
            if digest_of(command) in self._answers:
                return
            if problem := self._misplaced(name, command):
                raise ApplicationError(problem, type="Refused", non_retryable=True)

        return check

    def _misplaced(self, name: CommandName, command: Command) -> str | None:
        """Why a command cannot even be looked at."""
        statement = command.statement
        if statement.command is not name:
            return f"the statement says {statement.command}, it was sent as {name}"
        if statement.release != self._release_id:
            return f"the statement is about {statement.release}, not {self._release_id}"
        if self._stuck is None or self._decided is not None:
            return f"nothing to {resolution_of(name)}: the rollback is not stuck"
        return None

    async def _receive(self, name: CommandName, command: Command) -> Answer:
        """Verify a command and apply it once, however often it comes."""
        key = digest_of(command)
        if key in self._answers:
            return self._answers[key]
        try:
            found = await self._verified(command)
        except ActivityError as error:
            return _refused(name, f"could not be verified: {cause_of(error)}")
        # Somebody else may have decided while the signature was checked.
        problem = self._misplaced(name, command) or (None if found.accepted else found.sentence)
        if problem is not None or self._stuck is None:
            return _refused(name, problem or "")
        self._decided = AcceptedCommand(
            command=command,
            principal=found.principal,
            verified=found.verified,
            at=workflow.now(),
        )
        told = f"{_told(self._decided)}; it was stuck at: {self._stuck.compensation}"
        self._answers[key] = Answer(accepted=True, sentence=told)
        return self._answers[key]

    async def _verified(self, command: Command) -> Verification:
        return await workflow.execute_activity_method(
            Approval.verify_command,
            VerifyCommand(command=command, release_id=self._release_id, evidence=None, change=None),
            **options.on(CONTROL_QUEUE, options.QUICK, f"verify {command.name} by {command.actor}"),
        )


def resolution_of(name: CommandName) -> Resolution:
    """What a command says to a stuck rollback."""
    return Resolution(name.value.removeprefix("resolve-"))


def _told(decision: AcceptedCommand) -> str:
    said = f"{resolution_of(decision.command.name)} by {decision.principal}"
    return f"{said}: {decision.command.statement.reason}"


def _refused(name: CommandName, why: str) -> Answer:
    return Answer(accepted=False, sentence=f"{name} refused: {why}")
