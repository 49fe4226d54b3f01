"""One row of the report: a figure, its standard error, and whether its goal is met."""

from __future__ import annotations

import math
from dataclasses import dataclass

from benchmarks.release import Figure


@dataclass(frozen=True)
class Goal(Figure):
    """One figure with its standard error; `slack` more is forgiven to a worst of noisy cells."""

    row: str = ""
    error: float = 0.0
    at_least: bool = False
    slack: float = 0.0

    @property
    def is_met(self) -> bool:
        """Tell whether the figure itself is on the goal's side."""
        return self.goal is None or self._reaches(self.goal)

    @property
    def mark(self) -> str:
        """`met`, `in error` (only within its sampling error), `MISSED`, or nothing promised."""
        if self.goal is None:
            return ""
        if self.is_met:
            return "met"
        forgiven = self.goal - self.slack if self.at_least else self.goal + self.slack
        return "in error" if self.slack and self._reaches(forgiven) else "MISSED"

    def _reaches(self, goal: float) -> bool:
        return self.value >= goal if self.at_least else self.value <= goal

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        goal = "" if self.goal is None else f"{sign} {self.goal:g} {self.unit}"
        error = "" if math.isnan(self.error) else f"+- {self.error:.2g}"
        measured = f"{self.row:>3} {self.name:<52} {self.value:>8.4g} {error:<9} {self.unit:<4}"
        return f"{measured} {goal:<10} {self.mark:<8} {self.excludes}".rstrip()
