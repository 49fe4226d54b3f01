"""Instant vectors and what PromQL's operators and aggregations make of them."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.metrics import Sample
from sandbox.prometheus.errors import ExecutionError, QueryError
from sandbox.prometheus.parser import COMPARISONS
from sandbox.prometheus.syntax import Aggregate, Binary


@dataclass(frozen=True)
class Element:
    """One member of an instant vector."""

    labels: dict[str, str]
    value: float


@dataclass(frozen=True)
class Stream:
    """One member of a range vector: raw samples, oldest first."""

    labels: dict[str, str]
    samples: list[Sample]


Vector = list[Element]
Matrix = list[Stream]
Key = tuple[tuple[str, str], ...]


def _divide(left: float, right: float) -> float:
    if right:
        return left / right
    signs = math.copysign(1, left) * math.copysign(1, right)
    return math.nan if left == 0 or math.isnan(left) else signs * math.inf


def _power(left: float, right: float) -> float:
    try:
        return math.pow(left, right)
    except (OverflowError, ValueError):
        return math.nan if left < 0 else math.inf


_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divide,
    "%": lambda left, right: math.fmod(left, right) if right else math.nan,
    "^": _power,
}
_COMPARE: dict[str, Callable[[float, float], bool]] = dict(
    zip(
        COMPARISONS,
        (operator.eq, operator.ne, operator.gt, operator.lt, operator.ge, operator.le),
        strict=True,
    )
)
_AGGREGATE: dict[str, Callable[[list[float]], float]] = {
    "sum": math.fsum,
    "avg": lambda values: math.fsum(values) / len(values),
    "min": min,
    "max": max,
    "count": lambda values: float(len(values)),
}


def scalar(node: Binary, left: float, right: float) -> float:
    """An operation between two numbers."""
    if node.operator in _ARITHMETIC:
        return _ARITHMETIC[node.operator](left, right)
    if not node.returns_bool:
        raise QueryError("comparisons between scalars must use BOOL modifier")
    return float(_COMPARE[node.operator](left, right))


def combined(node: Binary, element: Element, left: float, right: float) -> Element | None:
    """One result of an operation; a comparison without `bool` filters and keeps the value."""
    if node.operator in _ARITHMETIC:
        return Element(without_name(element.labels), _ARITHMETIC[node.operator](left, right))
    holds = _COMPARE[node.operator](left, right)
    if node.returns_bool:
        return Element(without_name(element.labels), float(holds))
    return element if holds else None


def joined(node: Binary, left: Vector, right: Vector) -> Vector:
    """One-to-one vector matching: each side has at most one element per match key."""
    partners = {}
    for element in right:
        key = _match_key(node, element.labels)
        if key in partners:
            raise ExecutionError(
                f"found duplicate series for the match group {dict(key)} on the right hand-side; "
                "many-to-many matching not allowed: matching labels must be unique on one side"
            )
        partners[key] = element
    result, used = [], set()
    for element in left:
        key = _match_key(node, element.labels)
        if key not in partners:
            continue
        if key in used:
            text = "multiple matches for labels: many-to-one matching must be explicit"
            raise ExecutionError(f"{text} (group_left/group_right): {dict(key)}")
        used.add(key)
        made = combined(node, element, element.value, partners[key].value)
        if made is not None:
            keeps_all = node.operator in COMPARISONS and not node.returns_bool
            result.append(made if keeps_all else Element(dict(key), made.value))
    return result


def _match_key(node: Binary, labels: dict[str, str]) -> Key:
    unnamed = without_name(labels)
    return sorted_pairs({k: v for k, v in unnamed.items() if (k in node.labels) != node.ignoring})


def aggregated(node: Aggregate, vector: Vector) -> Vector:
    """One element per group of labels."""
    groups: dict[Key, list[float]] = {}
    for element in vector:
        unnamed = without_name(element.labels) if node.without else element.labels
        kept = {k: v for k, v in unnamed.items() if (k in node.labels) != node.without}
        groups.setdefault(sorted_pairs(kept), []).append(element.value)
    fold = _AGGREGATE[node.operator]
    return [Element(dict(key), fold(values)) for key, values in groups.items()]


def negated(value: float | Vector) -> float | Vector:
    """Every value with the other sign; the name goes."""
    if isinstance(value, float):
        return -value
    return [Element(without_name(one.labels), -one.value) for one in value]


def distinct(vector: Vector) -> Vector:
    """The vector, if no two elements have the same labels."""
    if len({sorted_pairs(one.labels) for one in vector}) < len(vector):
        raise ExecutionError("vector cannot contain metrics with the same labelset")
    return vector


def without_name(labels: dict[str, str]) -> dict[str, str]:
    """The labels but the metric's name."""
    return {label: value for label, value in labels.items() if label != "__name__"}


def sorted_pairs(labels: dict[str, str]) -> Key:
    """Labels as something that can be compared and hashed."""
    return tuple(sorted(labels.items()))
