"""How many times worse than stable the canary is: an interval that holds at any stopping time.

By inversion: each candidate ratio rho0 is a hypothesis with two bets, one against "at most rho0"
and one against "at least rho0"; the interval is what neither has refuted. Only for display: no
verdict depends on it.
"""

from __future__ import annotations

from operator import mul
from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from domain.judge.bets import Wealth, capped
from domain.judge.counts import Counts

CANDIDATES = (
    *(0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    *(1.0, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0, 20.0, 50.0),
)
STAKES = (0.1, 0.4, 0.9)
# Both sides share the error of 5 %: each refutes at 2 / 0.05.
ERROR = 0.05
CONFIDENCE = 1 - ERROR
REFUTED = 2 / ERROR
_INVERSES = tuple(1 / ratio for ratio in CANDIDATES)
_ROW = len(CANDIDATES)


class RatioInterval(BaseModel):
    """canary / stable lies in `lower` .. `upper`; 0 and None: not bounded on that side (yet)."""

    model_config = ConfigDict(frozen=True)

    lower: float = 0.0
    upper: float | None = None
    confidence: float = CONFIDENCE

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.upper is not None and self.lower >= self.upper:
            raise ValueError(f"no ratio lies above {self.lower:g} and below {self.upper:g}")
        return self


def start_ratio() -> Wealth:
    """Before the first block: a row of candidates per stake against "at most", then "at least"."""
    return Wealth(bets=(1 / len(STAKES),) * (2 * len(STAKES) * _ROW))


def observe_ratio(wealth: Wealth, counts: Counts) -> Wealth:
    """Wealth after one block; a block that compares nothing changes nothing.

    With share S of the bad events and th(rho0) = rho0 n1 / (rho0 n1 + n0) the factors are
    1 + l (S / th - 1) and 1 + l ((1 - S) / (1 - th) - 1): linear in S, so that E[S] <= th (>= th)
    makes their expectation <= 1, however events cluster inside the block.
    """
    bad, canary, stable = counts.bad, counts.canary_requests, counts.stable_requests
    if bad == 0 or canary == 0 or stable == 0:
        return wealth
    share, odds = counts.canary_bad / bad, stable / canary
    factors: list[float] = []
    for part, scale, candidates in (
        (share, odds, _INVERSES),
        (1 - share, 1 / odds, CANDIDATES),
    ):
        for stake in STAKES:
            constant, slope = 1 - stake + stake * part, stake * part * scale
            factors += [constant + slope * candidate for candidate in candidates]
    bets = list(map(mul, wealth.bets, factors))
    return Wealth(bets=capped(bets), blocks=wealth.blocks + 1)


def ratio_interval(wealth: Wealth) -> RatioInterval | None:
    """The ratios not refuted; None when neither side is bounded, or when all are refuted.

    Refuting "at most rho0" refutes every smaller ratio too, so the grid only widens the interval.
    All are refuted where the ratio changed over the rollout (or, in 5 % of rollouts, by chance).
    """
    if max(wealth.bets) * len(STAKES) < REFUTED:
        return None
    half = len(STAKES) * _ROW
    more = [sum(wealth.bets[at:half:_ROW]) for at in range(_ROW)]
    less = [sum(wealth.bets[half + at :: _ROW]) for at in range(_ROW)]
    lower = max((r for r, e in zip(CANDIDATES, more, strict=True) if e >= REFUTED), default=0.0)
    upper = min((r for r, e in zip(CANDIDATES, less, strict=True) if e >= REFUTED), default=None)
    if (lower == 0 and upper is None) or (upper is not None and lower >= upper):
        return None
    return RatioInterval(lower=lower, upper=upper)
