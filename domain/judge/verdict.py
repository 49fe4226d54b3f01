"""The judge's answer, for the workflow (verdict, reason) and for people (sentence)."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from domain.judge.counts import Counts
from domain.judge.interval import RatioInterval


class Verdict(StrEnum):
    """What to do with the canary now."""

    PROMOTE = "PROMOTE"
    ROLL_BACK = "ROLL_BACK"
    HOLD = "HOLD"


class Reason(StrEnum):
    """Which branch of the rule spoke; one per branch, stable for machines."""

    relative = "relative"  # promoted: proven not worse than stable by the margin
    within_limit = "within_limit"  # promoted: proven under the plan's limits
    quiet = "quiet"  # promoted without proof at the deadline
    worse = "worse"  # rolled back: worse than stable
    worse_than_known = "worse_than_known"  # rolled back: much worse than the old revision was
    over_limit = "over_limit"  # rolled back: over the plan's limits, nothing to compare with
    gathering = "gathering"  # held: time is left
    no_traffic = "no_traffic"  # held: too few requests at the deadline
    no_data = "no_data"  # held: the metrics source is silent
    both_bad = "both_bad"  # held: both arms are over a limit, the canary is not worse
    as_before = "as_before"  # held: over the limit as the old revision was, which serves no more
    stable_bad = "stable_bad"  # held: stable is over a limit, so comparing proves nothing
    quiet_hold = "quiet_hold"  # held: quiet, and the plan wants a person
    needs_load = "needs_load"  # held: quiet, and the plan wants its declared load
    plan_unverified = "plan_unverified"  # held: are these rules the plan's?
    inconclusive = "inconclusive"  # held: time is up and something speaks against the canary


class Thresholds(BaseModel):
    """The evidence at which the judge rolls back and promotes: k / alpha and 1 / beta."""

    model_config = ConfigDict(frozen=True)

    roll_back: float
    promote: float


class Judgement(BaseModel):
    """One answer; `counts` are those of the step, `blocks` those it used.

    `evidence` is that of regression (E_up, merged over the metrics); `proof` per metric that of
    harmlessness; `time_needed` is None when nothing can be said (no traffic, or no progress).
    `ratios`: canary / stable over the rollout, of the metrics for which anything is known.
    """

    model_config = ConfigDict(frozen=True)

    verdict: Verdict
    reason: Reason
    sentence: str
    metric: str | None = None
    evidence: float
    proof: dict[str, float]
    thresholds: Thresholds
    counts: dict[str, Counts]
    blocks: int
    elapsed: timedelta
    time_needed: timedelta | None = None
    ratios: dict[str, RatioInterval] = Field(default_factory=dict)
