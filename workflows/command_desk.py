"""Where people's commands arrive: as updates (with an answer) or as signals of the same names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.approval import Approval
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
    from domain.environments import CONTROL_QUEUE
    from domain.records import digest_of
    from domain.steps import VerifyCommand
    from workflows import options
    from workflows.interruptible import Interruptible, cause_of
    from workflows.story import Story


class CommandDesk(Interruptible, Story):
    """Base of the release workflow: takes commands, has each verified, and applies it once."""

    def __init__(self) -> None:
        Interruptible.__init__(self)
        Story.__init__(self)
        self._answers: dict[str, Answer] = {}
        self._soak_skip: AcceptedCommand | None = None
        self._resumed = 0
        self._apply: dict[CommandName, Callable[[AcceptedCommand], None]] = {
            CommandName.APPROVE: self._take_approval,
            CommandName.REJECT: self._take_rejection,
            CommandName.PAUSE: self._take_pause,
            CommandName.RESUME: self._take_resume,
            CommandName.ABORT: self._take_abort,
            CommandName.SKIP_SOAK: self._take_skip_soak,
        }
        for name in self._apply:
            workflow.set_update_handler(
                name.value, self._on_update(name), validator=self._validator(name)
            )
            workflow.set_signal_handler(name.value, self._on_signal(name))

    def _on_update(self, name: CommandName) -> Callable[[Command], Awaitable[Answer]]:
        async def receive(command: Command) -> Answer:
            return await self._receive(name, command)

        return receive

    def _on_signal(self, name: CommandName) -> Callable[[Command], Awaitable[None]]:
        async def receive(command: Command) -> None:
            await self._receive(name, command)

        return receive

    def _validator(self, name: CommandName) -> Callable[[Command], None]:
        def check(command: Command) -> None:
            if digest_of(command) in self._answers:
                return
            if problem := self._misplaced(name, command):
                raise ApplicationError(problem, type="Refused", non_retryable=True)

        return check

    def _misplaced(self, name: CommandName, command: Command) -> str | None:
        """Why a command cannot even be looked at: another release's, another name, too late."""
        statement, request = command.statement, self._state.request
        if statement.command is not name:
            return f"the statement says {statement.command}, it was sent as {name}"
        if statement.release != request.release_id:
            return f"the statement is about {statement.release}, not {request.release_id}"
        if problem := untimely(name, self._state.phase):
            return problem
        return self._about_other_evidence(statement) if name is CommandName.APPROVE else None

    def _about_other_evidence(self, statement: Statement) -> str | None:
        """An approval is of what is frozen now: evidence that became void counts no more."""
        frozen = self._state.evidence
        if frozen is None:
            return "there is no evidence to approve right now; look again when it is asked for"
        if statement.evidence != frozen.digest:
            return f"it is about the evidence {statement.evidence}, frozen now is {frozen.digest}"
        return None

    async def _receive(self, name: CommandName, command: Command) -> Answer:
        """Verify a command and apply it once, however often and by whichever way it comes."""
        key = digest_of(command)
        if key in self._answers:
            return self._answers[key]
        if problem := self._misplaced(name, command):
            return self._refuse(command, problem)
        try:
            found = await workflow.execute_activity_method(
                Approval.verify_command,
                VerifyCommand(
                    command=command,
                    release_id=self._state.request.release_id,
                    evidence=self._state.evidence,
                    change=self._state.change,
                ),
                **options.on(CONTROL_QUEUE, options.QUICK, f"verify {name} by {command.actor}"),
            )
        except ActivityError as error:
            return self._refuse(command, f"could not be verified: {cause_of(error)}")
        # The release went on while the signature was checked.
        if problem := self._misplaced(name, command) or (
            None if found.accepted else found.sentence
        ):
            return self._refuse(command, problem)
        return self._accept(key, command, found.principal, found.verified)

    def _accept(self, key: str, command: Command, principal: str, verified: bool) -> Answer:
        if key not in self._answers:
            accepted = AcceptedCommand(
                command=command, principal=principal, verified=verified, at=workflow.now()
            )
            self._change(commands=(*self._state.commands, accepted))
            self._apply[command.name](accepted)
            reason = command.statement.reason
            told = f"{command.name} by {principal}" + (f": {reason}" if reason else "")
            self._tell(told)
            self._answers[key] = Answer(accepted=True, sentence=told)
        return self._answers[key]

    def _refuse(self, command: Command, why: str) -> Answer:
        refused = RefusedCommand(name=command.name, actor=command.actor, why=why, at=workflow.now())
        self._change(refusals=(*self._state.refusals, refused)[-50:])
        return Answer(accepted=False, sentence=f"{command.name} refused: {why}")

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
