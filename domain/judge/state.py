"""What the judge remembers between blocks: small, JSON, replayable from the stored blocks."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict

from domain.errors import PermanentFailure
from domain.judge.bets import FloorBet, ShareBet, Wealth, non_inferiority_bet, regression_bet
from domain.judge.counts import ArmName, Block, Counts
from domain.judge.interval import observe_ratio, start_ratio
from domain.judge.known import clearly_over
from domain.judge.rules import JudgeRules, Stakes
from domain.judge.unseen import LeftOut, dark_arms
from domain.judge.votes import equal_traffic, pod_factors, several

# How much of the past `Recent` keeps per block: its memory is about five blocks.
RECENT_DECAY = 0.8
# Evidence that rose by less than this has not: rounding is no vote.
RISEN = 1 + 1e-9


class Recent(BaseModel):
    """Counts of about the last five blocks, for what is wrong now, not since the start."""

    model_config = ConfigDict(frozen=True)

    canary_requests: float = 0.0
    canary_bad: float = 0.0
    stable_requests: float = 0.0
    stable_bad: float = 0.0

    def observe(self, counts: Counts) -> Recent:
        """The decayed past plus one block."""
        return Recent(
            canary_requests=RECENT_DECAY * self.canary_requests + counts.canary_requests,
            canary_bad=RECENT_DECAY * self.canary_bad + counts.canary_bad,
            stable_requests=RECENT_DECAY * self.stable_requests + counts.stable_requests,
            stable_bad=RECENT_DECAY * self.stable_bad + counts.stable_bad,
        )


class EdgeState(BaseModel):
    """One bucket edge's part of the evidence, over the whole rollout."""

    model_config = ConfigDict(frozen=True)

    edge: float
    worse: Wealth
    rollout: Counts = Counts()


class MetricState(BaseModel):
    """Wealth of one metric's bets and its counts.

    `worse`, `not_worse` (one per margin), `floor` and `rollout` run over the whole rollout, since
    alpha is spent once; so does `ratio`, for the interval (None: begun by the next block).
    `limit`, `bar`, `step` and `recent` begin anew with each step. `good` is what stable counted
    while it was within the limit, `stable_over` whether it was not when last seen. `edges` are the
    histogram's, chosen by the first block that has one; `voted` and `unequal` count the rollout's
    blocks that per-pod votes decided, and those they could not because the pods' traffic differs.
    `against` counts those in which any evidence of regression rose (None: begun before they were
    counted). `seen` is the end of the last block in which every compared arm was scraped for it,
    `dark` are the arms that were not in the last block.
    """

    model_config = ConfigDict(frozen=True)

    worse: Wealth
    not_worse: tuple[Wealth, ...]
    floor: Wealth | None = None
    floor_peak: float = 0.0
    ratio: Wealth | None = None
    edges: tuple[EdgeState, ...] = ()
    voted: int = 0
    unequal: int = 0
    against: int | None = None
    rollout: Counts = Counts()
    limit: Wealth | None = None
    bar: Wealth | None = None
    good: Counts = Counts()
    stable_over: bool = False
    step: Counts = Counts()
    recent: Recent = Recent()
    seen: AwareDatetime | None = None
    dark: tuple[ArmName, ...] = ()


class JudgeState(BaseModel):
    """The judge's whole memory of a rollout; replaced as a whole by `observe` and `next_step`.

    `stakes` are those it began with: wealth is never carried from one kind of bet to another.
    `left_out` are the step's blocks that could not be used.
    """

    model_config = ConfigDict(frozen=True)

    since: AwareDatetime
    until: AwareDatetime | None = None
    margins: tuple[float, ...]
    stakes: Stakes = Stakes.fixed
    metrics: dict[str, MetricState]
    warmed_blocks: int = 0
    step_blocks: int = 0
    rollout_blocks: int = 0
    step_watched: timedelta = timedelta(0)
    rollout_watched: timedelta = timedelta(0)
    left_out: LeftOut = LeftOut()


def start(rules: JudgeRules, metrics: Iterable[str], since: datetime) -> JudgeState:
    """The state before the first block of a rollout whose first weight took effect at `since`.

    Raises PermanentFailure when no metric is named.
    """
    names = tuple(metrics)
    if not names:
        raise PermanentFailure("the judge was given no metric: name at least one in the plan")
    return JudgeState(
        since=since,
        margins=rules.margins,
        stakes=rules.stakes,
        metrics={name: _fresh_metric(rules) for name in names},
    )


