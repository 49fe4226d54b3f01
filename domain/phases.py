"""Where a release is on its journey, and how it can end."""

from __future__ import annotations

from enum import StrEnum


class Phase(StrEnum):
    """Where a release is; the order is the order of the journey."""

    PREPARE = "prepare"
    BUILD = "build"
    SCAN = "scan"
    STAGING = "staging"
    SOAK = "soak"
    APPROVAL = "approval"
    CANARY = "canary"
    WATCH = "watch"
    SETTLE = "settle"
    ROLLBACK = "rollback"
    DONE = "done"


class Outcome(StrEnum):
    """How a release ended."""

    RELEASED = "RELEASED"
    ROLLED_BACK = "ROLLED_BACK"
    FAILED = "FAILED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    SUPERSEDED = "SUPERSEDED"
    ABORTED = "ABORTED"
    ROLLBACK_INCOMPLETE = "ROLLBACK_INCOMPLETE"
