"""Evaluating a PromQL tree at one instant."""

from __future__ import annotations

from sandbox.metrics import SeriesStore
from sandbox.prometheus import functions
from sandbox.prometheus.errors import QueryError
from sandbox.prometheus.known_names import QUANTILE
from sandbox.prometheus.syntax import (
    Aggregate,
    Binary,
    Call,
    Expression,
    Negation,
    Number,
    Range,
    Selector,
)
from sandbox.prometheus.vectors import (
    Element,
    Key,
    Matrix,
    Stream,
    Vector,
    aggregated,
    combined,
    distinct,
    joined,
    negated,
    scalar,
    sorted_pairs,
    without_name,
)


class Evaluation:
    """One query at one time (ms since 1970) against a store."""

    def __init__(self, store: SeriesStore, time_ms: int) -> None:
        self._store = store
        self._time = time_ms

    def value(self, expression: Expression) -> float | Vector:
        """The scalar or instant vector that the expression is; QueryError for a range vector."""
        match expression:
            case Number():
                return expression.value
            case Selector():
                return self._instant(expression)
            case Binary():
                return self._binary(expression)
            case _:
                return self._unary(expression)

    def _unary(self, expression: Expression) -> float | Vector:
        match expression:
            case Negation():
                return negated(self.value(expression.operand))
            case Aggregate():
                return aggregated(expression, self._vector(expression.operand))
            case Call():
                is_quantile = expression.function == QUANTILE
                return self._quantile(expression) if is_quantile else self._rate(expression)
            case _:
                raise QueryError("a range vector cannot be used here; take rate() of it")

    def _vector(self, expression: Expression) -> Vector:
        value = self.value(expression)
        if isinstance(value, float):
            raise QueryError("expected an instant vector, got a scalar")
        return value

    def _instant(self, selector: Selector) -> Vector:
        time_ms = self._time - selector.offset_ms
        found = ((s, s.at(time_ms)) for s in self._store.select(selector.matchers))
        return [Element(series.labels, value) for series, value in found if value is not None]

    def matrix(self, expression: Range) -> Matrix:
        """The raw samples of a range vector, without series that have none."""
        until = self._time - expression.selector.offset_ms
        streams = (
            Stream(series.labels, series.between(until - expression.window_ms, until))
            for series in self._store.select(expression.selector.matchers)
        )
        return [stream for stream in streams if stream.samples]

    def _rate(self, call: Call) -> Vector:
        window = call.arguments[0]
        if not isinstance(window, Range):
            raise QueryError(f"{call.function} needs a range vector")
        end = self._time - window.selector.offset_ms
        divisor = window.window_ms / 1000 if call.function == "rate" else 1.0
        vector = []
        for stream in self.matrix(window):
            grown = functions.increase(stream.samples, end - window.window_ms, end)
            if grown is not None:
                vector.append(Element(without_name(stream.labels), grown / divisor))
        return distinct(vector)

    def _quantile(self, call: Call) -> Vector:
        quantile = self.value(call.arguments[0])
        if not isinstance(quantile, float):
            raise QueryError("the first argument of histogram_quantile must be a scalar")
        groups: dict[Key, dict[float, float]] = {}
        for element in self._vector(call.arguments[1]):
            bound = _bound(element.labels.get("le", ""))
            if bound is None:
                continue
            labels = {k: v for k, v in without_name(element.labels).items() if k != "le"}
            buckets = groups.setdefault(sorted_pairs(labels), {})
            buckets[bound] = buckets.get(bound, 0.0) + element.value
        return [
            Element(dict(key), functions.histogram_quantile(quantile, buckets))
            for key, buckets in groups.items()
        ]

    def _binary(self, node: Binary) -> float | Vector:
        left, right = self.value(node.left), self.value(node.right)
        if isinstance(left, float):
            if isinstance(right, float):
                return scalar(node, left, right)
            pairs = [(one, left, one.value) for one in right]
        elif isinstance(right, float):
            pairs = [(one, one.value, right) for one in left]
        else:
            return joined(node, left, right)
        return distinct([made for pair in pairs if (made := combined(node, *pair))])


def _bound(le: str) -> float | None:
    try:
        return float(le)
    except ValueError:
        return None