def next_step(state: JudgeState, since: datetime) -> JudgeState:
    """The state when the next weight took effect at `since`: evidence stays, the step's counts go.

    Raises PermanentFailure when a counted block ends after `since`.
    """
    if state.until is not None and state.until > since:
        raise PermanentFailure(
            f"the step cannot begin at {since}: blocks until {state.until} are already counted"
        )
    metrics = {
        name: metric.model_copy(
            update={
                "limit": None,
                "bar": None,
                "step": Counts(),
                "recent": Recent(),
                "seen": None,
                "dark": (),
            }
        )
        for name, metric in state.metrics.items()
    }
    cleared = {"warmed_blocks": 0, "step_blocks": 0, "step_watched": timedelta(0)}
    cleared |= {"left_out": LeftOut()}
    return state.model_copy(update={"since": since, "until": None, "metrics": metrics} | cleared)


def observe(state: JudgeState, rules: JudgeRules, block: Block) -> JudgeState:
    """The state after one block; a block that ended before the last one is already counted.

    Raises PermanentFailure when the block reaches over the weight change or over the last block,
    or carries a metric the judge was not started with.
    """
    if state.until is not None and block.end <= state.until:
        return state
    _refuse_misfit(state, rules, block)
    left_out = state.left_out.after(block)
    if block.spoiled:
        return state.model_copy(update={"until": block.end, "left_out": left_out})
    cold, bet = _cold(state, rules, block), regression_bet(rules.rho0, state.stakes)
    update: dict[str, object] = {
        "until": block.end,
        "left_out": left_out,
        "metrics": {
            name: metric.model_copy(update=_seen(rules, name, block))
            if name in cold
            else _observe_metric(metric, rules, bet, name, block)
            for name, metric in state.metrics.items()
        },
    }
    if cold:
        update["warmed_blocks"] = state.warmed_blocks + 1
    if len(cold) < len(state.metrics):
        length = block.end - block.start
        update |= {
            "step_blocks": state.step_blocks + 1,
            "rollout_blocks": state.rollout_blocks + 1,
            "step_watched": state.step_watched + length,
            "rollout_watched": state.rollout_watched + length,
        }
    return state.model_copy(update=update)


def _cold(state: JudgeState, rules: JudgeRules, block: Block) -> frozenset[str]:
    """The metrics that leave this block out, since the step's pods are still warming up."""
    if block.start < state.since + rules.warm_up:
        return frozenset(state.metrics)
    if state.warmed_blocks >= rules.warm_up_blocks:
        return frozenset()
    return frozenset(state.metrics if rules.warmed is None else rules.warmed) & set(state.metrics)


def _fresh_metric(rules: JudgeRules) -> MetricState:
    return MetricState(
        worse=regression_bet(rules.rho0, rules.stakes).start(),
        not_worse=tuple(non_inferiority_bet(margin).start() for margin in rules.margins),
        against=0,
    )


def _refuse_misfit(state: JudgeState, rules: JudgeRules, block: Block) -> None:
    if rules.margins != state.margins:
        raise PermanentFailure(
            f"the rules name margins {rules.margins}, the rollout began with {state.margins}:"
            " a margin's process starts with the first block, keep them for the whole rollout"
        )
    boundary = state.until or state.since
    if block.start < boundary:
        raise PermanentFailure(
            f"block {block.named()} starts before {boundary.isoformat()}, where the last block"
            " or the last weight ended: cut blocks there"
        )
    unknown = sorted(set(block.counts) - set(state.metrics))
    if unknown:
        raise PermanentFailure(
            f"block {block.named()} counts {', '.join(unknown)}, which the judge was not started"
            f" with (it has {', '.join(state.metrics)})"
        )


def _seen(rules: JudgeRules, name: str, block: Block) -> dict[str, object]:
    """What a metric knows of an arm that nobody scraped is as old as the last scrape of it."""
    if dark := dark_arms(block, name, rules):
        return {"dark": dark}
    return {"dark": (), "seen": block.end} if name in block.counts else {}


