"""The table of decisions, written out a second time, cell by cell."""

from __future__ import annotations

import pytest

from domain.decisions import TABLE, Action, Signal, decide, outcome_of
from domain.phases import Outcome, Phase

# a = advance, h = hold, r = roll back, t = halt, p = page
EXPECTED = {
    Signal.COMPLETED: {
        "a": "prepare build scan staging soak approval canary watch settle rollback done"
    },
    Signal.GATE_CLOSED: {
        "r": "prepare build scan staging soak approval canary watch",
        "t": "settle done",
        "p": "rollback",
    },
    Signal.NO_EVIDENCE: {
        "h": "prepare build scan staging soak approval canary watch",
        "t": "settle done",
        "p": "rollback",
    },
    Signal.CANARY_WORSE: {
        "r": "prepare build scan staging soak approval canary watch",
        "t": "settle done",
        "p": "rollback",
    },
    Signal.REJECTED: {
        "r": "prepare build scan staging soak approval canary watch",
        "t": "settle done",
        "p": "rollback",
    },
    Signal.EXPIRED: {
        "r": "prepare build scan staging soak approval canary",
        "t": "watch settle done",
        "p": "rollback",
    },
    Signal.SUPERSEDED: {
        "r": "prepare build scan staging soak approval canary",
        "t": "watch settle done",
        "p": "rollback",
    },
    Signal.ABORTED: {
        "r": "prepare build scan staging soak approval canary watch",
        "t": "settle done",
        "p": "rollback",
    },
    Signal.CANCELLED: {
        "r": "prepare build scan staging soak approval canary watch",
        "t": "settle done",
        "p": "rollback",
    },
    Signal.BROKEN: {
        "r": "prepare build scan staging soak approval canary",
        "t": "watch settle done",
        "p": "rollback",
    },
    Signal.TERMINATED: {
        "r": "prepare build scan staging soak approval canary watch rollback",
        "p": "settle done",
    },
}
LETTERS = {
    "a": Action.ADVANCE,
    "h": Action.HOLD,
    "r": Action.ROLL_BACK,
    "t": Action.HALT,
    "p": Action.PAGE,
}
CELLS = [
    (Phase(phase), signal, LETTERS[letter])
    for signal, row in EXPECTED.items()
    for letter, phases in row.items()
    for phase in phases.split()
]


@pytest.mark.parametrize(("phase", "signal", "action"), CELLS)
def test_each_cell_says_what_the_written_table_says(
    phase: Phase, signal: Signal, action: Action
) -> None:
    assert decide(phase, signal) is action


def test_every_phase_has_an_answer_to_every_signal_and_no_cell_is_untested() -> None:
    pairs = {(phase, signal) for phase in Phase for signal in Signal}
    assert set(TABLE) == pairs == {(phase, signal) for phase, signal, _ in CELLS}
    assert len(CELLS) == len(pairs)


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.ROLLBACK])
def test_nothing_but_completion_advances(phase: Phase) -> None:
    advancing = {signal for signal in Signal if decide(phase, signal) is Action.ADVANCE}
    assert advancing == {Signal.COMPLETED}


@pytest.mark.parametrize(
    ("signal", "reached_production", "outcome"),
    [
        (Signal.REJECTED, False, Outcome.REJECTED),
        (Signal.EXPIRED, False, Outcome.EXPIRED),
        (Signal.SUPERSEDED, False, Outcome.SUPERSEDED),
        (Signal.ABORTED, False, Outcome.ABORTED),
        (Signal.ABORTED, True, Outcome.ABORTED),
        (Signal.CANCELLED, True, Outcome.ABORTED),
        (Signal.CANARY_WORSE, True, Outcome.ROLLED_BACK),
        (Signal.GATE_CLOSED, False, Outcome.FAILED),
        (Signal.GATE_CLOSED, True, Outcome.ROLLED_BACK),
        (Signal.BROKEN, False, Outcome.FAILED),
        (Signal.BROKEN, True, Outcome.ROLLED_BACK),
    ],
)
def test_an_ending_is_called_by_its_reason_and_by_how_far_it_came(
    signal: Signal, reached_production: bool, outcome: Outcome
) -> None:
    assert outcome_of(signal, reached_production=reached_production) is outcome
