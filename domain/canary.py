"""From a plan to the judge's rules for one step."""

from __future__ import annotations

from domain.judge.known import LastKnown
from domain.judge.rules import JudgeRules, OnQuiet, PromoteBy, Stakes, margin_for
from domain.judge.state import JudgeState
from domain.plan import ServicePlan

ERRORS, SLOW, RESTARTS = "errors", "slow", "restarts"
METRICS = (ERRORS, SLOW, RESTARTS)

# "P95 <= 500 ms" says that at most 5 % of requests may be slower.
SLOW_SHARE = 0.05
# A young pod is slow before its caches are filled; requests that fail in it fail for users.
WARMED = (SLOW,)
# Pods that agree may decide earlier than arms (3 blocks), never on one scrape.
MIN_VOTED_BLOCKS = 2
# One bad block is no suspicion: a quiet service has it by chance in one of ten rollouts.
SUSPECT_BLOCKS = 2
# It brings less at 10 % of the traffic, and one bad event at 5 %. Pods that agree, and a canary of
# 1 %, bring more: before that is promoted without a proof, a person looks at it.
EXCUSED = 10.0
# A shortened clock must not take a slow scrape for silence.
SILENT_BLOCKS = 6


def judge_rules(
    plan: ServicePlan,
    weight: int,
    *,
    has_stable: bool,
    last_known: dict[str, LastKnown] | None = None,
) -> JudgeRules:
    """Rules of one step; at 100 % or without a stable there is nothing to compare with.

    Then `last_known` says what the old revision was like when it was compared.
    """
    pace, steps = plan.pace, plan.canary.steps
    compared = has_stable and weight < 100
    return JudgeRules(
        alpha=plan.canary.alpha,
        beta=plan.canary.beta,
        rho0=plan.canary.tolerance,
        margin=margin_for(weight),
        margins=tuple(sorted({margin_for(step) for step in (*steps, weight)}, reverse=True)),
        limits={ERRORS: plan.limits.errors, SLOW: SLOW_SHARE},
        floors={metric: plan.canary.floors[metric] for metric in sorted(plan.canary.floors)},
        min_bake=pace.min_bake,
        deadline=pace.step_deadline,
        stale_after=max(pace.step_deadline / 5, SILENT_BLOCKS * pace.block),
        extensions=plan.canary.extensions,
        min_requests=plan.canary.min_requests,
        on_quiet=OnQuiet(plan.canary.on_quiet),
        promote=PromoteBy(plan.canary.promote),
        control_arm=compared,
        last_known={} if compared else last_known or {},
        pod_votes=plan.canary.pod_votes,
        warm_up=pace.warm_up,
        warmed=WARMED,
        min_voted_blocks=MIN_VOTED_BLOCKS,
        suspect_blocks=SUSPECT_BLOCKS,
        excused=EXCUSED,
        stakes=Stakes.counted,
    )


def known_of_stable(state: JudgeState | None) -> dict[str, LastKnown]:
    """What stable was last known like, per metric; nothing where it had no requests.

    While it was within the limit, or, where it was not in the end, while it was over it.
    """
    found = {}
    for name, metric in state.metrics.items() if state is not None else ():
        good, whole = metric.good, metric.rollout
        requests, bad = good.stable_requests, good.stable_bad
        if metric.stable_over:
            requests, bad = whole.stable_requests - requests, whole.stable_bad - bad
        if requests > 0:
            found[name] = LastKnown(requests=requests, bad=bad, over=metric.stable_over)
    return found
