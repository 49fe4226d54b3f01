from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from domain.errors import Conflict, NotFound, PermanentFailure, ReleaseError, TransientFailure
from domain.phases import Outcome
from starter.cli import app
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
        "HELD": 17,
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


def test_every_code_is_documented_and_an_outcomes_row_names_it() -> None:
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", DOCUMENT.read_text(), re.MULTILINE)
    meanings = {int(code): meaning for code, meaning in rows}
    assert sorted(meanings) == sorted(ExitCode)
    assert [one for one in Outcome if one.value not in meanings[of_outcome(one)]] == []


def test_every_option_that_the_document_names_exists_and_no_command_is_left_out() -> None:
    text = DOCUMENT.read_text()
    command = typer.main.get_command(app)
    assert isinstance(command, typer.core.TyperGroup)
    options = {word for one in _leaves(command) for param in one.params for word in param.opts}
    known = options | {"--help", "--debug", "--install-completion", "--show-completion"}
    known |= {word for one in _leaves(command) for p in one.params for word in p.secondary_opts}
    named = set(re.findall(r"--[a-z][-a-z]+", text))
    assert named - known == set()
    assert [name for name in command.commands if f"`{name}" not in text] == []


def _leaves(group: Any) -> Iterator[Any]:
    for one in group.commands.values():
        if hasattr(one, "commands"):
            yield from _leaves(one)
        else:
            yield one
