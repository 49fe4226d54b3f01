from __future__ import annotations

import re
from pathlib import Path

import pytest

from domain.errors import Conflict, NotFound, PermanentFailure, ReleaseError, TransientFailure
from domain.phases import Outcome
from starter.exit_codes import ExitCode, Refused, of_error, of_outcome

DOCUMENT = Path(__file__).parents[2] / "docs" / "cli.md"


def test_the_numbers_never_change() -> None:
    assert {code.name: code.value for code in ExitCode} == {
        "OK": 0,
        "UNEXPECTED": 1,
        "BAD_INPUT": 2,
        "UNREACHABLE": 3,
        "NOT_FOUND": 4,
        "REFUSED": 5,
        "ROLLED_BACK": 10,
        "FAILED": 11,
        "REJECTED": 12,
        "EXPIRED": 13,
        "SUPERSEDED": 14,
        "ABORTED": 15,
        "ROLLBACK_INCOMPLETE": 16,
        "INTERRUPTED": 130,
    }


def test_every_outcome_has_a_code_of_its_own() -> None:
    codes = {of_outcome(outcome) for outcome in Outcome}
    assert len(codes) == len(Outcome)
    assert of_outcome(Outcome.RELEASED) is ExitCode.OK


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Refused("no"), ExitCode.REFUSED),
        (NotFound("no"), ExitCode.NOT_FOUND),
        (TransientFailure("no"), ExitCode.UNREACHABLE),
        (Conflict("no"), ExitCode.BAD_INPUT),
        (PermanentFailure("no"), ExitCode.BAD_INPUT),
        (ReleaseError("no"), ExitCode.UNEXPECTED),
    ],
)
def test_every_kind_of_error_has_its_code(error: ReleaseError, code: ExitCode) -> None:
    assert of_error(error) is code


def test_every_code_is_documented() -> None:
    rows = re.findall(r"^\| (\d+) \|", DOCUMENT.read_text(), re.MULTILINE)
    assert sorted(map(int, rows)) == sorted(ExitCode)
