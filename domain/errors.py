"""The one tree of errors; `clients` raise these, `activities` give them Temporal's form.

ReleaseError
├── PermanentFailure        retrying cannot help: bad image, forbidden, invalid plan
│   ├── Conflict            the outside changed under us: somebody else holds what we would write
│   ├── NotFound            the named object does not exist
│   └── NoAccess            our credentials, certificates or address of a system are wrong
└── TransientFailure        the machine may recover: unreachable, overloaded, 429, 5xx

A message says what happened, to which object, and what to do next. A business "no" (a rolled back
canary, a rejected approval) is never an error: it is a value.
"""

from __future__ import annotations

from datetime import timedelta


class ReleaseError(Exception):
    """Anything that goes wrong with a machine or an input while releasing."""


class PermanentFailure(ReleaseError):  # noqa: N818 - the field says failure, and it reads as one
    """Retrying cannot help; a person or another input must."""


class Conflict(PermanentFailure):
    """An object holds a value that is neither the old one we read nor the new one we write."""


class NotFound(PermanentFailure):
    """The object named in the message does not exist."""


class NoAccess(PermanentFailure):
    """A system lets us in no more, or is not where we look: nothing is known of what was asked."""


class TransientFailure(ReleaseError):  # noqa: N818 - twin of PermanentFailure
    """The outside may answer later; `retry_after` is its own wish, when it gave one."""

    def __init__(self, message: str, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
