from __future__ import annotations

import json

import pytest

from tests.starter.conftest import Told
from tests.support.cli import PLAN, Cli
from tests.support.git import Worktree

FIVE_ERRORS = """\
version: 1
services:
  album:
    path: microservices/album
    port: 8219
    image: isa/album
    manifests: deployment/{environment}
    soak: {duration: 1h}
    canary: {steps: [50, 10, 100], min_bake: 0s}
    tests: {coverage: 50%}
    retian: 4
"""


def test_a_plan_prints_the_whole_journey_and_starts_nothing(tidegate: Told) -> None:
    done = tidegate("plan", "album")
    assert done.code == 0
    for said in ("canary 10 %", "1d", "by 1 of 2 eligible: alice, bob", "Point of no return"):
        assert said in done.out
    assert "written by dana@example.com" in done.out


def test_all_errors_of_a_plan_are_said_at_once_with_file_and_line(
    tidegate: Told, repository: Worktree
) -> None:
    repository.write("tidegate.yaml", FIVE_ERRORS)
    repository.commit()
    done = tidegate("plan", "album")
    assert (done.code, done.out) == (2, "")
    places = [line.partition(": ")[0] for line in done.err.splitlines()[:-1]]
    assert places == [f"tidegate.yaml:{line}" for line in (8, 9, 9, 10, 11)]
    assert "did you mean `retain`" in done.err
    assert done.err.splitlines()[-1] == "tidegate: 5 problems; nothing was started"


def test_a_release_by_a_plan_with_errors_is_refused_before_temporal_is_asked(
    tidegate: Told, repository: Worktree
) -> None:
    repository.write("tidegate.yaml", FIVE_ERRORS)
    repository.commit()
    done = tidegate("release", "album")
    assert done.code == 2
    assert "nothing was started" in done.err


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ("version: 1\nservices: {album: [\n", "tidegate.yaml:"),
        (PLAN + "    canary: {steps: [10, 50]}\n", "rise"),
        (PLAN + "    soak: {duration: -1h}\n", "longer than zero"),
        (PLAN + "    soak: {duration: 0s}\n", "longer than zero"),
        (PLAN + "    soak: {duration: 1h}\n", "below the policy's floor of 1d"),
        (PLAN + "    rehearsal: {soak: 1h = 1s}\n", "the policy says rehearsal: false"),
    ],
    ids=("malformed", "weights", "negative", "zero", "floor", "rehearsal"),
)
def test_a_plan_that_cannot_be_used_is_bad_input(
    tidegate: Told, repository: Worktree, plan: str, said: str
) -> None:
    repository.write("tidegate.yaml", plan)
    repository.commit()
    for command in ("plan", "release"):
        done = tidegate(command, "album")
        assert done.code == 2
        assert said in done.err


def test_an_unknown_service_is_bad_input_and_names_the_nearest(tidegate: Told) -> None:
    done = tidegate("plan", "albun")
    assert done.code == 2
    assert "did you mean `album`" in done.err


def test_a_missing_commit_is_not_found(tidegate: Told) -> None:
    done = tidegate("plan", "album", "--commit", "mian")
    assert done.code == 4
    assert "mian" in done.err
    assert "main" in done.err


def test_the_plan_of_the_commit_counts_and_not_the_one_in_the_work_tree(
    tidegate: Told, repository: Worktree
) -> None:
    repository.write("tidegate.yaml", FIVE_ERRORS)
    assert tidegate("plan", "album").code == 0
    done = tidegate("plan", "album", "--file", "tidegate.yaml")
    assert done.code == 2
    assert "5 problems" in done.err


def test_a_plan_is_found_from_a_folder_inside_the_repository(
    cli: Cli, tidegate: Told, repository: Worktree
) -> None:
    repository.write("microservices/album/main.py", "")
    cli.directory = repository.path / "microservices" / "album"
    assert tidegate("plan", "album").code == 0


def test_a_plan_as_json_has_times_people_and_the_total(tidegate: Told) -> None:
    found = json.loads(tidegate("plan", "album", "--output", "json").out)
    steps = {step["title"]: step for step in found["steps"]}
    assert steps["soak"]["expected"] == "P1D"
    assert steps["approval"]["people"] == ["alice", "bob"]
    assert found["total"]["expected"].startswith("P1D")


def test_an_organisation_without_policy_is_told_where_it_belongs(cli: Cli, tidegate: Told) -> None:
    del cli.sections["policy"]
    cli.connect()
    done = tidegate("plan", "album")
    assert done.code == 2
    assert "add [policy]" in done.err
