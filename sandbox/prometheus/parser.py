"""PromQL by recursive descent: what the sandbox evaluates, and by name what it does not."""

from __future__ import annotations

import math
import re

from sandbox.metrics import Matcher
from sandbox.prometheus.errors import Unsupported
from sandbox.prometheus.known_names import (
    AGGREGATES,
    OTHER_AGGREGATES,
    OTHER_FUNCTIONS,
    QUANTILE,
    RANGE_FUNCTIONS,
)
from sandbox.prometheus.lexer import Token, duration_ms, string_value, syntax_error, tokens_of
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

COMPARISONS = ("==", "!=", ">", "<", ">=", "<=")
LEVELS: tuple[tuple[str, ...], ...] = (
    ("or",),
    ("and", "unless"),
    COMPARISONS,
    ("+", "-"),
    ("*", "/", "%", "atan2"),
)
NOT_EVALUATED = ("or", "and", "unless", "atan2")


def parse(query: str) -> Expression:
    """The tree of a query; QueryError for bad syntax, Unsupported for what is not evaluated."""
    parser = _Parser(tokens_of(query))
    expression = parser.binary(0)
    parser.expect("end of input")
    return expression


class _Parser:
    """One pass over the tokens, one token of look-ahead."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._next = 0

    @property
    def token(self) -> Token:
        """The token that comes next."""
        return self._tokens[self._next]

    def take(self) -> Token:
        """Consume one token."""
        token = self.token
        self._next += token.kind != "end"
        return token

    def accept(self, *texts: str) -> str:
        """Consume the next token if it reads like one of these (not inside quotes)."""
        if self.token.kind != "string" and self.token.text in texts:
            return self.take().text
        return ""

    def expect(self, text: str) -> None:
        """Consume exactly this, or fail."""
        if not self.accept(text) and not (self.token.kind == "end" and text == self.token.text):
            raise syntax_error(self.token.position, f"unexpected {self.token.text}, want {text}")

    def binary(self, level: int) -> Expression:
        """Operators of this precedence and above; all but ^ group to the left."""
        if level == len(LEVELS):
            return self._unary()
        left = self.binary(level + 1)
        while operator := self.accept(*LEVELS[level]):
            left = self._joined(operator, left, level)
        return left

    def _joined(self, operator: str, left: Expression, level: int) -> Expression:
        if operator in NOT_EVALUATED:
            raise Unsupported(f"the operator {operator}")
        returns_bool = operator in COMPARISONS and bool(self.accept("bool"))
        matching = self.accept("on", "ignoring")
        labels = self._labels() if matching else ()
        if group := self.accept("group_left", "group_right"):
            raise Unsupported(group)
        right = self.binary(level + 1)
        for side in (left, right):
            if isinstance(side, Range):
                raise syntax_error(self.token.position, "a range vector cannot be an operand")
        return Binary(operator, left, right, returns_bool, labels, matching != "on")

    def _unary(self) -> Expression:
        if self.accept("-"):
            return Negation(self._unary())
        if self.accept("+"):
            return self._unary()
        return self._power()

    def _power(self) -> Expression:
        base = self._postfix(self._primary())
        if self.accept("^"):
            return Binary("^", base, self._unary(), False, (), True)
        return base

    def _primary(self) -> Expression:
        token = self.token
        if token.kind in ("number", "duration"):
            return Number(_number(self.take()))
        if token.text == "(":
            return self._parenthesised()
        if token.kind == "name" and token.text.lower() in ("inf", "nan"):
            self.take()
            return Number(math.inf if token.text.lower() == "inf" else math.nan)
        if token.kind == "name":
            return self._named(self.take())
        if token.text == "{":
            return self._selector("", token)
        if token.kind == "string":
            raise Unsupported("string values")
        raise syntax_error(token.position, f"unexpected {token.text}")

    def _parenthesised(self) -> Expression:
        self.take()
        inner = self.binary(0)
        self.expect(")")
        return inner

    def _named(self, name: Token) -> Expression:
        if name.text in OTHER_AGGREGATES and self.token.text in ("(", "by", "without"):
            raise Unsupported(f"the aggregation {name.text}")
        if name.text in AGGREGATES and self.token.text in ("(", "by", "without"):
            return self._aggregate(name.text)
        if self.token.text == "(":
            return self._call(name)
        return self._selector(name.text, name)

    def _aggregate(self, operator: str) -> Expression:
        how = self.accept("by", "without")
        labels = self._labels() if how else ()
        operand = self._parenthesised_argument()
        if not how and (how := self.accept("by", "without")):
            labels = self._labels()
        return Aggregate(operator, operand, labels, how == "without")

    def _parenthesised_argument(self) -> Expression:
        position = self.token.position
        self.expect("(")
        operand = self.binary(0)
        self.expect(")")
        if isinstance(operand, Range | Number):
            raise syntax_error(position, "expected type instant vector in aggregation expression")
        return operand

    def _call(self, name: Token) -> Expression:
        if name.text in OTHER_FUNCTIONS:
            raise Unsupported(f"the function {name.text}")
        if name.text not in (*RANGE_FUNCTIONS, QUANTILE):
            raise syntax_error(name.position, f"unknown function with name {name.text!r}")
        self.expect("(")
        arguments = [self.binary(0)]
        while self.accept(","):
            arguments.append(self.binary(0))
        self.expect(")")
        _check_arguments(name, arguments)
        return Call(name.text, tuple(arguments))

    def _selector(self, name: str, start: Token) -> Expression:
        matchers = [Matcher("__name__", "=", name)] if name else []
        if self.accept("{"):
            while not self.accept("}"):
                matchers.append(self._matcher())
                if not self.accept(","):
                    self.expect("}")
                    break
        if all(matcher.accepts("") for matcher in matchers):
            text = "vector selector must contain at least one non-empty matcher"
            raise syntax_error(start.position, text)
        return Selector(tuple(matchers))

    def _matcher(self) -> Matcher:
        label = self.take()
        if label.kind == "string":
            raise Unsupported("quoted names")
        operator = self.accept("=", "!=", "=~", "!~")
        value = self.take()
        if label.kind != "name" or not operator or value.kind != "string":
            raise syntax_error(label.position, f"no label matcher at {label.text}")
        matcher = Matcher(label.text, operator, string_value(value))
        try:
            matcher.accepts("")
        except re.error as error:
            raise syntax_error(value.position, f"{error}") from error
        return matcher

    def _labels(self) -> tuple[str, ...]:
        self.expect("(")
        labels = []
        while not self.accept(")"):
            label = self.take()
            if label.kind != "name":
                raise syntax_error(label.position, f"unexpected {label.text}, want a label")
            labels.append(label.text)
            if not self.accept(","):
                self.expect(")")
                break
        return tuple(labels)

    def _postfix(self, expression: Expression) -> Expression:
        while operator := self.accept("[", "offset", "@"):
            if operator == "@":
                raise Unsupported("the @ modifier")
            expression = self._range(expression) if operator == "[" else self._offset(expression)
        return expression

    def _range(self, expression: Expression) -> Expression:
        window = self._duration()
        if self.token.text.startswith(":"):
            raise Unsupported("subqueries")
        self.expect("]")
        if not isinstance(expression, Selector):
            position = self.token.position
            raise syntax_error(position, "ranges only allowed for vector selectors")
        return Range(expression, window)

    def _offset(self, expression: Expression) -> Expression:
        sign = -1 if self.accept("-") else 1
        offset = sign * self._duration()
        if isinstance(expression, Selector):
            return Selector(expression.matchers, offset)
        if isinstance(expression, Range):
            return Range(Selector(expression.selector.matchers, offset), expression.window_ms)
        position = self.token.position
        raise syntax_error(position, "offset modifier must be preceded by a selector")

    def _duration(self) -> int:
        token = self.take()
        if token.kind not in ("duration", "number"):
            raise syntax_error(token.position, f"unexpected {token.text}, want a duration")
        milliseconds = round(_number(token) * 1000)
        if milliseconds <= 0:
            raise syntax_error(token.position, "duration must be greater than 0")
        return milliseconds


def _number(token: Token) -> float:
    if token.kind == "duration":
        return duration_ms(token.text) / 1000
    return float(int(token.text, 16)) if token.text.startswith("0x") else float(token.text)


def _check_arguments(name: Token, arguments: list[Expression]) -> None:
    wanted = 1 if name.text in RANGE_FUNCTIONS else 2
    if len(arguments) != wanted:
        text = f"expected {wanted} argument(s) in call to {name.text!r}, got {len(arguments)}"
        raise syntax_error(name.position, text)
    is_range = isinstance(arguments[-1], Range)
    if is_range != (name.text in RANGE_FUNCTIONS):
        kind = "range" if name.text in RANGE_FUNCTIONS else "instant"
        text = f"expected type {kind} vector in call to function {name.text!r}"
        raise syntax_error(name.position, text)
