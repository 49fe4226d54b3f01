"""What a command's exit code means: one stable number per kind of ending (docs/cli.md)."""

from __future__ import annotations

from enum import IntEnum

from domain.errors import NotFound, PermanentFailure, ReleaseError, TransientFailure
from domain.phases import Outcome


class ExitCode(IntEnum):
    """Scripts may rely on these numbers; they are only ever added to."""

    OK = 0
    UNEXPECTED = 1
    BAD_INPUT = 2
    UNREACHABLE = 3
    NOT_FOUND = 4
    REFUSED = 5
    ROLLED_BACK = 10
    FAILED = 11
    REJECTED = 12
    EXPIRED = 13
    SUPERSEDED = 14
    ABORTED = 15
    ROLLBACK_INCOMPLETE = 16
    HELD = 17
    INTERRUPTED = 130


class Refused(PermanentFailure):
    """The release, or the rule about people, says no; nothing was changed."""


def of_outcome(outcome: Outcome) -> ExitCode:
    """How a release ended, as an exit code; RELEASED is 0."""
    return ExitCode.OK if outcome is Outcome.RELEASED else ExitCode[outcome.name]


def of_error(error: ReleaseError) -> ExitCode:
    """Which kind of failure an error is."""
    match error:
        case Refused():
            return ExitCode.REFUSED
        case NotFound():
            return ExitCode.NOT_FOUND
        case TransientFailure():
            return ExitCode.UNREACHABLE
        case PermanentFailure():
            return ExitCode.BAD_INPUT
        case _:
            return ExitCode.UNEXPECTED
