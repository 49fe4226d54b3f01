"""PromQL cut into tokens."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from sandbox.prometheus.errors import QueryError

_UNITS_MS = {
    "ms": 1,
    "s": 1000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
    "y": 31_536_000_000,
}
_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
    |(?P<duration>(?:\d+(?:ms|[smhdwy]))+(?![a-zA-Z0-9_]))
    |(?P<number>0x[0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
    |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)
    |(?P<operator>=~|!~|==|!=|>=|<=|[-+*/%^=<>(){}\[\],:@])""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Token:
    """A piece of the query; `kind` is duration, number, name, string, operator or end."""

    kind: str
    text: str
    position: int


def tokens_of(query: str) -> list[Token]:
    """All tokens and an end token; QueryError where no token begins."""
    tokens, position = [], 0
    while position < len(query):
        match = _TOKEN.match(query, position)
        if match is None:
            raise syntax_error(position, f"unexpected character {query[position]!r}")
        if match.lastgroup != "space":
            tokens.append(Token(str(match.lastgroup), match.group(), position))
        position = match.end()
    tokens.append(Token("end", "end of input", len(query)))
    return tokens


def syntax_error(position: int, problem: str) -> QueryError:
    """The error Prometheus gives for malformed queries, with a 1-based column."""
    return QueryError(f'invalid parameter "query": 1:{position + 1}: parse error: {problem}')


def duration_ms(text: str) -> int:
    """`1h30m` in milliseconds."""
    pieces = re.findall(r"(\d+)(ms|[smhdwy])", text)
    return sum(int(count) * _UNITS_MS[unit] for count, unit in pieces)


def string_value(token: Token) -> str:
    """A quoted string without its quotes and escapes."""
    if token.text.startswith("`"):
        return token.text[1:-1]
    try:
        return str(ast.literal_eval(token.text))
    except (SyntaxError, ValueError) as error:
        raise syntax_error(token.position, f"bad string {token.text}") from error
