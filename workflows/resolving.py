"""A stuck rollback asks a person; the answer is signed and verified like every other command."""

from __future__ import annotations

import asyncio
from enum import StrEnum

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.commands import RESOLUTIONS, AcceptedCommand, Command, CommandName
    from domain.journal import UndoResult
    from domain.steps import VerifyCommand
    from workflows.interruptible import finish
    from workflows.reception import Reception, misaddressed


class Resolution(StrEnum):
    """What a person says about an undo that cannot go on."""

    RETRY = "retry"
    SKIP = "skip"
    GIVE_UP = "give-up"


class Resolving(Reception):
    """Base of the rollback workflow: takes one decision at a time, from an operator only."""

    def __init__(self, release_id: str) -> None:
        super().__init__()
        self._release_id = release_id
        self._stuck: UndoResult | None = None
        self._decided: AcceptedCommand | None = None
        self._receives(RESOLUTIONS)

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

    def _misplaced(self, name: CommandName, command: Command) -> str | None:
        if problem := misaddressed(name, command, self._release_id):
            return problem
        if self._stuck is None or self._decided is not None:
            return f"nothing to {resolution_of(name)}: the rollback is not stuck"
        return None

    def _to_verify(self, command: Command) -> VerifyCommand:
        return VerifyCommand(
            command=command, release_id=self._release_id, evidence=None, change=None
        )

    def _apply(self, accepted: AcceptedCommand) -> str:
        assert self._stuck is not None  # noqa: S101 - otherwise it was misplaced
        self._decided = accepted
        return f"{_told(accepted)}; it was stuck at: {self._stuck.compensation}"


def resolution_of(name: CommandName) -> Resolution:
    """What a command says to a stuck rollback."""
    return Resolution(name.value.removeprefix("resolve-"))


def _told(decision: AcceptedCommand) -> str:
    said = f"{resolution_of(decision.command.name)} by {decision.principal}"
    return f"{said}: {decision.command.statement.reason}"
