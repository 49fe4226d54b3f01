"""Where people's commands arrive: as updates (with an answer) or as signals of the same names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.commands import (
        AcceptedCommand,
        Answer,
        Command,
        CommandName,
        RefusedCommand,
        Statement,
        untimely,
    )
    from domain.decisions import Signal
    from domain.holds import unpromotable
    from domain.steps import VerifyCommand
    from workflows.interruptible import Interruptible
    from workflows.reception import Reception, misaddressed
    from workflows.story import Story


class CommandDesk(Interruptible, Story, Reception):
    """Base of the release workflow: takes commands, has each verified, and applies it once."""

    def __init__(self) -> None:
        Interruptible.__init__(self)
        Story.__init__(self)
        Reception.__init__(self)
        self._soak_skip: AcceptedCommand | None = None
        self._promotion: AcceptedCommand | None = None
        self._resumed = 0
        self._takes: dict[CommandName, Callable[[AcceptedCommand], None]] = {
            CommandName.APPROVE: self._take_approval,
            CommandName.REJECT: self._take_rejection,
            CommandName.PAUSE: self._take_pause,
            CommandName.RESUME: self._take_resume,
            CommandName.ABORT: self._take_abort,
            CommandName.SKIP_SOAK: self._take_skip_soak,
            CommandName.PROMOTE: self._take_promotion,
        }
        self._receives(self._takes)
        for name in self._takes:
            workflow.set_signal_handler(name.value, self._on_signal(name))

    def _on_signal(self, name: CommandName) -> Callable[[Command], Awaitable[None]]:
        async def receive(command: Command) -> None:
            await self._receive(name, command)

        return receive

    def _misplaced(self, name: CommandName, command: Command) -> str | None:
        """Why a command cannot even be looked at: another release's, another name, too late."""
        if problem := misaddressed(name, command, self._state.request.release_id):
            return problem
        if problem := untimely(name, self._state.phase):
            return problem
        if name is CommandName.PROMOTE:
            return unpromotable(self._state.held, command.statement.held, self._state.phase)
        return (
            self._about_other_evidence(command.statement) if name is CommandName.APPROVE else None
        )

    def _about_other_evidence(self, statement: Statement) -> str | None:
        """An approval is of what is frozen now: evidence that became void counts no more."""
        frozen = self._state.evidence
        if frozen is None:
            return "there is no evidence to approve right now; look again when it is asked for"
        if statement.evidence != frozen.digest:
            return f"it is about the evidence {statement.evidence}, frozen now is {frozen.digest}"
        return None

    def _to_verify(self, command: Command) -> VerifyCommand:
        return VerifyCommand(
            command=command,
            release_id=self._state.request.release_id,
            evidence=self._state.evidence,
            change=self._state.change,
        )

    def _apply(self, accepted: AcceptedCommand) -> str:
        command = accepted.command
        self._change(commands=(*self._state.commands, accepted))
        self._takes[command.name](accepted)
        reason = command.statement.reason
        told = f"{command.name} by {accepted.principal}" + (f": {reason}" if reason else "")
        self._tell(told)
        return told

    def _refuse(self, command: Command, why: str) -> Answer:
        refused = RefusedCommand(name=command.name, actor=command.actor, why=why, at=workflow.now())
        self._change(refusals=(*self._state.refusals, refused)[-50:])
        return super()._refuse(command, why)

    async def _unpaused(self) -> None:
        """Go no further while somebody has paused the release."""
        if self._state.paused_by is not None:
            self._wait_note(f"resume (paused by {self._state.paused_by.principal})")
            await self._until(lambda: self._state.paused_by is None, summary="paused")
            self._wait_note("")

    def _take_approval(self, accepted: AcceptedCommand) -> None:
        if accepted.principal not in {a.principal for a in self._state.approvals}:
            self._change(approvals=(*self._state.approvals, accepted))

    def _take_rejection(self, accepted: AcceptedCommand) -> None:
        reason = accepted.command.statement.reason
        self._interrupt(Signal.REJECTED, f"rejected by {accepted.principal}: {reason}")

    def _take_pause(self, accepted: AcceptedCommand) -> None:
        self._change(paused_by=accepted)

    def _take_resume(self, accepted: AcceptedCommand) -> None:
        self._resumed += 1
        self._change(paused_by=None)

    def _take_abort(self, accepted: AcceptedCommand) -> None:
        reason = accepted.command.statement.reason
        self._interrupt(Signal.ABORTED, f"aborted by {accepted.principal}: {reason}")

    def _take_skip_soak(self, accepted: AcceptedCommand) -> None:
        self._soak_skip = accepted

    def _take_promotion(self, accepted: AcceptedCommand) -> None:
        self._promotion = self._promotion or accepted
