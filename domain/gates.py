"""How much a gate may do: act by itself, ask a person, or only observe and tell."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum

from pydantic import Field

from domain.records import Record


class GateMode(StrEnum):
    """What a gate's verdict does, the weakest first."""

    OBSERVE = "observe"
    ASK = "ask"
    ACT = "act"


STRICTNESS = {mode: place for place, mode in enumerate(GateMode)}


class Gate(StrEnum):
    """A gate whose mode a plan may name; approval and freeze windows always act."""

    TESTS = "tests"
    SCAN = "scan"
    SOAK = "soak"
    CANARY = "canary"
    WATCH = "watch"


class Gates(Record):
    """The mode of each gate of a plan, or the weakest that a policy accepts."""

    tests: GateMode = Field(default=GateMode.ACT, description="unit, smoke and critical tests")
    scan: GateMode = Field(default=GateMode.ACT, description="the vulnerability report")
    soak: GateMode = Field(default=GateMode.ACT, description="healthy time in staging")
    canary: GateMode = Field(default=GateMode.ACT, description="the judge's verdict on each step")
    watch: GateMode = Field(default=GateMode.ACT, description="the judge's verdict after promotion")

    def mode_of(self, gate: Gate) -> GateMode:
        """How much this gate may do."""
        mode: GateMode = getattr(self, gate.value)
        return mode

    def weaker_than(self, floor: Gates) -> Iterator[Gate]:
        """The gates that may do less than the floor asks for."""
        for gate in Gate:
            if STRICTNESS[self.mode_of(gate)] < STRICTNESS[floor.mode_of(gate)]:
                yield gate

    @property
    def told(self) -> tuple[str, ...]:
        """Every gate that does not act by itself, in words for who approves."""
        return tuple(words for gate in Gate if (words := self.words_of(gate)))

    def words_of(self, gate: Gate) -> str:
        """What a gate's mode means for people; empty where it acts."""
        match self.mode_of(gate):
            case GateMode.OBSERVE:
                return f"the {gate} gate only observes: it tells what it would have done"
            case GateMode.ASK:
                return f"the {gate} gate asks: a release manager decides by promote or abort"
            case _:
                return ""


class GateNote(Record):
    """A gate that said no and did not stop the release: it only observed, or a person went on."""

    gate: Gate
    mode: GateMode
    sentence: str
    at: datetime
    by: str | None = None
    reason: str = ""

    @property
    def words(self) -> str:
        """Say it to a person."""
        if self.by is not None:
            return (
                f"the {self.gate} gate said no, {self.by} went on: {self.reason}; {self.sentence}"
            )
        return f"the {self.gate} gate only observes; it would have stopped: {self.sentence}"
