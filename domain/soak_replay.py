"""A past soak under another plan: enough, too little, or not knowable."""

from __future__ import annotations

from datetime import timedelta

from domain.plan import ServicePlan
from domain.quantities import format_duration
from domain.records import Record
from domain.soak import SoakProgress, SoakRecord, SoakWindow
from domain.soak_plan import SoakPlan
from domain.soak_rejudge import Asked, rejudged
from domain.soak_windows import NOT_KNOWN, NOTHING, Finding, SoakStretch

NO_RECORD = "whether that time would have been healthy, no record says"


class RejudgedSoak(Record):
    """What the new plan makes of the stored soak; `enough` None: nobody can know."""

    enough: bool | None
    sentence: str


def soak_under(stored: SoakRecord, old: ServicePlan | None, new: ServicePlan) -> RejudgedSoak:
    """Hold the stored record against the new plan: window by window where the rules are others."""
    if stored.skipped_by is not None:
        why = f"skipped by {stored.skipped_by}: {stored.skip_reason}"
        return RejudgedSoak(enough=None, sentence=f"{why}; it earned nothing to compare")
    changed = _changed(stored, old, new)
    if changed and stored.progress.stretches:
        return _by_windows(stored, old, new, changed)
    told = _earned(stored.progress.earned, new)
    if stricter := _stricter(stored, new, changed):
        unknown = f"{' and '.join(stricter)} changed, and its windows are not stored one by one"
        return RejudgedSoak(
            enough=None, sentence=f"{told} by the old plan; not knowable: {unknown}"
        )
    return _compared(_planned(stored.progress.earned, new), new, told)


def _compared(earned: timedelta, new: ServicePlan, told: str) -> RejudgedSoak:
    if earned >= new.soak.duration:
        return RejudgedSoak(enough=True, sentence=told)
    missing = format_duration(new.soak.duration - earned)
    return RejudgedSoak(
        enough=False, sentence=f"{told}: {missing} more had been asked; {NO_RECORD}"
    )


def _by_windows(
    stored: SoakRecord, old: ServicePlan | None, new: ServicePlan, changed: list[str]
) -> RejudgedSoak:
    """Count every stored window again as the new plan does, until it has what it asks."""
    asked = Asked(stored.plan, None if old is None else old.limits, new.soak, new.limits)
    rules = f"with the new {' and '.join(changed)}{_cut(stored.plan, new.soak)}"
    progress = SoakProgress(goal=new.pace.soak)
    for stretch in stored.progress.stretches:
        if progress.is_earned or progress.drift or progress.elapsed >= new.pace.soak_deadline:
            break
        finding, why = rejudged(stretch, asked)
        after = None if finding is None else progress.add(
            _window(stretch, finding), new.soak.on_unhealthy
        )  # fmt: skip
        if after is not None and _is_cut_by_deadline(stretch, after, new):
            after, why = None, f"windows that were joined reach over the deadline {rules}"
        if after is None:
            told = _earned(stored.progress.earned, new)
            return RejudgedSoak(
                enough=None, sentence=f"{told} by the old plan; not knowable {rules}: {why}"
            )
        progress = after
    return _concluded(progress, new, rules)


def _concluded(progress: SoakProgress, new: ServicePlan, rules: str) -> RejudgedSoak:
    told = f"{_earned(progress.earned, new)} {rules}"
    elapsed = format_duration(_planned(progress.elapsed, new))
    if progress.is_earned:
        return RejudgedSoak(enough=True, sentence=f"{told}, after {elapsed}")
    if progress.drift:
        return RejudgedSoak(enough=False, sentence=f"{told}: {progress.drift}")
    if progress.elapsed >= new.pace.soak_deadline:
        deadline = format_duration(new.soak.deadline)
        return RejudgedSoak(enough=False, sentence=f"{told}: given up after {deadline}")
    told = f"{told} when the old soak ended, after {elapsed}"
    return _compared(_planned(progress.earned, new), new, told)


def _is_cut_by_deadline(stretch: SoakStretch, after: SoakProgress, new: ServicePlan) -> bool:
    """Whether it cannot be told if the goal or the deadline came first inside joined windows."""
    return stretch.windows > 1 and after.is_earned and after.elapsed > new.pace.soak_deadline


def _window(stretch: SoakStretch, finding: Finding) -> SoakWindow:
    """The stretch as one window: sums of alike windows count as the windows do."""
    unknown = stretch.unknown
    if finding is not stretch.finding:
        known = stretch.known if stretch.known is not None else stretch.length
        unknown = max(stretch.length - known, NOTHING) if finding is Finding.HEALTHY else NOTHING
    return SoakWindow(
        length=stretch.length,
        healthy=finding is Finding.HEALTHY,
        sentence=stretch.sentence,
        unknown=stretch.length if finding in NOT_KNOWN else unknown,
        drift=stretch.sentence if finding is Finding.DRIFT else "",
    )


def _cut(old: SoakPlan, new: SoakPlan) -> str:
    return f" (in windows of {format_duration(old.window)})" if old.window != new.window else ""


def _earned(real: timedelta, plan: ServicePlan) -> str:
    told = format_duration(_planned(real, plan))
    return f"{told} of {format_duration(plan.soak.duration)} healthy time earned"


def _planned(real: timedelta, plan: ServicePlan) -> timedelta:
    """Real time as the plan counts it, to the second."""
    clock = plan.rehearsal.soak
    return timedelta(seconds=round((real * (clock.planned / clock.real)).total_seconds()))


def _changed(stored: SoakRecord, old: ServicePlan | None, new: ServicePlan) -> list[str]:
    """What decides about single windows and is another than it was."""
    found, then, now = [], stored.plan, new.soak
    if stored.progress.unhealthy and then.on_unhealthy != now.on_unhealthy:
        found.append("on_unhealthy")
    if then.least_requests != now.least_requests:
        found.append("min_requests")
    if then.probe != now.probe:
        found.append("probe")
    if old is not None and old.limits != new.limits:
        found.append("limits")
    return found


def _stricter(stored: SoakRecord, new: ServicePlan, changed: list[str]) -> list[str]:
    """What of it could have made less of the sums that are stored."""
    fewer = stored.plan.least_requests > new.soak.least_requests
    return [name for name in changed if name != "probe" and not (fewer and name == "min_requests")]
