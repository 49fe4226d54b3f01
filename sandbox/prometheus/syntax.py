"""The tree of a parsed PromQL query."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.metrics import Matcher


@dataclass(frozen=True)
class Number:
    """A number literal."""

    value: float


@dataclass(frozen=True)
class Selector:
    """An instant vector: `name{label="value"} offset 1m`."""

    matchers: tuple[Matcher, ...]
    offset_ms: int = 0


@dataclass(frozen=True)
class Range:
    """A range vector: `selector[30s]`."""

    selector: Selector
    window_ms: int


@dataclass(frozen=True)
class Call:
    """A function and its arguments."""

    function: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True)
class Aggregate:
    """`sum by (labels) (operand)`, or `without`."""

    operator: str
    operand: Expression
    labels: tuple[str, ...]
    without: bool


@dataclass(frozen=True)
class Binary:
    """Two operands; vectors are joined on `labels`, or on all but those when `ignoring`."""

    operator: str
    left: Expression
    right: Expression
    returns_bool: bool
    labels: tuple[str, ...]
    ignoring: bool


@dataclass(frozen=True)
class Negation:
    """`-operand`."""

    operand: Expression


Expression = Number | Selector | Range | Call | Aggregate | Binary | Negation
