"""Whether an observation asks what its plan says: compared before anybody is judged by it.

Who hands an observation over may be anybody who can start a workflow; the plan is the one that
was approved with the bundle.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from domain.canary import judge_rules, known_of_stable
from domain.judge.known import LastKnown
from domain.judge.rules import JudgeRules
from domain.load import lasts, rules_under_load
from domain.plan import ServicePlan
from domain.steps import ObserveStep

# Shares are written as percentages and read again; their last digits are nobody's choice.
SAME = 1e-9
# The judge's own choices, which no plan makes: a rollout that began before there was one keeps the
# rules' default (`JudgeRules`: "those of records that lack a field").
BEGUN_BEFORE = (
    *("stakes", "min_voted_blocks", "suspect_blocks", "excused", "warmed"),
    "stale_after",
)
# Of a step whose declared load was sent: its deadline is the load's end (`rules_under_load`).
UNDER_LOAD = ("deadline", "extensions", "on_quiet")
# What stable was like is counted and not planned: compared with the judge's state (`_known`).
COUNTED = ("last_known",)


def unplanned(step: ObserveStep, plan: ServicePlan, *, stored: bool = False) -> tuple[str, ...]:
    """What of an observation is not the plan's: `what: given ..., the plan says ...` for each.

    `stored`: the step of a record. There `stale_after` may be longer, since the worker waits as
    long as its source of metrics needs, which no plan says.
    """
    return tuple(_differences(step, plan, stored=stored))


def raised_bars(step: ObserveStep) -> dict[str, LastKnown]:
    """By which metrics stable is said to have been over the limit, and the step's state cannot say.

    Only those raise the bar over the plan's limit; the watch begins without the canary's state.
    """
    known = step.rules.last_known
    return {} if _counted(step) else {name: one for name, one in known.items() if one.over}


def unheard_of(step: ObserveStep, earlier: Iterable[ObserveStep]) -> tuple[str, ...]:
    """Raised bars that no earlier look of the release at 100 % counted by its own state."""
    release = step.target.release_id
    looks = [_counted(one) for one in earlier if one.target.release_id == release]
    return tuple(
        f"last_known.{name}: given {known!r}, and no stored verdict of {release} counted that"
        for name, known in raised_bars(step).items()
        if all(counted.get(name) != known for counted in looks)
    )


def _differences(step: ObserveStep, plan: ServicePlan, *, stored: bool) -> Iterator[str]:
    if step.weight not in (*plan.canary.steps, 100):
        yield _told("weight", step.weight, list(plan.canary.steps))
    asked = {"slow_above": plan.limits.p95, "metrics": plan.metrics, "block": plan.pace.block}
    for name, planned in asked.items():
        if getattr(step, name) != planned:
            yield _told(name, getattr(step, name), planned)
    given, rules = step.rules, _planned(step, plan)
    for name in JudgeRules.model_fields:
        value, planned = getattr(given, name), getattr(rules, name)
        if name in COUNTED or _same(value, planned) or _began_before(name, value):
            continue
        if stored and name == "stale_after" and value > planned:
            continue
        if _is_baseline_of_stable(name, step):
            continue
        yield _told(name, value, planned)
    yield from _known(step)


def _planned(step: ObserveStep, plan: ServicePlan) -> JudgeRules:
    """The plan's rules of this step, with the deadline of its load if that was sent."""
    rules = judge_rules(plan, step.weight, has_stable=step.target.stable is not None)
    load, end = plan.canary.load, step.rules.deadline
    if load is None or not lasts(plan, load, step.weight) <= end <= step.ends_at - step.since:
        return rules
    under_load = rules_under_load(rules, end)
    is_sent = all(getattr(step.rules, one) == getattr(under_load, one) for one in UNDER_LOAD)
    return under_load if is_sent else rules


def _began_before(name: str, value: object) -> bool:
    return name in BEGUN_BEFORE and value == JudgeRules.model_fields[name].default


def _is_baseline_of_stable(name: str, step: ObserveStep) -> bool:
    """Whether the baseline is the very revision that the approvers saw as stable."""
    stable = step.target.stable
    return name == "control" and stable is not None and step.baseline == stable.revision


def _known(step: ObserveStep) -> Iterator[str]:
    """What stable is said to have been like against what the judge's state counted of it.

    Less is what rollouts have that began before it was counted: the limit alone is their bar.
    """
    counted = _counted(step)
    if not counted and step.weight == 100 and step.target.stable is not None:
        # The watch begins without the canary's state: see `unheard_of`.
        return
    for name, known in step.rules.last_known.items():
        if counted.get(name) != known:
            yield f"last_known.{name}: given {known!r}, counted of stable {counted.get(name)!r}"


def _counted(step: ObserveStep) -> Mapping[str, LastKnown]:
    """What the judge's state counted of a stable that serves no more."""
    has_been = step.target.stable is not None and step.weight == 100
    return known_of_stable(step.state) if has_been else {}


def _same(given: object, planned: object) -> bool:
    if isinstance(given, float) and isinstance(planned, float):
        return math.isclose(given, planned, rel_tol=SAME)
    if isinstance(given, Mapping) and isinstance(planned, Mapping):
        return given.keys() == planned.keys() and all(
            _same(value, planned[name]) for name, value in given.items()
        )
    return given == planned


def _told(name: str, given: object, planned: object) -> str:
    return f"{name}: given {given}, the plan says {planned}"
