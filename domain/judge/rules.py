"""The knobs of the judge for one step; the plan fills them, a rehearsal clock has scaled them."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.judge.known import LastKnown

Share = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[timedelta, Field(gt=timedelta(0))]
NotNegative = Annotated[timedelta, Field(ge=timedelta(0))]

DEFAULT_MARGINS = (4.0, 3.0, 2.0)
# A source is called silent after this part of the deadline (10 min: 2 min), unless the plan says.
STALE_PART_OF_DEADLINE = 5


class OnQuiet(StrEnum):
    """What to do at the deadline when nothing speaks against the canary and nothing proves it."""

    advance = "advance"
    hold = "hold"
    synthetic = "synthetic"


class PromoteBy(StrEnum):
    """Which proofs may promote before the deadline."""

    any = "any"
    relative = "relative"


class Control(StrEnum):
    """Which arm the canary is compared with."""

    stable = "stable"
    baseline = "baseline"  # stable's version in pods as young as the canary's


class Stakes(StrEnum):
    """How much the regression bets venture on one block."""

    fixed = "fixed"  # by its alternative alone: rollouts begun before there was a choice
    counted = "counted"  # more on a block with more bad events, whichever arm they fell on


class JudgeRules(BaseModel):
    """Error rates, margins, limits and times of one step.

    `limits` and `floors` are bad shares per metric in (0, 1); `margins` lists the margin of every
    step of the rollout, since each has its process from the first block on. `control_arm` is false
    where no stable serves beside the canary (first release, 100 %): then the limits alone judge.
    `arms` is how many canaries of a train or wave are judged at once: they share alpha. `control`
    says what the blocks' "stable" counts are those of. `pod_votes` compares pods one by one where
    blocks carry them and their traffic is about equal, and may then roll back after
    `min_voted_blocks` (None: `min_blocks`). `stakes` counts when the rollout begins.
    `warm_up_blocks` are left out of the metrics `warmed` alone (None: of all), those within
    `warm_up` of all. Evidence is suspicion once `suspect_blocks` blocks spoke against the canary,
    or at `excused`, however few they were (None: never for that alone).
    `last_known` is what the old revision counted before, for where it serves no more beside the
    canary; `worse_than_known` times its bad share rolls back also within the limit.

    Defaults are those of records that lack a field: recomputed, they must give the same.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    alpha: Share = 0.01
    beta: Share = 0.05
    rho0: Annotated[float, Field(ge=1)] = 1.1
    margin: Annotated[float, Field(gt=1)] = DEFAULT_MARGINS[0]
    margins: tuple[Annotated[float, Field(gt=1)], ...] = DEFAULT_MARGINS
    limits: dict[str, Share] = Field(default_factory=dict)
    floors: dict[str, Share] = Field(default_factory=dict)
    metric_weights: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    min_bake: NotNegative = timedelta(minutes=3)
    deadline: Positive = timedelta(minutes=10)
    extensions: Annotated[int, Field(ge=0)] = 3
    stale_after: Positive | None = None
    min_requests: Annotated[int, Field(ge=1)] = 20
    warm_up_blocks: Annotated[int, Field(ge=0)] = 1
    warm_up: NotNegative = timedelta(0)
    warmed: tuple[str, ...] | None = None
    min_blocks: Annotated[int, Field(ge=1)] = 3
    min_voted_blocks: Annotated[int, Field(ge=1)] | None = None
    suspect_blocks: Annotated[int, Field(ge=1)] = 1
    excused: Annotated[float, Field(gt=1)] | None = None
    stakes: Stakes = Stakes.fixed
    on_quiet: OnQuiet = OnQuiet.advance
    promote: PromoteBy = PromoteBy.any
    control_arm: bool = True
    pod_votes: bool = True
    arms: Annotated[int, Field(ge=1)] = 1
    control: Control = Control.stable
    last_known: dict[str, LastKnown] = Field(default_factory=dict)
    worse_than_known: Annotated[float, Field(gt=1)] = 5.0

    @model_validator(mode="after")
    def _margin_has_its_process(self) -> Self:
        if self.margin not in self.margins:
            raise ValueError(
                f"margin {self.margin:g} is not among the rollout's margins {self.margins}:"
                " list the margin of every step in `margins`"
            )
        return self

    @property
    def roll_back_at(self) -> float:
        """Evidence of regression that rolls back: 1 / alpha, of k arms k / alpha (Bonferroni)."""
        return self.arms / self.alpha

    def bar(self, metric: str) -> float | None:
        """The bad share above which the canary is rolled back where no arm serves beside it.

        The limit; less where the old revision was much better than it, more where the old one was
        surely over it too (then something that both need is down). Where the plan has no limit
        (restarts) it is what the old one was like alone, and None if nobody knows that either.
        """
        limit, known = self.limits.get(metric), self.last_known.get(metric)
        if known is None:
            return limit
        if limit is None or not known.over:
            return min(1.0 if limit is None else limit, self.worse_than_known * known.most)
        return max(limit, self.rho0 * known.least)

    @property
    def promote_at(self) -> float:
        """Evidence of harmlessness that promotes: 1 / beta."""
        return 1 / self.beta

    @property
    def last_deadline(self) -> timedelta:
        """The deadline with all its extensions."""
        return self.deadline * (1 + self.extensions)

    @property
    def silent_after(self) -> timedelta:
        """How long without a block counts as no data."""
        return self.stale_after or self.deadline / STALE_PART_OF_DEADLINE


def margin_for(weight_percent: float) -> float:
    """How much worse a canary must provably not be at this weight: 4x to 10 %, 3x to 25 %, else 2x.

    The more users a step reaches, the tighter the proof asked for.
    """
    if weight_percent <= 10:
        return 4.0
    return 3.0 if weight_percent <= 25 else 2.0
