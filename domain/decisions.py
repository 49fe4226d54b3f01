"""The one table that decides: phase x signal -> action. Nothing else chooses (design 5.11)."""

from __future__ import annotations

from enum import StrEnum

from domain.phases import Outcome, Phase
from domain.records import Record


class Signal(StrEnum):
    """What a stage can report; the last is what a lane reports of a release that is gone."""

    COMPLETED = "completed"
    GATE_CLOSED = "gate closed"
    NO_EVIDENCE = "no evidence"
    CANARY_WORSE = "canary worse"
    REJECTED = "rejected"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    ABORTED = "aborted"
    CANCELLED = "cancelled"
    BROKEN = "broken"
    TERMINATED = "terminated"


class Action(StrEnum):
    """What is done about it."""

    ADVANCE = "advance"
    HOLD = "hold"
    ROLL_BACK = "roll back"
    HALT = "halt"
    PAGE = "page"


class Report(Record):
    """What a stage reports: a signal for the table and a sentence for people."""

    signal: Signal
    sentence: str


ORDER = (
    Signal.COMPLETED,
    Signal.GATE_CLOSED,
    Signal.NO_EVIDENCE,
    Signal.CANARY_WORSE,
    Signal.REJECTED,
    Signal.EXPIRED,
    Signal.SUPERSEDED,
    Signal.ABORTED,
    Signal.CANCELLED,
    Signal.BROKEN,
    Signal.TERMINATED,
)
ADVANCE, HOLD, BACK, HALT, PAGE = (
    Action.ADVANCE,
    Action.HOLD,
    Action.ROLL_BACK,
    Action.HALT,
    Action.PAGE,
)

# Before traffic has moved for good, whatever is wrong returns to the old revision. Once the new
# one serves everything and has been watched (settle), it is the healthy copy: a broken machine
# halts there instead of sending users away from it, and of a release that was terminated there a
# person is told. A rollback itself is stopped by nothing; if it cannot go on, a person is paged and
# every pod stays alive. A release terminated before it had begun its rollback gets one.
_ROWS: dict[Phase, tuple[Action, ...]] = {
    #                comp.    gate  none  worse reject expir. super. abort cancel broken termin.
    Phase.PREPARE: (ADVANCE, BACK, HOLD, BACK, BACK, BACK, BACK, BACK, BACK, BACK, BACK),
    Phase.BUILD: (ADVANCE, BACK, HOLD, BACK, BACK, BACK, BACK, BACK, BACK, BACK, BACK),
    Phase.SCAN: (ADVANCE, BACK, HOLD, BACK, BACK, BACK, BACK, BACK, BACK, BACK, BACK),
    Phase.STAGING: (ADVANCE, BACK, HOLD, BACK, BACK, BACK, BACK, BACK, BACK, BACK, BACK),
    Phase.SOAK: (ADVANCE, BACK, HOLD, BACK, BACK, BACK, BACK, BACK, BACK, BACK, BACK),
    Phase.APPROVAL: (ADVANCE, BACK, HOLD, BACK, BACK, BACK, BACK, BACK, BACK, BACK, BACK),
    Phase.CANARY: (ADVANCE, BACK, HOLD, BACK, BACK, BACK, BACK, BACK, BACK, BACK, BACK),
    Phase.WATCH: (ADVANCE, BACK, HOLD, BACK, BACK, HALT, HALT, BACK, BACK, HALT, BACK),
    Phase.SETTLE: (ADVANCE, HALT, HALT, HALT, HALT, HALT, HALT, HALT, HALT, HALT, PAGE),
    Phase.ROLLBACK: (ADVANCE, PAGE, PAGE, PAGE, PAGE, PAGE, PAGE, PAGE, PAGE, PAGE, BACK),
    Phase.DONE: (ADVANCE, HALT, HALT, HALT, HALT, HALT, HALT, HALT, HALT, HALT, PAGE),
}
TABLE: dict[tuple[Phase, Signal], Action] = {
    (phase, signal): action
    for phase, row in _ROWS.items()
    for signal, action in zip(ORDER, row, strict=True)
}


def decide(phase: Phase, signal: Signal) -> Action:
    """Look the answer up; every pair has one."""
    return TABLE[phase, signal]


OUTCOMES: dict[Signal, Outcome] = {
    Signal.REJECTED: Outcome.REJECTED,
    Signal.EXPIRED: Outcome.EXPIRED,
    Signal.SUPERSEDED: Outcome.SUPERSEDED,
    Signal.ABORTED: Outcome.ABORTED,
    Signal.CANCELLED: Outcome.ABORTED,
    Signal.CANARY_WORSE: Outcome.ROLLED_BACK,
}


def outcome_of(signal: Signal, *, reached_production: bool) -> Outcome:
    """How a release that did not complete is called; production touched means ROLLED_BACK."""
    return OUTCOMES.get(signal, Outcome.ROLLED_BACK if reached_production else Outcome.FAILED)
