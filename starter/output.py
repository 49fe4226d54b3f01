"""How commands speak: plain text and JSON on stdout, problems on stderr."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from typing import Any


class Format(StrEnum):
    """What a reading command prints."""

    TEXT = "text"
    JSON = "json"


def say(text: str = "") -> None:
    """Print a line for a person."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    """Print a problem where it does not mix with results."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def say_json(value: Any, *, indent: int | None = 2) -> None:
    """Print a value for a program; `indent` None keeps it on one line."""
    say(json.dumps(value, indent=indent, ensure_ascii=False, default=str))


def is_terminal() -> bool:
    """Whether a person looks at stdout as it comes."""
    return sys.stdout.isatty()


def can_ask() -> bool:
    """Whether there is a person to ask."""
    return sys.stdin.isatty() and sys.stdout.isatty()
