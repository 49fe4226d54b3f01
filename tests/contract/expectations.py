"""What is expected of every server, written once: a file of steps per contract."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tests.contract.conversations import Step

FOLDER = Path(__file__).with_name("expected")
_LONGEST = 400
_REFUSAL = 400  # and above, as RFC 9110 has it
_ABSENT = "(absent)"


def file_of(contract: str) -> Path:
    """Where a contract's steps are."""
    return FOLDER / f"{contract}.json"


def expected(contract: str) -> list[Step]:
    """The steps a contract expects; none when they were never written."""
    file = file_of(contract)
    return list(json.loads(file.read_text())) if file.is_file() else []


def write(contract: str, steps: list[Step]) -> None:
    """Make these steps the expectation."""
    file = file_of(contract)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(steps, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


@cache
def shapes_of(contract: str) -> frozenset[str]:
    """The request shapes whose answers a contract expects."""
    return frozenset(str(step["shape"]) for step in expected(contract))


@cache
def answered_by(contract: str) -> frozenset[str]:
    """Of these, the shapes to which a contract expects something else than a refusal."""
    return frozenset(str(step["shape"]) for step in expected(contract) if step["status"] < _REFUSAL)


def differences(wanted: list[Step], found: list[Step]) -> list[str]:
    """One line per place where the answers are not the expected ones."""
    names = [step["step"] for step in wanted], [step["step"] for step in found]
    if names[0] != names[1]:
        return [f"the steps are {names[1]}, expected {names[0]}"]
    return [
        f"{one['step']}: {line}"
        for one, other in zip(wanted, found, strict=True)
        for line in _different(one, other, "")
    ]


def _different(wanted: Any, found: Any, at: str) -> Iterator[str]:
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key in sorted({*wanted, *found}):
            inner = f"{at}.{key}".lstrip(".")
            yield from _different(wanted.get(key, _ABSENT), found.get(key, _ABSENT), inner)
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for index, pair in enumerate(zip(wanted, found, strict=True)):
            yield from _different(*pair, f"{at}[{index}]")
    elif (type(wanted), wanted) != (type(found), found):
        yield f"{at} is {_shown(found)}, expected {_shown(wanted)}"


def _shown(value: Any) -> str:
    text = value if value == _ABSENT else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
