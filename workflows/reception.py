"""How a workflow receives people's commands: each is verified, and applied once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.approval import Approval
    from domain.commands import AcceptedCommand, Answer, Command, CommandName
    from domain.environments import CONTROL_QUEUE
    from domain.records import digest_of
    from domain.steps import VerifyCommand
    from workflows import options
    from workflows.interruptible import cause_of


class Reception(ABC):
    """Base of a workflow that people command; who derives says what fits and what it does."""

    def __init__(self) -> None:
        self._answers: dict[str, Answer] = {}

    def _receives(self, names: Iterable[CommandName]) -> None:
        """Take these commands as updates, which are answered."""
        for name in names:
            workflow.set_update_handler(
                name.value, self._on_update(name), validator=self._validator(name)
            )

    @abstractmethod
    def _misplaced(self, name: CommandName, command: Command) -> str | None:
        """Why a command cannot even be looked at here and now; None when it can."""

    @abstractmethod
    def _to_verify(self, command: Command) -> VerifyCommand:
        """What the verification must know beside the command."""

    @abstractmethod
    def _apply(self, accepted: AcceptedCommand) -> str:
        """Do what it says; returns the sentence that answers it."""

    def _refuse(self, command: Command, why: str) -> Answer:
        return Answer(accepted=False, sentence=f"{command.name} refused: {why}")

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
                self._to_verify(command),
                **options.on(CONTROL_QUEUE, options.QUICK, f"verify {name} by {command.actor}"),
            )
        except ActivityError as error:
            return self._refuse(command, f"could not be verified: {cause_of(error)}")
        # The workflow went on while the signature was checked.
        if problem := self._misplaced(name, command) or (
            None if found.accepted else found.sentence
        ):
            return self._refuse(command, problem)
        if key not in self._answers:
            accepted = AcceptedCommand(
                command=command,
                principal=found.principal,
                verified=found.verified,
                at=workflow.now(),
            )
            self._answers[key] = Answer(accepted=True, sentence=self._apply(accepted))
        return self._answers[key]


def misaddressed(name: CommandName, command: Command, release_id: str) -> str | None:
    """Why a command is not the one it was sent as, or is about another release."""
    statement = command.statement
    if statement.command is not name:
        return f"the statement says {statement.command}, it was sent as {name}"
    if statement.release != release_id:
        return f"the statement is about {statement.release}, not {release_id}"
    return None
