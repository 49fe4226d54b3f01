"""How Argo Rollouts and Flagger decide, as their source and documentation have it.

Read in argoproj/argo-rollouts `analysis/analysis.go` and fluxcd/flagger
`pkg/controller/scheduler.go`; written anew. Where a reading is open, the peer gets the benefit.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from benchmarks.judge.streams import Tally

# The grid that an oracle tunes Argo over: multiples of stable's true rate, failures to forgive.
MULTIPLES = (1.05, 1.1, 1.2, 1.3, 1.5, 1.7, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0, 10.0, 14.0, 20.0)
FAILURE_LIMITS = 25


@dataclass
class Argo:
    """One metric of an AnalysisRun: it fails when more than `failure_limit` measurements failed.

    The count is cumulative: successes between do not reset it. Without requests the rate is NaN:
    no successCondition holds, so the measurement failed (`nan_fails`); with a failureCondition
    alone NaN is no failure.
    """

    allowed: float
    failure_limit: int = 0
    nan_fails: bool = True
    failed: int = 0

    def measure(self, requests: int, bad: int) -> bool:
        """Take one measurement of the canary's bad rate; true when the analysis has failed."""
        failing = self.nan_fails if requests == 0 else bad / requests > self.allowed
        self.failed += failing
        return self.failed > self.failure_limit


@dataclass
class Flagger:
    """A canary's checks: rolled back once `threshold` of them failed; never reset by a success.

    No value (no requests) is a failed check. Its source acts on the count at the next check, one
    interval later; here it acts at once.
    """

    allowed: float
    threshold: int = 5
    failed: int = 0

    def check(self, requests: int, bad: int) -> tuple[bool, bool]:
        """(the weight may advance, the canary is rolled back) after one check."""
        failing = requests == 0 or bad / requests > self.allowed
        self.failed += failing
        return not failing, self.failed >= self.threshold


class ArgoGrid:
    """Every (threshold, failure limit) of the oracle's grid on one stream at once.

    `moments[i]` are the blocks above `MULTIPLES[i]` times `base`, as many as the largest failure
    limit needs. NaN is no failure here: at low traffic no other setting would be quiet.
    """

    def __init__(self, base: float) -> None:
        self._allowed = [multiple * base for multiple in MULTIPLES]
        self.moments: list[list[int]] = [[] for _ in MULTIPLES]

    def measure(self, index: int, tally: Tally) -> None:
        """Take the block's rate; a block without bad requests fails no threshold."""
        if tally.canary_bad == 0:
            return
        above = bisect_left(self._allowed, tally.canary_bad / tally.canary)
        for position in range(above):
            moments = self.moments[position]
            if len(moments) < FAILURE_LIMITS:
                moments.append(index)
