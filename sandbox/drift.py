"""Why good versions look uneven: slow drift of load and errors, and shocks that hit them all."""

from __future__ import annotations

import math
from random import Random

RELAXATION_SECONDS = 600.0
LOG_DEVIATION = 0.3
SECONDS_BETWEEN_SHOCKS = 1800.0
SHOCK_SECONDS = 60.0
SHOCK_FACTORS = (3.0, 12.0)


class Drift:
    """exp of an Ornstein-Uhlenbeck process with stationary standard deviation 0.3 and mean 0."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._level = chance.gauss(0.0, LOG_DEVIATION)

    def after(self, seconds: float) -> float:
        """The factor after so many simulated seconds more (exact transition of the process)."""
        kept = math.exp(-seconds / RELAXATION_SECONDS)
        noise = LOG_DEVIATION * math.sqrt(1 - kept * kept)
        self._level = self._level * kept + self._chance.gauss(0.0, noise)
        return math.exp(self._level)


class Shocks:
    """Bursts of errors at random times, alike for every version: a dependency that stumbles."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._until_next = chance.expovariate(1 / SECONDS_BETWEEN_SHOCKS)
        self._left = 0.0
        self._factor = 1.0

    def after(self, seconds: float) -> float:
        """By what the base error share is multiplied so many simulated seconds later."""
        self._left -= seconds
        self._until_next -= seconds
        if self._until_next <= 0:
            self._until_next = self._chance.expovariate(1 / SECONDS_BETWEEN_SHOCKS)
            self._left = self._chance.expovariate(1 / SHOCK_SECONDS)
            self._factor = self._chance.uniform(*SHOCK_FACTORS)
        return self._factor if self._left > 0 else 1.0
