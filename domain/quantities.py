"""Durations, shares and rehearsal clocks as people write them: `24h`, `500ms`, `1%`, `1h = 1s`."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, Strict, WithJsonSchema
from pydantic_core import PydanticCustomError

# Longer waits overflow dates and timers somewhere on their way; nobody means them.
LONGEST = timedelta(days=366)
UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
NUMBER = r"(\d+(?:\.\d+)?)"
ISO = re.compile(rf"(-?)P(?:{NUMBER}D)?(?:T(?:{NUMBER}H)?(?:{NUMBER}M)?(?:{NUMBER}S)?)?")
PART = re.compile(rf"{NUMBER}\s*(ms|min|s|m|h|d)\s*")


def parse_duration(text: object) -> timedelta:
    """Read `90s`, `1h 30m`, `500ms` or ISO 8601 (`PT24H`); raises ValueError naming the form."""
    if isinstance(text, timedelta):
        return text
    if not isinstance(text, str):
        raise ValueError(f"write a duration with its unit, for example 24h or 500ms, not {text!r}")
    try:
        return _from_iso(text) if re.fullmatch(r"-?P[0-9DTHMS.]+", text) else _from_words(text)
    except OverflowError as error:
        raise ValueError(f"{text[:20]!r} is longer than time; write for example 24h") from error


def _from_words(text: str) -> timedelta:
    negative, body = text.strip().startswith("-"), text.strip().removeprefix("-")
    seconds, position = 0.0, 0
    while match := PART.match(body, position):
        seconds += float(match[1]) * UNIT_SECONDS[match[2]]
        position = match.end()
    if position == 0 or position != len(body):
        raise ValueError(f"{text!r} is not a duration; write for example 24h, 30m, 90s or 500ms")
    return timedelta(seconds=-seconds if negative else seconds)


def _from_iso(text: str) -> timedelta:
    match = ISO.fullmatch(text)
    sign, *parts = match.groups() if match else ("",)
    if not any(parts):
        raise ValueError(f"{text!r} is not an ISO 8601 duration; write for example PT24H")
    days, hours, minutes, seconds = (float(part or 0) for part in parts)
    length = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    return -length if sign else length


def format_duration(length: timedelta) -> str:
    """Write a duration the way `parse_duration` reads it: `1d 2h`, `1m 30s`, `0.5s`, `20ms`."""
    seconds = length.total_seconds()
    if seconds < 0:
        return "-" + format_duration(-length)
    if seconds == 0:
        return "0s"
    if seconds < 0.1:
        return f"{seconds * 1000:.6g}ms"
    if seconds < 60:
        return f"{seconds:.6g}s"
    parts, rest = [], seconds
    for unit in ("d", "h", "m"):
        whole, rest = divmod(rest, UNIT_SECONDS[unit])
        parts += [f"{whole:.0f}{unit}"] if whole else []
    return " ".join([*parts, *([f"{rest:.6g}s"] if rest >= 0.001 else [])])


def parse_share(value: object) -> float:
    """Read `1%` as 0.01; a bare number is refused, since 1 could be meant as 1 % or as 100 %.

    Six significant digits count, as `format_share` writes them.
    """
    if isinstance(value, str) and (match := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", value)):
        share = float(f"{float(match[1]):.6g}") / 100
        if share <= 1:
            return share
    raise ValueError(f"{value!r} is not a share; write a percentage from 0% to 100%, such as 1%")


def format_share(share: float) -> str:
    """Write 0.01 as `1%`, in the digits that `parse_share` reads, however small it is."""
    return f"{Decimal(f'{share * 100:.6g}'):f}%"


def not_shorter(name: str, length: timedelta, least: str, floor: timedelta) -> None:
    """Refuse a length under its floor, naming both."""
    if length < floor:
        raise PydanticCustomError(
            "deadline_too_short",
            "{length} is shorter than {least} ({floor}); make {name} at least as long",
            {
                "name": name,
                "least": least,
                "length": format_duration(length),
                "floor": format_duration(floor),
            },
        )


def _positive(text: object) -> timedelta:
    length = _bounded(text)
    if length <= timedelta(0):
        raise PydanticCustomError(
            "duration_positive", "must be longer than zero, not {text}", {"text": str(text)}
        )
    return length


def _bounded(text: object) -> timedelta:
    length = parse_duration(text)
    if length > LONGEST:
        raise PydanticCustomError(
            "duration_longest",
            "must be at most {longest}, not {text}",
            {"longest": format_duration(LONGEST), "text": str(text)},
        )
    return length


def _share(value: Any) -> float:
    return value if isinstance(value, float) and 0 <= value <= 1 else parse_share(value)


def _open_share(value: Any) -> float:
    share = _share(value)
    if not 0 < share < 1:
        raise PydanticCustomError(
            "share_open",
            "must be above 0% and below 100%, not {share}: no number of requests can prove it; "
            "write for example {example}",
            {"share": format_share(share), "example": "0.1%" if share == 0 else "99%"},
        )
    return share


DURATION_SCHEMA = {"type": "string", "pattern": r"^(\d|P)", "examples": ["24h", "30m", "500ms"]}

# pydantic would take `true` for 1.
Whole = Annotated[int, Strict()]

Duration = Annotated[
    timedelta,
    BeforeValidator(_bounded),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema(DURATION_SCHEMA),
]
PositiveDuration = Annotated[
    timedelta,
    BeforeValidator(_positive),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema(DURATION_SCHEMA),
]
SHARE_SCHEMA = {"type": "string", "pattern": r"^\d+(\.\d+)?\s*%$", "examples": ["1%"]}
Share = Annotated[
    float,
    BeforeValidator(_share),
    PlainSerializer(format_share, return_type=str, when_used="json"),
    WithJsonSchema(SHARE_SCHEMA),
]
# What the judge can hold against requests: a limit of nothing, or of everything, decides nothing.
OpenShare = Annotated[
    float,
    BeforeValidator(_open_share),
    PlainSerializer(format_share, return_type=str, when_used="json"),
    WithJsonSchema({**SHARE_SCHEMA, "not": {"pattern": r"^(0+(\.0+)?|100(\.0+)?)\s*%$"}}),
]
