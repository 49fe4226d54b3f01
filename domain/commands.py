"""What people tell a running release, what each needs, and the bytes that are signed."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import SerializerFunctionWrapHandler, model_serializer

from domain.phases import Phase
from domain.policy import Person, Policy, Role
from domain.records import Record, canonical_json

APPROVAL_NAMESPACE = "tidegate-approval"


class CommandName(StrEnum):
    """Everything a person can say; the last three are `resolve RELEASE retry|skip|give-up`."""

    APPROVE = "approve"
    REJECT = "reject"
    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"
    SKIP_SOAK = "skip-soak"
    PROMOTE = "promote"
    RESOLVE_RETRY = "resolve-retry"
    RESOLVE_SKIP = "resolve-skip"
    RESOLVE_GIVE_UP = "resolve-give-up"


# What is said to a stuck rollback, a workflow of its own; the release is told everything else.
RESOLUTIONS = (CommandName.RESOLVE_RETRY, CommandName.RESOLVE_SKIP, CommandName.RESOLVE_GIVE_UP)


class Requirement(Record):
    """What a command needs before it counts."""

    role: Role | None
    needs_reason: bool = False
    binds_evidence: bool = False
    binds_hold: bool = False
    refuses_author: bool = False

    @property
    def signed(self) -> bool:
        """A role can only be proved by a signature; what moves to safety needs neither."""
        return self.role is not None


REQUIREMENTS: dict[CommandName, Requirement] = {
    CommandName.APPROVE: Requirement(role=Role.APPROVER, binds_evidence=True, refuses_author=True),
    CommandName.REJECT: Requirement(role=Role.APPROVER, needs_reason=True, binds_evidence=True),
    CommandName.PAUSE: Requirement(role=None),
    CommandName.RESUME: Requirement(role=Role.OPERATOR),
    CommandName.ABORT: Requirement(role=None, needs_reason=True),
    CommandName.SKIP_SOAK: Requirement(
        role=Role.RELEASE_MANAGER, needs_reason=True, refuses_author=True
    ),
    CommandName.PROMOTE: Requirement(
        role=Role.RELEASE_MANAGER, needs_reason=True, refuses_author=True, binds_hold=True
    ),
    **dict.fromkeys(RESOLUTIONS, Requirement(role=Role.OPERATOR, needs_reason=True)),
}


# Where something can be held that a person may promote: gates that ask, canary and watch.
HELD_PHASES = (
    Phase.BUILD,
    Phase.SCAN,
    Phase.STAGING,
    Phase.SOAK,
    Phase.CANARY,
    Phase.WATCH,
)
_UNDER_WAY = tuple(phase for phase in Phase if phase not in (Phase.ROLLBACK, Phase.DONE))
TIMELY: dict[CommandName, tuple[Phase, ...]] = {
    CommandName.APPROVE: (Phase.APPROVAL,),
    CommandName.REJECT: (Phase.APPROVAL,),
    CommandName.PAUSE: _UNDER_WAY,
    CommandName.RESUME: _UNDER_WAY,
    CommandName.ABORT: _UNDER_WAY,
    CommandName.SKIP_SOAK: (Phase.SOAK,),
    CommandName.PROMOTE: HELD_PHASES,
    # The release may be gone: whether it makes sense, the rollback says.
    **dict.fromkeys(RESOLUTIONS, tuple(Phase)),
}


def untimely(name: CommandName, phase: Phase) -> str | None:
    """Why a command makes no sense in a phase, or None."""
    if phase in TIMELY[name]:
        return None
    if phase in (Phase.ROLLBACK, Phase.DONE):
        return f"the release is {'over' if phase is Phase.DONE else 'already rolling back'}"
    wanted = " or ".join(TIMELY[name])
    return f"{name} counts in the phase {wanted}; the release is in {phase}"


class Statement(Record):
    """Exactly what is signed: the decision, what it is about, and until when it is good.

    `held` names the hold that a promote is about; what says none is signed without the word, as
    before there was one.
    """

    command: CommandName
    release: str
    evidence: str | None = None
    reason: str = ""
    expires_at: datetime
    held: str | None = None

    @model_serializer(mode="wrap")
    def _without_no_hold(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        said: dict[str, Any] = handler(self)
        if self.held is None:
            del said["held"]
        return said

    def message(self) -> bytes:
        """The signed bytes: canonical JSON and a newline (SSHSIG namespace `tidegate-approval`)."""
        return canonical_json(self) + b"\n"


class Command(Record):
    """A statement, who says so, and the armored SSH signature that proves it."""

    statement: Statement
    actor: str
    signature: str | None = None

    @property
    def name(self) -> CommandName:
        """Which command this is."""
        return self.statement.command


class AcceptedCommand(Record):
    """A command that counted: `verified` says whether a signature proved the principal."""

    command: Command
    principal: str
    verified: bool
    at: datetime


class RefusedCommand(Record):
    """A command that did not count, and why; kept, because Temporal keeps no trace of a refusal."""

    name: CommandName
    actor: str
    why: str
    at: datetime


class Answer(Record):
    """What the sender of a command is told."""

    accepted: bool
    sentence: str


class Change(Record):
    """Whose work a release carries: commits after `base` up to `commit`."""

    commit: str
    base: str | None
    authors: tuple[str, ...]
    started_by: str


def unreasoned(command: Command) -> str | None:
    """Why a command must not count without a reason, or None; needs no policy to be said."""
    if REQUIREMENTS[command.name].needs_reason and not command.statement.reason.strip():
        return f"{command.name} needs a reason; say --reason"
    return None


def refusal(
    command: Command, policy: Policy, principal: str | None, change: Change | None, now: datetime
) -> str | None:
    """Why a command must not count, or None. `principal` is whose key signed it, if anybody's.

    The signature itself is checked before (SSHSIG, in `clients`); this is the rest of the rule.
    """
    needs = REQUIREMENTS[command.name]
    if (why := unreasoned(command)) is not None or needs.role is None:
        return why
    person = policy.person(principal) if principal else None
    if person is None:
        return f"{command.name} must be signed by somebody of the policy's people"
    if needs.refuses_author and change is not None and (own := _own_work(person, policy, change)):
        return own
    if needs.role not in person.roles:
        return f"{person.principal} does not have the role {needs.role} that {command.name} needs"
    expired = now > command.statement.expires_at
    expiry = f"{command.statement.expires_at:%Y-%m-%d %H:%M:%S %Z}"
    return f"the signature expired at {expiry}" if expired else None


def _own_work(person: Person, policy: Policy, change: Change) -> str | None:
    principal = person.principal
    if principal in {policy.principal_of(email) for email in change.authors}:
        return f"{principal} wrote part of this change; somebody else must decide"
    if principal in (change.started_by, policy.principal_of(change.started_by)):
        return f"{principal} started this release; somebody else must decide"
    return None


def eligible(policy: Policy, role: Role, change: Change) -> tuple[str, ...]:
    """Everybody who may decide about this change in a role."""
    return tuple(
        person.principal
        for person in policy.holders(role)
        if _own_work(person, policy, change) is None
    )


def distinct_principals(commands: Collection[AcceptedCommand]) -> int:
    """How many different people agreed: one person counts once."""
    return len({accepted.principal for accepted in commands})
