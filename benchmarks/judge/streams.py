"""Simulated traffic of a canary and its stable: counts per block, seeded, in six scenarios.

Every rule of the benchmark is run on these; a stream is named by its seed and never depends on the
rule that watches it, apart from the weight that the rule asks for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

BLOCK = 10.0
HORIZON = 720
WEIGHT = 0.1
RATES = (1, 10, 100, 1000)
BAD_RATES = (0.001, 0.01, 0.05)
RATIOS = (1.2, 2.0, 5.0, 20.0)

LEVEL_SD, TRAFFIC_SD, MEMORY = 0.5, 0.3, 600.0
KEPT = math.exp(-BLOCK / MEMORY)
SPREAD = math.sqrt(1 - KEPT * KEPT)
SHOCK, SHOCKS_PER_HOUR, SHOCK_LENGTH = 10.0, 1.0, 60.0
BURST_SHARE, BURST_MEAN = 0.5, 20.0
RAMP_WEIGHTS, RAMP_GROWTH = (0.1, 0.25, 0.5), 3.0
PODS, FAULT_RATE, FAULTS_PER_HOUR, FAULT_LENGTH = 10, 0.3, 0.5, 60.0
# Below it inversion is exact and quick; above, Cornish-Fisher errs by less than 0.1 % of the tail.
SMALL_MEAN = 14.0
MOST = 0.9


class Tally(NamedTuple):
    """Requests and bad ones of both arms in one block."""

    canary: int
    canary_bad: int
    stable: int
    stable_bad: int


@dataclass(frozen=True)
class Scenario:
    """What disturbs both arms alike, or one of them without the version's fault."""

    name: str
    drift: bool = False
    bursts: bool = False
    ramp: bool = False
    long_fault: bool = False

    def weight(self, part: float) -> float:
        """The canary's share of the traffic after this part (0 to 1) of the horizon."""
        if not self.ramp:
            return WEIGHT
        return RAMP_WEIGHTS[min(int(part * len(RAMP_WEIGHTS)), len(RAMP_WEIGHTS) - 1)]


IID = Scenario("iid")
BURST = Scenario("burst", bursts=True)
DRIFT_BURST = Scenario("drift+burst", drift=True, bursts=True)
RAMP = Scenario("ramp", drift=True, ramp=True)
LONG_FAULT = Scenario("long fault", long_fault=True)
GUARANTEED = (
    IID,
    Scenario("drift", drift=True),
    BURST,
    DRIFT_BURST,
    RAMP,
)


@dataclass(frozen=True)
class Service:
    """One cell: requests per second to both arms, stable's bad rate, canary's multiple of it."""

    scenario: Scenario
    rate: float
    bad_rate: float
    ratio: float = 1.0

    @property
    def bad_per_second(self) -> float:
        """lambda: bad events per second while all traffic goes to stable."""
        return self.rate * self.bad_rate

    def named(self) -> str:
        """The cell for tables and seeds."""
        return f"{self.scenario.name} {self.rate:g}/s {self.bad_rate:.2%} x{self.ratio:g}"


class Conditions:
    """Multipliers of bad rate and traffic, common to all pods, on one seeded day."""

    def __init__(self, scenario: Scenario, seed: str, horizon: int) -> None:
        self.day = Random(f"{seed} day {scenario.name}")  # noqa: S311 - simulation
        self.log_level = self.day.gauss(0, LEVEL_SD) if scenario.drift else 0.0
        self._log_traffic = self.day.gauss(0, TRAFFIC_SD) if scenario.drift else 0.0
        self._scenario, self._horizon = scenario, horizon
        self._shocked_until = -1.0

    def at(self, index: int) -> tuple[float, float]:
        """Those of the next block, `index` (median 1 without shocks)."""
        scenario = self._scenario
        if not scenario.drift:
            return 1.0, 1.0
        day = self.day
        self.log_level = KEPT * self.log_level + SPREAD * day.gauss(0, LEVEL_SD)
        self._log_traffic = KEPT * self._log_traffic + SPREAD * day.gauss(0, TRAFFIC_SD)
        level = math.exp(self.log_level)
        now = index * BLOCK
        if now >= self._shocked_until and day.random() < SHOCKS_PER_HOUR * BLOCK / 3600:
            self._shocked_until = now + day.expovariate(1 / SHOCK_LENGTH)
        if now < self._shocked_until:
            level *= SHOCK
        if scenario.ramp:
            level *= RAMP_GROWTH ** (index / self._horizon)
        return level, math.exp(self._log_traffic)


