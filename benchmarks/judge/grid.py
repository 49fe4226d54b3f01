"""All cells of the benchmark, cut into parts that several processes share."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing import get_context

from benchmarks.judge.alarms import Alarms
from benchmarks.judge.pods import watch_pods
from benchmarks.judge.rollouts import Rollout, Rollouts, compare, quiet
from benchmarks.judge.streams import (
    BAD_RATES,
    BURST,
    DRIFT_BURST,
    GUARANTEED,
    IID,
    LONG_FAULT,
    RAMP,
    RATES,
    RATIOS,
    Scenario,
    Service,
)
from benchmarks.judge.watch import watch, watch_gaps, watch_promotion

PART = 25
MARGIN = 2.0
QUIET_RATES = (1, 5, 20, 100, 200)
QUIET_BAD_RATES = (0.0, 0.0001, 0.001, 0.01)
ROLLOUT_RATES, ROLLOUT_BAD_RATE, ROLLOUT_RATIOS = (10, 100, 1000), 0.01, (1.0, 2.0, 5.0, 20.0)
GAP_CELL = (100, 0.01, 5.0)
POD_CELL = (1000, 0.01)


@dataclass(frozen=True)
class Sizes:
    """Runs a cell."""

    null: int
    long_fault: int
    null_peers: int
    worse: int
    worse_peers: int
    margin: int
    rollouts: int
    quiet: int
    pods: int

    def scaled(self, factor: float) -> Sizes:
        """The same mix, more or fewer of each."""
        return Sizes(*(max(round(runs * factor), 2) for runs in vars(self).values()))


DEFAULT = Sizes(
    null=1000, long_fault=400, null_peers=100, worse=300, worse_peers=100,
    margin=400, rollouts=400, quiet=300, pods=400,
)  # fmt: skip
FULL = Sizes(
    null=4000, long_fault=4000, null_peers=1000, worse=2000, worse_peers=500,
    margin=2000, rollouts=2000, quiet=2000, pods=4000,
)  # fmt: skip


@dataclass(frozen=True)
class Part:
    """Some runs of one cell: `kind` says of which experiment."""

    kind: str
    service: Service
    first: int
    runs: int
    peer_runs: int


@dataclass
class Results:
    """What all parts gave, by cell."""

    sizes: Sizes
    alarms: dict[str, dict[Service, Alarms]] = field(default_factory=lambda: defaultdict(dict))
    rollouts: dict[str, dict[Service, dict[str, Rollouts]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    seconds: float = 0.0
    processes: int = 1

    def add(self, part: Part, given: Alarms | list[dict[str, Rollout]]) -> None:
        """Join what one part gave."""
        if isinstance(given, Alarms):
            self.alarms[part.kind].setdefault(part.service, Alarms()).add(given)
            return
        cell = self.rollouts[part.kind].setdefault(part.service, {})
        for run in given:
            for rule, rollout in run.items():
                cell.setdefault(rule, Rollouts()).ended.append(rollout)


def services(scenarios: tuple[Scenario, ...], ratio: float = 1.0) -> Iterator[Service]:
    """The twelve traffic cells of each scenario."""
    for scenario in scenarios:
        for rate in RATES:
            for bad_rate in BAD_RATES:
                yield Service(scenario, rate, bad_rate, ratio)


def parts(sizes: Sizes) -> Iterator[Part]:
    """Every part, longest experiments first so that no process is left with one at the end."""
    worse = (service for ratio in RATIOS for service in services((IID,), ratio))
    for kind, cells, runs, peer_runs in (
        ("null", services(GUARANTEED), sizes.null, sizes.null_peers),
        ("null", services((LONG_FAULT,)), sizes.long_fault, sizes.null_peers),
        ("worse", worse, sizes.worse, sizes.worse_peers),
        ("margin", services(GUARANTEED, MARGIN), sizes.margin, 0),
        ("pods", _pod_cells(), sizes.pods, 0),
        ("gaps", _good_gaps(), sizes.null, 0),
        ("gaps", [Service(IID, *GAP_CELL)], sizes.worse, 0),
        ("quiet", _quiet_cells(), sizes.quiet, 0),
        ("limit", _bad_within_quiet(), sizes.quiet, 0),
        ("rollouts", _rollout_cells(), sizes.rollouts, 0),
    ):
        for service in cells:
            yield from _cut(kind, service, runs, peer_runs)


def _good_gaps() -> Iterator[Service]:
    for scenario in (IID, RAMP):
        for rate in ROLLOUT_RATES:
            yield Service(scenario, rate, 0.01)


def _pod_cells() -> Iterator[Service]:
    for scenario in (IID, BURST, DRIFT_BURST):
        for ratio in (1.0, *RATIOS[1:]):
            yield Service(scenario, *POD_CELL, ratio)
    yield Service(LONG_FAULT, *POD_CELL)


def _quiet_cells() -> Iterator[Service]:
    for rate in QUIET_RATES:
        for bad_rate in QUIET_BAD_RATES:
            yield Service(IID, rate, bad_rate)


def _bad_within_quiet() -> Iterator[Service]:
    """Of 0.1 % to 0.5, 2 and 5 %, as section 3b has it; at 1 req/s one that fails everything."""
    for scenario in (IID, BURST):
        for rate in (20, 100):
            for ratio in (5.0, 20.0, 50.0):
                yield Service(scenario, rate, 0.001, ratio)
        yield Service(scenario, 1, 0.001, 1000.0)


def _rollout_cells() -> Iterator[Service]:
    for rate in ROLLOUT_RATES:
        for ratio in ROLLOUT_RATIOS:
            yield Service(DRIFT_BURST, rate, ROLLOUT_BAD_RATE, ratio)


def _cut(kind: str, service: Service, runs: int, peer_runs: int) -> Iterator[Part]:
    for first in range(0, runs, PART):
        count = min(PART, runs - first)
        yield Part(kind, service, first, count, min(max(peer_runs - first, 0), count))


def live(part: Part) -> tuple[Part, Alarms | list[dict[str, Rollout]]]:
    """Run one part; every run has its own seed, the same in every process and order."""
    seeds = [f"{part.kind} {run}" for run in range(part.first, part.first + part.runs)]
    if part.kind == "rollouts":
        return part, [compare(part.service, seed) for seed in seeds]
    if part.kind in ("quiet", "limit"):
        return part, [quiet(part.service, seed) for seed in seeds]
    total = Alarms()
    for index, seed in enumerate(seeds):
        total.add(_watched(part, seed, peers=index < part.peer_runs))
    return part, total


def _watched(part: Part, seed: str, *, peers: bool) -> Alarms:
    if part.kind == "gaps":
        return watch_gaps(part.service, seed)
    if part.kind == "pods":
        return watch_pods(part.service, seed)
    if part.kind == "margin":
        return watch_promotion(part.service, seed, MARGIN)
    return watch(part.service, seed, peers=peers)


def run(sizes: Sizes, processes: int) -> Results:
    """All parts, on so many processes; progress goes to standard error."""
    results, begun = Results(sizes, processes=processes), time.monotonic()
    todo = list(parts(sizes))
    context = get_context("spawn")
    with context.Pool(processes) as pool:
        for done, (part, given) in enumerate(pool.imap_unordered(live, todo, chunksize=2), 1):
            results.add(part, given)
            if done % 100 == 0 or done == len(todo):
                _tell(done, len(todo), time.monotonic() - begun)
    results.seconds = time.monotonic() - begun
    return results


def _tell(done: int, total: int, seconds: float) -> None:
    if sys.stderr.isatty():
        left = seconds * (total - done) / done
        print(f"\r{done}/{total} parts, about {left:.0f} s left ", end="", file=sys.stderr)
