"""What many runs of one cell gave: when each rule fired, and all of Argo's grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev

from benchmarks.judge.peers import FAILURE_LIMITS, MULTIPLES, ArgoGrid
from benchmarks.judge.streams import BLOCK, HORIZON

SECONDS = HORIZON * BLOCK


def _grid() -> list[list[float]]:
    return [[0.0] * FAILURE_LIMITS for _ in MULTIPLES]


@dataclass
class Alarms:
    """Delays in seconds per rule; `runs` per rule, since slow incumbents see fewer of them."""

    runs: dict[str, int] = field(default_factory=dict)
    delays: dict[str, list[float]] = field(default_factory=dict)
    bad: dict[str, int] = field(default_factory=dict)
    argo_runs: int = 0
    argo_found: list[list[float]] = field(default_factory=_grid)
    argo_delay: list[list[float]] = field(default_factory=_grid)
    argo_square: list[list[float]] = field(default_factory=_grid)

    def fire(self, rule: str, delay: float, canary_bad: int) -> None:
        """Note one alarm and the bad requests that users got from the canary until then."""
        self.delays.setdefault(rule, []).append(delay)
        self.bad[rule] = self.bad.get(rule, 0) + canary_bad

    def add_grid(self, grid: ArgoGrid) -> None:
        """Note every setting of one run; the f-th failure fires failure limit f - 1."""
        self.argo_runs += 1
        for position, moments in enumerate(grid.moments):
            for limit, index in enumerate(moments):
                self.argo_found[position][limit] += 1
                self.argo_delay[position][limit] += (index + 1) * BLOCK
                self.argo_square[position][limit] += ((index + 1) * BLOCK) ** 2

    def add(self, other: Alarms) -> None:
        """Join the runs of two parts of one cell."""
        self.argo_runs += other.argo_runs
        for rule, runs in other.runs.items():
            self.runs[rule] = self.runs.get(rule, 0) + runs
        for rule, bad in other.bad.items():
            self.bad[rule] = self.bad.get(rule, 0) + bad
        for rule, delays in other.delays.items():
            self.delays.setdefault(rule, []).extend(delays)
        for mine, theirs in (
            (self.argo_found, other.argo_found),
            (self.argo_delay, other.argo_delay),
            (self.argo_square, other.argo_square),
        ):
            for row, added in zip(mine, theirs, strict=True):
                row[:] = [one + another for one, another in zip(row, added, strict=True)]

    def found(self, rule: str) -> float:
        """Share of the runs in which the rule fired."""
        runs = self.runs.get(rule, 0)
        return len(self.delays.get(rule, ())) / runs if runs else math.nan

    def found_error(self, rule: str) -> float:
        """Its standard error; that of one run when it never or always fired."""
        runs = self.runs.get(rule, 0)
        return proportion_error(self.found(rule), runs)

    def delay(self, rule: str) -> float:
        """Mean seconds of the runs in which the rule fired."""
        delays = self.delays.get(rule)
        return fmean(delays) if delays else math.inf

    def delay_error(self, rule: str) -> float:
        """Its standard error."""
        return mean_error(self.delays.get(rule, []))

    def restricted_delay(self, rule: str) -> float:
        """Mean seconds over all runs, the horizon where the rule never fired."""
        delays, runs = self.delays.get(rule, []), self.runs.get(rule, 0)
        return (sum(delays) + (runs - len(delays)) * SECONDS) / runs if runs else math.nan

    def restricted_error(self, rule: str) -> float:
        """Its standard error."""
        delays = self.delays.get(rule, [])
        missed = self.runs.get(rule, 0) - len(delays)
        return mean_error([*delays, *[SECONDS] * missed])

    def bad_requests(self, rule: str) -> float:
        """Mean bad requests from the canary until the alarm."""
        delays = self.delays.get(rule)
        return self.bad[rule] / len(delays) if delays else math.nan

    def argo_false(self, position: int, limit: int) -> float:
        """Share of the runs in which one setting of the grid fired."""
        return self.argo_found[position][limit] / self.argo_runs

    def argo_restricted(self, position: int, limit: int) -> float:
        """Mean seconds of one setting over all runs, the horizon where it never fired."""
        missed = self.argo_runs - self.argo_found[position][limit]
        return (self.argo_delay[position][limit] + missed * SECONDS) / self.argo_runs

    def argo_restricted_error(self, position: int, limit: int) -> float:
        """Its standard error."""
        missed = self.argo_runs - self.argo_found[position][limit]
        square = (self.argo_square[position][limit] + missed * SECONDS**2) / self.argo_runs
        spread = max(square - self.argo_restricted(position, limit) ** 2, 0.0)
        return math.sqrt(spread / self.argo_runs)


def mean_error(values: Sequence[float]) -> float:
    """Standard error of their mean; unknown for fewer than two."""
    return stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def median_error(values: Sequence[float]) -> float:
    """Half the width between the order statistics one standard deviation around their median."""
    if len(values) < 2:
        return math.nan
    ordered, reach = sorted(values), math.sqrt(len(values)) / 2
    middle, last = (len(ordered) - 1) / 2, len(ordered) - 1
    low, high = max(math.floor(middle - reach), 0), min(math.ceil(middle + reach), last)
    return (ordered[high] - ordered[low]) / 2


def proportion_error(share: float, runs: int) -> float:
    """Standard error of a share of `runs`; at 0 or 1 that of a single counterexample."""
    if runs == 0:
        return math.nan
    spread = max(share * (1 - share), (1 - 1 / runs) / runs if runs > 1 else 0.25)
    return math.sqrt(spread / runs)


def oracle(null: Alarms, worse: Alarms, allowed: float = 0.01) -> tuple[int, int] | None:
    """The setting (threshold, failure limit) with the shortest delay among those that fired in at
    most `allowed` of the good runs; None when no setting of the grid is that quiet."""
    settings = [
        (worse.argo_restricted(position, limit), position, limit)
        for position in range(len(MULTIPLES))
        for limit in range(FAILURE_LIMITS)
        if null.argo_false(position, limit) <= allowed
    ]
    best = min(settings, default=None)
    return best and best[1:]
