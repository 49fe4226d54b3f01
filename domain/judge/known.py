"""What the old revision was last known like, for judging the new one where both serve no more.

`clearly_over` tells when an arm is over a limit; the judge counts what stable did while it was not.
"""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt

# Poisson log-likelihood ratio of three standard deviations, one-sided (Wilks: 3^2 / 2).
CLEARLY_OVER = 4.5
# One-sided 99.5 % of the normal distribution.
SURELY = 2.576


def clearly_over(requests: float, bad: float, limit: float) -> bool:
    """Whether `bad` of `requests` exceeds the limit by three standard deviations."""
    expected = requests * limit
    if bad <= expected or expected <= 0:
        return False
    return bad * math.log(bad / expected) - (bad - expected) >= CLEARLY_OVER


class LastKnown(BaseModel):
    """What stable counted on one metric while it was compared with the canary.

    While it was within the limit; where it was not when it was last seen (`over`), what it counted
    while it was over it. `least` and `most` are 99.5 % limits of its bad share, by the score
    interval of a Poisson rate (independent requests).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests: PositiveInt
    bad: NonNegativeInt
    over: bool = False

    @property
    def share(self) -> float:
        """The bad share as counted."""
        return self.bad / self.requests

    @property
    def least(self) -> float:
        """The bad share that it surely had."""
        return max(self._center - self._width, 0.0) / self.requests

    @property
    def most(self) -> float:
        """The bad share that it surely did not exceed."""
        return (self._center + self._width) / self.requests

    @property
    def _center(self) -> float:
        return self.bad + SURELY**2 / 2

    @property
    def _width(self) -> float:
        return SURELY * math.sqrt(self.bad + SURELY**2 / 4)
