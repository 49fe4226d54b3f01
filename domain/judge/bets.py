"""Bets whose wealth is evidence: under the hypothesis its expectation never exceeds 1 (Ville).

ShareBet compares the arms, FloorBet and `within_limit` look at the canary alone. Each bet is
arithmetic on one `Counts`; the wealth is the only state, so that an auditor can recompute it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from pydantic import BaseModel, ConfigDict

from domain.judge.counts import Counts
from domain.judge.rules import Stakes

WEALTH_CAP = 1e300
REGRESSION_GRID = (1.3, 2.0, 4.0, 12.0, 1000.0)
REGRESSION_PRIOR = (1 / 7, 1 / 7, 1 / 7, 1 / 7, 3 / 7)
LATE_MASS = 0.2
COUNTED_GRID = (1.4, 2.5, 5.0, 14.0, 1000.0)
COUNTED_PRIOR = (1 / 16, 2 / 16, 3 / 16, 4 / 16, 6 / 16)
COUNTED_LATE_MASS = 0.1
NON_INFERIORITY_GRID = (1.0, 0.6, 0.2, 0.001)
NON_INFERIORITY_PRIOR = (0.4, 0.2, 0.2, 0.2)
FLOOR_STAKES = (0.02, 0.1, 0.3, 0.7, 1.0)
WITHIN_LIMIT_FACTORS = (0.0, 0.1, 0.3, 0.6)
LOG_CAP = math.log(WEALTH_CAP)


def capped(bets: list[float]) -> tuple[float, ...]:
    """No bet above the cap: 1e300 decides as well as infinity, and can still fall."""
    if max(bets) > WEALTH_CAP:
        return tuple([min(bet, WEALTH_CAP) for bet in bets])
    return tuple(bets)


class Wealth(BaseModel):
    """What the bets of one mixture are worth after `blocks` informative blocks."""

    model_config = ConfigDict(frozen=True)

    bets: tuple[float, ...]
    blocks: int = 0


@dataclass(frozen=True, slots=True)
class ShareBet:
    """Bets per block on the canary's share of the bad events, against canary <= rho0 x stable.

    `alternatives` are the ratios r bet on, `prior` their weights (sum 1), `late` the part of the
    wealth kept for a change that comes late. One block is one vote, however many errors it holds.
    `counted`: the more bad events a block has, the surer its share and the higher the stake, as
    if r lay sqrt(bad) times farther from rho0; bets may look at how many there are, never where.
    """

    rho0: float
    alternatives: tuple[float, ...]
    prior: tuple[float, ...]
    late: float = 0.0
    counted: bool = False

    def start(self) -> Wealth:
        """Wealth before the first block; its evidence is 1."""
        return Wealth(bets=tuple((1 - self.late) * share for share in self.prior))

    def factors(self, counts: Counts) -> tuple[float, ...] | None:
        """e_t(r) per alternative, expectation <= 1 under the hypothesis; None: tells nothing."""
        bad, canary, stable = counts.bad, counts.canary_requests, counts.stable_requests
        if bad == 0 or canary == 0 or stable == 0:
            return None
        share = counts.canary_bad / bad
        rest, gain = 1 - share, share / self.rho0
        scale = self.rho0 * canary + stable
        ratios = self.sharpened(bad) if self.counted else self.alternatives
        return tuple([(gain * r + rest) * scale / (r * canary + stable) for r in ratios])

    def sharpened(self, bad: int) -> list[float]:
        """The alternatives of a block with so many bad events: farther from rho0 by their root.

        The best stake of a linear bet grows from the likelihood ratio's at one event to the whole
        at many (decision 14); the root lies between what independent and clustered events want.
        """
        root = math.sqrt(bad)
        return [self.rho0 + (ratio - self.rho0) * root for ratio in self.alternatives]

    def observe(self, wealth: Wealth, counts: Counts) -> Wealth:
        """Wealth after one block; a block that tells nothing changes nothing, wherever it lies."""
        return self.multiply(wealth, self.factors(counts))

    def multiply(self, wealth: Wealth, factors: tuple[float, ...] | None) -> Wealth:
        """Wealth after one block whose factors (one per alternative, None: nothing) are known."""
        if factors is None:
            return wealth
        block = wealth.blocks + 1
        refill = self.late / (block * (block + 1))
        bets = [
            (bet + share * refill) * factor
            for bet, share, factor in zip(wealth.bets, self.prior, factors, strict=True)
        ]
        return Wealth(bets=capped(bets), blocks=block)

    def evidence(self, wealth: Wealth) -> float:
        """E_t: the bets and the late mass not spent yet."""
        return sum(wealth.bets) + self.late / (wealth.blocks + 1)


@dataclass(frozen=True, slots=True)
class FloorBet:
    """Bets per block on the canary's bad share, against: its expected bad rate is <= `rate`.

    Exact however requests inside a block depend on each other, since only the share is used.
    """

    rate: float

    def start(self) -> Wealth:
        """Wealth before the first block; its evidence is 1."""
        return Wealth(bets=(1 / len(FLOOR_STAKES),) * len(FLOOR_STAKES))

    def observe(self, wealth: Wealth, counts: Counts) -> Wealth:
        """Wealth after one block; unchanged when the canary had no request."""
        if counts.canary_requests == 0:
            return wealth
        excess = counts.canary_rate / self.rate - 1
        bets = [
            bet * (1 + stake * excess) for bet, stake in zip(wealth.bets, FLOOR_STAKES, strict=True)
        ]
        return Wealth(bets=capped(bets), blocks=wealth.blocks + 1)

    def evidence(self, wealth: Wealth) -> float:
        """F: the mixture over all stakes."""
        return sum(wealth.bets)


@lru_cache
def regression_bet(rho0: float, stakes: Stakes = Stakes.fixed) -> ShareBet:
    """The bet that rolls back: against canary <= `rho0` x stable."""
    if stakes is Stakes.counted:
        ratios = tuple(rho0 * factor for factor in COUNTED_GRID)
        return ShareBet(rho0, ratios, COUNTED_PRIOR, COUNTED_LATE_MASS, counted=True)
    return ShareBet(
        rho0, tuple(rho0 * factor for factor in REGRESSION_GRID), REGRESSION_PRIOR, LATE_MASS
    )


@lru_cache
def non_inferiority_bet(margin: float) -> ShareBet:
    """The bet that promotes: against canary >= `margin` x stable."""
    return ShareBet(margin, NON_INFERIORITY_GRID, NON_INFERIORITY_PRIOR)


def within_limit(requests: float, bad: float, limit: float) -> float:
    """E_abs against: the canary's bad rate is >= `limit` (in (0, 1)); assumes independent requests.

    About 370 clean requests give 20 at a limit of 1 %.
    """
    good = max(requests - bad, 0)
    total = 0.0
    for factor in WITHIN_LIMIT_FACTORS:
        if factor == 0 and bad > 0:
            continue
        logarithm = bad * math.log(factor) if bad > 0 else 0.0
        logarithm += good * (math.log1p(-factor * limit) - math.log1p(-limit))
        total += math.exp(min(logarithm, LOG_CAP))
    return min(total / len(WITHIN_LIMIT_FACTORS), WEALTH_CAP)
