"""Streams whose canary is several pods, and the shipped votes on them (goal 9).

Each pod answers its part of the traffic, bursts hit one pod, and so do long faults. Stable's pods
are not told apart: the rule looks at what they answered together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from benchmarks.judge.alarms import Alarms
from benchmarks.judge.streams import (
    BLOCK,
    BURST_MEAN,
    BURST_SHARE,
    FAULT_LENGTH,
    FAULT_RATE,
    FAULTS_PER_HOUR,
    HORIZON,
    Conditions,
    Service,
    geometric,
    poisson,
)
from domain.canary import MIN_VOTED_BLOCKS
from domain.judge import Counts, Pods, Stakes
from domain.judge.bets import regression_bet
from domain.judge.state import RISEN
from domain.judge.votes import pod_factors

METRIC = "errors"
CANARY, PODS = 3, 30
# Pods behind one balancer never answer exactly the same number of requests.
TRAFFIC_SPREAD = 0.1
VOTED, VOTED_TOLERANT = "ours by pods, rho0=1.0", "ours by pods, rho0=1.1"
ALPHA = 0.01


class PodTally(NamedTuple):
    """Requests and bad ones of one block: of each canary pod, and of stable's together."""

    canary: tuple[int, ...]
    canary_bad: tuple[int, ...]
    stable: int
    stable_bad: int


@dataclass
class Fault:
    """One pod that fails for a while; `pod` counts from the canary's first."""

    start: float = 0.0
    stop: float = 0.0
    pod: int = 0

    def part(self, begin: float) -> float:
        """Of the block that begins then."""
        return max(min(self.stop, begin + BLOCK) - max(self.start, begin), 0.0) / BLOCK


class PodTraffic:
    """One stream of a service with `CANARY` of `PODS` pods, all of them about equally busy."""

    def __init__(self, service: Service, seed: str) -> None:
        self.service = service
        self._draw = Random(f"{seed} pods {service.named()}")  # noqa: S311 - simulation
        self._conditions = Conditions(service.scenario, f"{seed} pods", HORIZON)
        self._busy = [math.exp(self._draw.gauss(0, TRAFFIC_SPREAD)) for _ in range(PODS)]
        self._index = 0
        self._fault = Fault()
        self._next_fault = self._draw.expovariate(FAULTS_PER_HOUR / 3600)

    def block(self) -> PodTally:
        """Counts of the next block."""
        service = self.service
        level, traffic = self._conditions.at(self._index)
        base = min(service.bad_rate * level, 1 / service.ratio)
        requests = service.rate * BLOCK * traffic / sum(self._busy)
        failing = self._failing() if service.scenario.long_fault else {}
        self._index += 1
        pods = [
            self._pod(requests * busy, base * service.ratio, failing.get(pod, 0.0))
            for pod, busy in enumerate(self._busy[:CANARY])
        ]
        extra = sum(part for pod, part in failing.items() if pod >= CANARY) / (PODS - CANARY)
        stable, stable_bad = self._pod(requests * sum(self._busy[CANARY:]), base, extra)
        canary, bad = zip(*pods, strict=True)
        return PodTally(canary, bad, stable, stable_bad)

    def _pod(self, requests: float, rate: float, fault: float) -> tuple[int, int]:
        draw, rate = self._draw, rate + (1 - rate) * fault
        mean = requests * rate
        if not self.service.scenario.bursts:
            bad = poisson(draw, mean)
        else:
            bad = poisson(draw, mean * (1 - BURST_SHARE))
            for _ in range(poisson(draw, mean * BURST_SHARE / BURST_MEAN)):
                bad += geometric(draw, BURST_MEAN)
        return bad + poisson(draw, requests * (1 - rate)), bad

    def _failing(self) -> dict[int, float]:
        begin, draw = self._index * BLOCK, self._draw
        if self._fault.stop <= begin and self._next_fault < begin + BLOCK:
            stop = self._next_fault + draw.expovariate(1 / FAULT_LENGTH)
            self._fault = Fault(self._next_fault, stop, draw.randrange(PODS))
            self._next_fault = stop + draw.expovariate(FAULTS_PER_HOUR / 3600)
        return {self._fault.pod: FAULT_RATE * self._fault.part(begin)}


class Votes:
    """The shipped evidence where every block is decided by pods."""

    def __init__(self, rho0: float) -> None:
        self._rho0, self._bet = rho0, regression_bet(rho0, Stakes.counted)
        self._wealth, self._against = self._bet.start(), 0

    def observe(self, tally: PodTally) -> bool:
        """Whether the canary is rolled back after this block."""
        answered = sum(tally.canary)
        pods = Pods.model_construct(
            canary_requests=tally.canary,
            canary_bad={METRIC: tally.canary_bad},
            stable_pods=PODS - CANARY,
            stable_least=tally.stable // (PODS - CANARY),
            stable_most=tally.stable // (PODS - CANARY),
        )
        counts = Counts.model_construct(
            canary_requests=answered,
            canary_bad=sum(tally.canary_bad),
            stable_requests=tally.stable,
            stable_bad=tally.stable_bad,
        )
        factors = pod_factors(pods, tally.canary_bad, counts, self._rho0)
        before = self._bet.evidence(self._wealth)
        self._wealth = self._bet.multiply(self._wealth, factors)
        evidence = self._bet.evidence(self._wealth)
        self._against += evidence > before * RISEN
        return evidence >= 1 / ALPHA and self._against >= MIN_VOTED_BLOCKS


def watch_pods(service: Service, seed: str) -> Alarms:
    """One run over the horizon, by both tolerances."""
    alarms, traffic = Alarms(), PodTraffic(service, seed)
    open_rules = {VOTED: Votes(1.0), VOTED_TOLERANT: Votes(1.1)}
    alarms.runs = dict.fromkeys(open_rules, 1)
    bad = 0
    for index in range(HORIZON):
        tally = traffic.block()
        bad += sum(tally.canary_bad)
        for name in [name for name, rule in open_rules.items() if rule.observe(tally)]:
            alarms.fire(name, (index + 1) * BLOCK, bad)
            del open_rules[name]
        if not open_rules:
            break
    return alarms
