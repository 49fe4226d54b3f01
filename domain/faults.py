"""Faults that a rehearsal declares: what goes wrong with the new version, where, and from when."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum

from domain.records import Record

NUMBER = r"(\d+(?:\.\d+)?)"
SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
KNOWN = (
    "errors=5%, latency=3x, leak=10m, crash, unready, oom, slow-start=5s, each after an "
    "environment's name and a colon; errors and latency may begin at a weight: errors=2%@50%"
)


class FaultKind(StrEnum):
    """What goes wrong: of requests, or with a pod."""

    ERRORS = "errors"
    LATENCY = "latency"
    LEAK = "leak"
    CRASH = "crash"
    UNREADY = "unready"
    OOM = "oom"
    SLOW_START = "slow-start"


# What a request meets can begin at any time; a pod's life begins with its start.
OF_REQUESTS = (FaultKind.ERRORS, FaultKind.LATENCY)
_VALUES: dict[FaultKind, re.Pattern[str]] = {
    FaultKind.ERRORS: re.compile(rf"{NUMBER}%"),
    FaultKind.LATENCY: re.compile(rf"{NUMBER}x"),
    FaultKind.LEAK: re.compile(rf"{NUMBER}([smh])"),
    FaultKind.SLOW_START: re.compile(rf"{NUMBER}([s])"),
}


# Seconds, and factors: beyond them nobody could see what was declared.
_BOUNDS: dict[FaultKind, tuple[float, float, str]] = {
    FaultKind.ERRORS: (0.0, 1.0, "from 0% to 100%"),
    FaultKind.LATENCY: (0.01, 1000.0, "from 0.01x to 1000x"),
    FaultKind.LEAK: (1.0, 30 * 24 * 3600.0, "from 1s to 720h"),
    FaultKind.SLOW_START: (0.0, 10 * 24 * 3600.0, "from 0s to 864000s"),
}


class FaultError(ValueError):
    """A fault cannot be read; the message names the part and the known kinds."""


class Fault(Record):
    """One fault; `environment` empty: in every one.

    `value`: a share of requests in [0, 1], a factor of the latency, or seconds (how long a
    container lives, how much longer it starts). `from_weight`: percent of the users from which on
    the version has it; 0 is from its start.
    """

    environment: str = ""
    kind: FaultKind
    value: float = 0.0
    from_weight: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Read `ENV:KIND=VALUE@SHARE%`, where all but the kind may be missing."""
        match = re.fullmatch(
            rf"(?:([a-z]+):)?([a-z-]+)(?:=([^@]*))?(?:@{NUMBER}%)?", text.strip().replace(" ", "")
        )
        if match is None or match[2] not in set(FaultKind):
            raise _unknown(text)
        kind, from_weight = FaultKind(match[2]), float(match[4] or 0)
        if from_weight > 100 or (match[4] is not None and kind not in OF_REQUESTS):
            raise _unknown(text)
        return cls(
            environment=match[1] or "",
            kind=kind,
            value=_value(kind, match[3], text),
            from_weight=from_weight,
        )

    def __str__(self) -> str:
        """As `parse` reads it, without the environment."""
        begins = f"@{self.from_weight:g}%" if self.from_weight else ""
        return f"{self.kind}{_written(self.kind, self.value)}{begins}"

    @property
    def begins_with_a_start(self) -> bool:
        """Whether only a pod that starts can take it on or put it off."""
        return self.kind not in OF_REQUESTS


def parse_all(text: str) -> Iterator[Fault]:
    """Every fault of a list with commas; raises FaultError."""
    return (Fault.parse(part) for part in text.split(",") if part.strip())


def _value(kind: FaultKind, value: str | None, text: str) -> float:
    if kind not in _VALUES:
        if value is not None:
            raise _unknown(text)
        return 0.0
    match = _VALUES[kind].fullmatch(value or "")
    if match is None:
        raise _unknown(text)
    number = float(match[1])
    if kind is FaultKind.ERRORS:
        number /= 100
    elif kind in (FaultKind.LEAK, FaultKind.SLOW_START):
        number *= SECONDS[match[2]]
    least, most, told = _BOUNDS[kind]
    if not least <= number <= most:
        raise FaultError(f"the fault {text.strip()!r} is out of bounds: {kind} is {told}")
    return number


def _written(kind: FaultKind, value: float) -> str:
    match kind:
        case FaultKind.ERRORS:
            return f"={value * 100:.6g}%"
        case FaultKind.LATENCY:
            return f"={value:g}x"
        case FaultKind.LEAK:
            unit = next((one for one in ("h", "m") if value % SECONDS[one] == 0), "s")
            return f"={value / SECONDS[unit]:g}{unit}"
        case FaultKind.SLOW_START:
            return f"={value:g}s"
        case _:
            return ""


def _unknown(text: str) -> FaultError:
    return FaultError(f"cannot read the fault {text.strip()!r}; known: {KNOWN}")