class Traffic:
    """One stream; `block(weight)` is the next block at that canary weight.

    The common level and the pods' faults have a generator of their own, so that two rules that
    choose different weights still live through the same day.
    """

    def __init__(self, service: Service, seed: str, horizon: int = HORIZON) -> None:
        self.service = service
        self._arrivals = Random(f"{seed} {service.named()}")  # noqa: S311 - simulation
        self.conditions = Conditions(service.scenario, seed, horizon)
        self._day = self.conditions.day
        self._horizon = horizon
        self._index = 0
        self._next_fault = self._day.expovariate(FAULTS_PER_HOUR / 3600)
        self._fault = (0.0, 0.0, 0)

    def blocks(self, count: int | None = None) -> Iterator[Tally]:
        """The scenario's own weights over the horizon."""
        scenario = self.service.scenario
        for index in range(self._horizon if count is None else count):
            yield self.block(scenario.weight(index / self._horizon))

    def block(self, weight: float) -> Tally:
        """Counts of the next block: Poisson arrivals thinned by the bad rate of the moment."""
        service, scenario = self.service, self.service.scenario
        level, traffic = self.conditions.at(self._index)
        # Where a shock saturates, both arms do: the canary stays exactly `ratio` times worse.
        base = min(service.bad_rate * level, MOST, 1 / service.ratio)
        worse = base * service.ratio
        requests = service.rate * BLOCK * traffic
        faulty_canary, faulty_stable = self._faults(weight) if scenario.long_fault else (0.0, 0.0)
        canary_rate = worse + (1 - worse) * faulty_canary
        stable_rate = base + (1 - base) * faulty_stable
        self._index += 1
        canary, canary_bad = self._arm(requests * weight, canary_rate)
        stable, stable_bad = self._arm(requests * (1 - weight), stable_rate)
        return Tally(canary, canary_bad, stable, stable_bad)

    def _arm(self, requests: float, bad_rate: float) -> tuple[int, int]:
        draw = self._arrivals
        if not self.service.scenario.bursts:
            bad = poisson(draw, requests * bad_rate)
        else:
            mean = requests * bad_rate
            bad = poisson(draw, mean * (1 - BURST_SHARE))
            for _ in range(poisson(draw, mean * BURST_SHARE / BURST_MEAN)):
                bad += geometric(draw, BURST_MEAN)
        return bad + poisson(draw, requests * (1 - bad_rate)), bad

    def _faults(self, weight: float) -> tuple[float, float]:
        """Extra bad rate of either arm because one pod fails, by the part of the block it does."""
        begin, end = self._index * BLOCK, (self._index + 1) * BLOCK
        start, stop, pod = self._fault
        if stop <= begin and self._next_fault < end:
            start, pod = self._next_fault, self._day.randrange(PODS)
            stop = start + self._day.expovariate(1 / FAULT_LENGTH)
            self._fault = (start, stop, pod)
            self._next_fault = stop + self._day.expovariate(FAULTS_PER_HOUR / 3600)
        part = max(min(stop, end) - max(start, begin), 0.0) / BLOCK
        canaries = max(round(PODS * weight), 1)
        if pod < canaries:
            return FAULT_RATE * part / canaries, 0.0
        return 0.0, FAULT_RATE * part / (PODS - canaries)


def poisson(draw: Random, mean: float) -> int:
    """A Poisson number: inversion for small means, else Cornish-Fisher to third order."""
    if mean < SMALL_MEAN:
        uniform = draw.random
        limit, count, product = math.exp(-mean), 0, uniform()
        while product > limit:
            count += 1
            product *= uniform()
        return count
    z, root = draw.gauss(0, 1), math.sqrt(mean)
    value = mean + root * z + (z * z - 1) / 6 + (z - z * z * z) / (72 * root)
    return max(int(value + 0.5), 0)


def geometric(draw: Random, mean: float) -> int:
    """A number >= 1 with this mean."""
    return 1 + int(math.log(1 - draw.random()) / math.log(1 - 1 / mean))


def merged(tallies: list[Tally]) -> Tally:
    """Several blocks as one."""
    return Tally(*(sum(column) for column in zip(*tallies, strict=True)))
