"""Rows say MISSED when they are, bounds are those of the literature, a small grid runs whole."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from benchmarks.judge import watch
from benchmarks.judge.alarms import Alarms, proportion_error
from benchmarks.judge.bounds import kl_bound, robust_bound
from benchmarks.judge.goal import Goal
from benchmarks.judge.goals import goals
from benchmarks.judge.grid import DEFAULT, Part, Results, Sizes, live, parts
from benchmarks.judge.report import show
from benchmarks.judge.streams import IID, Service


def _goal(value: float, *, at_least: bool = False, slack: float = 0.0) -> Goal:
    return Goal(
        "a figure", value, "%", 1.0, "nothing", row="1", error=0.1, at_least=at_least, slack=slack
    )


@pytest.mark.parametrize(
    ("goal", "mark"),
    [
        (_goal(0.9), "met"),
        (_goal(1.1), "MISSED"),
        (_goal(1.1, slack=0.2), "in error"),
        (_goal(1.3, slack=0.2), "MISSED"),
        (_goal(1.1, at_least=True), "met"),
        (_goal(0.9, at_least=True), "MISSED"),
        (_goal(math.nan), "MISSED"),
        (_goal(math.inf), "MISSED"),
    ],
)
def test_a_row_says_whether_its_goal_is_met(goal: Goal, mark: str) -> None:
    assert goal.mark == mark
    assert mark in str(goal)
    assert goal.is_met == (mark == "met")


def test_a_figure_without_a_promise_is_marked_as_nothing() -> None:
    assert Goal("a figure", 3.0, "s", None, "").mark == ""


def test_the_information_bound_is_wald_s() -> None:
    """As published for the prototype: 134 s at 100 req/s, 1 %, 2x; 1377 s at 10 req/s, .1 %, 5x."""
    assert kl_bound(Service(IID, 100, 0.01, 2.0)) == pytest.approx(134, abs=1)
    assert kl_bound(Service(IID, 10, 0.001, 5.0)) == pytest.approx(1377, abs=1)


@pytest.mark.parametrize(
    ("cell", "seconds"),
    [((100, 0.01, 5.0), 39), ((100, 0.01, 20.0), 24), ((1000, 0.01, 2.0), 80)],
)
def test_the_burst_proof_bound_is_that_of_linear_bets(
    cell: tuple[int, float, float], seconds: float
) -> None:
    service = Service(IID, *cell)
    assert robust_bound(service) == pytest.approx(seconds, rel=0.03)
    assert robust_bound(service) > kl_bound(service)


def test_a_share_never_seen_still_has_an_error() -> None:
    assert proportion_error(0.0, 100) == pytest.approx(0.00995, rel=0.01)
    assert proportion_error(0.5, 100) == pytest.approx(0.05)


def test_parts_give_the_same_runs_however_they_are_cut() -> None:
    service = Service(IID, 100, 0.01, 5.0)
    whole = live(Part("worse", service, 0, 4, 2))[1]
    first, second = (live(Part("worse", service, at, 2, n))[1] for at, n in ((0, 2), (2, 0)))
    assert isinstance(whole, Alarms)
    assert isinstance(first, Alarms)
    assert isinstance(second, Alarms)
    first.add(second)
    assert first == whole
    assert first.runs[watch.OURS] == 4
    assert first.runs[watch.KAYENTA] == 2


def test_a_small_grid_gives_every_row_and_its_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = Sizes(
        null=1,
        long_fault=1,
        null_peers=1,
        worse=2,
        worse_peers=1,
        margin=1,
        rollouts=2,
        quiet=2,
        pods=2,
    )
    results = Results(sizes)
    for part in parts(sizes):
        results.add(*live(part))
    figures = goals(results)
    show(results, figures, tmp_path / "deep" / "judge.json")
    told = capsys.readouterr().out
    rows = {goal.row for goal in figures}
    assert rows == {*(str(number) for number in range(1, 11)), "3b"}
    assert "MISSED" in told
    document = json.loads((tmp_path / "deep" / "judge.json").read_text())
    assert len(document["goals"]) == len(figures)
    assert len(document["false_rollback"]) == 72
    assert len(document["delay"]) == 48


def test_a_scaled_mix_keeps_at_least_two_runs_a_cell() -> None:
    assert min(vars(DEFAULT.scaled(0.0)).values()) == 2
    assert DEFAULT.scaled(2.0).null == 2 * DEFAULT.null
