from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from starter.visibility import COMMIT, OUTCOME, PHASE, SERVICE, TYPES, WEIGHT, WORKFLOW
from tests.starter.conftest import Told
from tests.support.cli import ROOT, Cli
from workflows import story
from workflows.release import ReleaseWorkflow

HEAVY = ("temporalio", "pydantic", "aiohttp", "rich", "kubernetes", "yaml", "cryptography")
COMMANDS = (
    *("release", "plan", "watch", "status", "list", "evidence", "approve", "reject", "pause"),
    *(
        "resume",
        "abort",
        "skip-soak",
        "promote",
        "resolve",
        "worker",
        "sandbox",
        "doctor",
        "schema",
    ),
)


def test_help_imports_nothing_heavy_and_names_every_command() -> None:
    code = (
        "import sys; from starter.cli import main; main(['--help']);"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]; sys.exit(str(heavy))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert said.stderr.strip() == "[]"
    assert [name for name in COMMANDS if f"\n  {name} " not in said.stdout] == []


@pytest.mark.parametrize("module", ["status", "watch", "evidence", "people", "doctor", "release"])
def test_a_command_calls_temporal_before_it_imports_the_whole_client(module: str) -> None:
    code = f"import sys, starter.{module}; sys.exit(str('temporalio.client' in sys.modules))"
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert said.stderr.strip() == "False"


def test_python_m_starter_is_tidegate() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "starter", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (said.returncode, said.stdout.split()[:2]) == (0, ["Usage:", "tidegate"])


def test_an_unknown_command_names_the_nearest_and_is_bad_input(tidegate: Told) -> None:
    done = tidegate("relaese", "album")
    assert done.code == 2
    assert "release" in done.err


def test_a_missing_connection_file_is_named_with_the_next_step(cli: Cli, tidegate: Told) -> None:
    cli.variables["TIDEGATE_CONFIG"] = "/nowhere/tidegate.toml"
    done = tidegate("list")
    assert done.code == 2
    assert "no connection file /nowhere/tidegate.toml" in done.err
    assert "tidegate sandbox up" in done.err
    assert "Traceback" not in done.err


def test_debug_shows_the_traceback_wherever_it_stands(cli: Cli, tidegate: Told) -> None:
    cli.variables["TIDEGATE_CONFIG"] = "/nowhere/tidegate.toml"
    for words in (("--debug", "list"), ("list", "--debug")):
        assert "Traceback" in tidegate(*words).err


@pytest.mark.parametrize(
    "words",
    [
        ("list",),
        ("status", "album"),
        ("watch", "album"),
        ("approve", "album"),
        ("abort", "album", "--reason", "x"),
        ("evidence", "album"),
        ("release", "album"),
    ],
    ids=lambda words: words[0],
)
def test_a_temporal_that_does_not_answer_is_one_message(
    tidegate: Told, words: tuple[str, ...]
) -> None:
    done = tidegate(*words)
    assert done.code == 3
    assert done.err.count("\n") == 1
    assert "Temporal does not answer at 127.0.0.1:1" in done.err


def test_the_schema_is_that_of_the_plan_file(tidegate: Told) -> None:
    done = tidegate("schema")
    assert done.code == 0
    assert "services" in json.loads(done.out)["properties"]


@pytest.mark.parametrize(
    ("roles", "said"),
    [
        (("build", "control"), "its own process"),
        (("cluster-moon",), "unknown role cluster-moon"),
    ],
)
def test_unfit_roles_of_a_worker_are_refused(
    tidegate: Told, roles: tuple[str, ...], said: str
) -> None:
    done = tidegate("worker", *(f"--role={role}" for role in roles))
    assert done.code == 2
    assert said in done.err


def test_the_build_role_refuses_to_start_where_it_sees_a_cluster(cli: Cli, tidegate: Told) -> None:
    place = {"namespace": "staging", "prometheus": "http://127.0.0.1:1"}
    cli.connect(environments={"staging": place})
    done = tidegate("worker", "--role", "build")
    assert done.code == 2
    assert "[environments.staging]" in done.err


def test_releases_are_found_by_the_names_under_which_the_workflow_writes_them() -> None:
    keys = (story.SERVICE, story.COMMIT, story.PHASE, story.OUTCOME, story.WEIGHT)
    assert [key.name for key in keys] == [SERVICE, COMMIT, PHASE, OUTCOME, WEIGHT]
    kinds = [key.indexed_value_type.name.lower() for key in keys]
    assert [kind.lower() for kind in TYPES.values()] == kinds
    assert ReleaseWorkflow.__name__ == WORKFLOW


def test_completion_is_printed_for_a_shell(cli: Cli) -> None:
    said = subprocess.run(
        # The shell is the one that asks: two commands, so that it stays the parent.
        ["bash", "-c", f"{sys.executable} -m starter --show-completion; exit $?"],
        cwd=ROOT,
        env=cli.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "_TIDEGATE_COMPLETE" in said.stdout, said.stderr


def test_a_reader_that_goes_away_ends_it_quietly(cli: Cli) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    said = subprocess.run(
        [sys.executable, "-m", "starter", "schema"],
        cwd=ROOT,
        env=cli.environment,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert (said.returncode, said.stderr) == (1, "")
