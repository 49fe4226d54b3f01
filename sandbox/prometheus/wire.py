"""The JSON shapes of the Prometheus HTTP API and how its parameters are read."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from aiohttp import web

from sandbox.metrics import Sample
from sandbox.prometheus.errors import QueryError
from sandbox.prometheus.lexer import duration_ms, tokens_of
from sandbox.prometheus.vectors import Element, Stream

JSON = dict[str, Any]
Pair = tuple[float, str]


def now_ms() -> int:
    """Milliseconds since 1970."""
    return round(time.time() * 1000)


def json_answer(body: JSON, status: int = 200) -> web.Response:
    """A body as the API sends it: without a character set."""
    encoded, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
    return web.Response(status=status, body=encoded, headers=headers)


def number_text(value: float) -> str:
    """A sample's value as the API writes it: shortest decimal without exponent, NaN, +Inf, -Inf."""
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    text = repr(value)
    return format(Decimal(text), "f") if "e" in text else text


def pair(sample: Sample) -> Pair:
    """`[seconds, "value"]`."""
    return sample[0] / 1000, number_text(sample[1])


def instant_data(value: float | list[Element], time_ms: int) -> JSON:
    """The `data` of an instant query: scalar or vector."""
    if isinstance(value, float):
        return {"resultType": "scalar", "result": pair((time_ms, value))}
    found = [{"metric": one.labels, "value": pair((time_ms, one.value))} for one in value]
    return {"resultType": "vector", "result": found}


def matrix_data(streams: list[Stream]) -> JSON:
    """The `data` of a range query, or of an instant query of a range selector."""
    found = [{"metric": one.labels, "values": [pair(s) for s in one.samples]} for one in streams]
    return {"resultType": "matrix", "result": found}


def time_parameter(parameters: Mapping[str, Any], name: str, default_ms: int | None) -> int:
    """A time in ms, given in seconds since 1970 or RFC 3339; QueryError when it is neither."""
    given = parameters.get(name)
    if not given:
        if default_ms is None:
            raise _bad(name, "it is missing")
        return default_ms
    try:
        return round(float(given) * 1000)
    except (ValueError, OverflowError):
        pass
    try:
        parsed = datetime.fromisoformat(str(given))
    except ValueError:
        raise _bad(name, f'cannot parse "{given}" to a valid timestamp') from None
    return round(parsed.replace(tzinfo=parsed.tzinfo or UTC).timestamp() * 1000)


def limit_parameter(parameters: Mapping[str, Any]) -> int:
    """The most series wanted, 0 for all; QueryError when it is no number of series."""
    given = str(parameters.get("limit") or "0")
    if not given.isdecimal():
        raise _bad("limit", f'cannot parse "{given}" to a valid limit')
    return int(given)


def check_timeout(parameters: Mapping[str, Any]) -> None:
    """QueryError when the timeout is no duration; here every answer is in time."""
    if given := parameters.get("timeout"):
        _duration_parameter("timeout", str(given))


def step_parameter(parameters: Mapping[str, Any]) -> int:
    """The step of a range query in ms: seconds or a duration; QueryError when not positive."""
    step = _duration_parameter("step", str(parameters.get("step") or ""))
    if not step > 0 or math.isinf(step):
        text = "zero or negative query resolution step widths are not accepted"
        raise _bad("step", text)
    return max(round(step), 1)


def _duration_parameter(name: str, given: str) -> float:
    try:
        return float(given) * 1000
    except ValueError:
        tokens = tokens_of(given)
        if tokens[0].kind != "duration" or len(tokens) != 2:
            raise _bad(name, f'cannot parse "{given}" to a valid duration') from None
        return float(duration_ms(given))


def _bad(name: str, problem: str) -> QueryError:
    return QueryError(f'invalid parameter "{name}": {problem}')
