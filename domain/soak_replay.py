"""A past soak under another plan: enough, too little, or not knowable."""

from __future__ import annotations

from datetime import timedelta

from domain.plan import ServicePlan
from domain.quantities import format_duration
from domain.records import Record
from domain.soak import SoakRecord


class RejudgedSoak(Record):
    """What the new plan makes of the stored soak; `enough` None: nobody can know."""

    enough: bool | None
    sentence: str


def soak_under(stored: SoakRecord, old: ServicePlan | None, new: ServicePlan) -> RejudgedSoak:
    """Hold the stored record against the new plan; of its windows only the sums are stored."""
    if stored.skipped_by is not None:
        why = f"skipped by {stored.skipped_by}: {stored.skip_reason}"
        return RejudgedSoak(enough=None, sentence=f"{why}; it earned nothing to compare")
    earned, goal = _planned(stored.progress.earned, new), new.soak.duration
    told = f"{format_duration(earned)} of {format_duration(goal)} healthy time earned"
    stricter = _stricter(stored, old, new)
    if stricter:
        unknown = f"{' and '.join(stricter)} changed, and its windows are not stored one by one"
        return RejudgedSoak(
            enough=None, sentence=f"{told} by the old plan; not knowable: {unknown}"
        )
    if earned >= goal:
        return RejudgedSoak(enough=True, sentence=told)
    missing = format_duration(goal - earned)
    unknown = "whether that time would have been healthy, no record says"
    return RejudgedSoak(enough=False, sentence=f"{told}: {missing} more had been asked; {unknown}")


def _planned(real: timedelta, plan: ServicePlan) -> timedelta:
    """Real time as the plan counts it, to the second."""
    clock = plan.rehearsal.soak
    return timedelta(seconds=round((real * (clock.planned / clock.real)).total_seconds()))


def _stricter(stored: SoakRecord, old: ServicePlan | None, new: ServicePlan) -> list[str]:
    """What decides about single windows and is another than it was."""
    found = []
    if stored.progress.unhealthy and stored.plan.on_unhealthy != new.soak.on_unhealthy:
        found.append("on_unhealthy")
    if stored.plan.least_requests < new.soak.least_requests:
        found.append("min_requests")
    if old is not None and old.limits != new.limits:
        found.append("limits")
    return found