def _observe_metric(
    metric: MetricState, rules: JudgeRules, bet: ShareBet, name: str, block: Block
) -> MetricState:
    counts, seen = block.counts.get(name), _seen(rules, name, block)
    if counts is None:
        return metric.model_copy(update=seen)
    recent = metric.recent.observe(counts)
    update: dict[str, object] = {
        "step": metric.step + counts,
        "rollout": metric.rollout + counts,
        "recent": recent,
    } | seen
    if rules.control_arm:
        update |= _compared(metric, rules, counts)
        update |= _regression(metric, rules, bet, name, block)
        update |= _stable_known(metric.good, recent, rules.limits.get(name), counts)
    if (limit := rules.limits.get(name)) is not None:
        within = FloorBet(limit)
        update["limit"] = within.observe(metric.limit or within.start(), counts)
    if (bar := rules.bar(name)) is not None and bar != limit:
        over = FloorBet(bar)
        update["bar"] = over.observe(metric.bar or over.start(), counts)
    if (floor := rules.floors.get(name)) is not None:
        above = FloorBet(floor)
        wealth = above.observe(metric.floor or above.start(), counts)
        update |= {"floor": wealth, "floor_peak": max(metric.floor_peak, above.evidence(wealth))}
    return metric.model_copy(update=update)


def _regression(
    metric: MetricState, rules: JudgeRules, bet: ShareBet, name: str, block: Block
) -> dict[str, object]:
    """The evidence at the limit and at every edge, and whether any of it rose."""
    worse, how = _worse(metric, rules, bet, name, block)
    edges = _edges(metric, bet, name, block)
    update: dict[str, object] = {"worse": worse, "edges": edges} | how
    if metric.against is not None:
        known = {edge.edge: edge.worse for edge in metric.edges}
        pairs = [(metric.worse, worse)]
        pairs += [(known.get(edge.edge, bet.start()), edge.worse) for edge in edges]
        rose = any(_rose(bet, old, new) for old, new in pairs)
        update["against"] = metric.against + rose
    return update


def _rose(bet: ShareBet, old: Wealth, new: Wealth) -> bool:
    return new is not old and bet.evidence(new) > bet.evidence(old) * RISEN


def _compared(metric: MetricState, rules: JudgeRules, counts: Counts) -> dict[str, object]:
    return {
        "ratio": observe_ratio(metric.ratio or start_ratio(), counts),
        "not_worse": tuple(
            non_inferiority_bet(margin).observe(wealth, counts)
            for margin, wealth in zip(rules.margins, metric.not_worse, strict=True)
        ),
    }


def _stable_known(
    good: Counts, recent: Recent, limit: float | None, counts: Counts
) -> dict[str, object]:
    """What the old revision will have been known like when it serves no more."""
    if counts.stable_requests == 0:
        return {}
    if limit is None:
        return {"good": good + counts}
    if clearly_over(recent.stable_requests, recent.stable_bad, limit):
        return {"stable_over": True}
    return {"stable_over": False, "good": good + counts}


def _worse(
    metric: MetricState, rules: JudgeRules, bet: ShareBet, name: str, block: Block
) -> tuple[Wealth, dict[str, object]]:
    """By pods where they vote, else by arms: which of both depends on the requests alone."""
    counts, pods = block.counts[name], block.pods
    bad = pods.canary_bad.get(name) if pods is not None else None
    if pods is None or bad is None or not rules.pod_votes or not several(pods):
        return bet.observe(metric.worse, counts), {}
    if not equal_traffic(pods):
        return bet.observe(metric.worse, counts), {"unequal": metric.unequal + 1}
    worse = bet.multiply(metric.worse, pod_factors(pods, bad, counts, rules.rho0))
    return worse, {"voted": metric.voted + 1}


def _edges(metric: MetricState, bet: ShareBet, name: str, block: Block) -> tuple[EdgeState, ...]:
    """Every edge's bet; edges join before the metric's first evidence or not at all."""
    histogram = block.histograms.get(name)
    if histogram is None:
        return metric.edges
    counts, edges = block.counts[name], metric.edges
    if not edges and metric.worse.blocks == 0:
        edges = tuple(EdgeState(edge=edge, worse=bet.start()) for edge in histogram.edges)
    above = {
        edge: (canary, stable)
        for edge, canary, stable in zip(
            histogram.edges, histogram.canary_above, histogram.stable_above, strict=True
        )
    }
    return tuple([_edge(state, bet, counts, above.get(state.edge)) for state in edges])


def _edge(
    state: EdgeState, bet: ShareBet, counts: Counts, above: tuple[int, int] | None
) -> EdgeState:
    if above is None:
        return state
    slower = Counts(
        canary_requests=counts.canary_requests,
        canary_bad=above[0],
        stable_requests=counts.stable_requests,
        stable_bad=above[1],
    )
    return EdgeState(
        edge=state.edge,
        worse=bet.observe(state.worse, slower),
        rollout=state.rollout + slower,
    )
