"""A release's story in words and figures, from its state alone; `watch` and `status` show it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from domain.phases import Phase
from domain.quantities import format_duration
from domain.release import ReleaseState, StageRecord

MARKS = {True: "✔", False: "✘", None: "…"}
# What the release's next wake-up means in a phase; elsewhere it is a deadline.
_WAKE_UPS = {
    Phase.SOAK: "earliest end",
    Phase.APPROVAL: "approval expires",
    Phase.WATCH: "watch",
}
ZERO, SECOND = timedelta(0), timedelta(seconds=1)


class Wait(NamedTuple):
    """Something that takes its time: what, how far, of how much, and what that means."""

    what: str
    done: timedelta
    goal: timedelta
    note: str

    @property
    def share(self) -> float:
        """How far it is, from 0 to 1."""
        return min(max(self.done / self.goal, 0.0), 1.0) if self.goal > ZERO else 1.0


class Event(NamedTuple):
    """Something that happened, and when (or when it was seen, where nothing says when)."""

    at: datetime
    text: str


def headline(state: ReleaseState) -> str:
    """Which release, and where it stands."""
    request = state.request
    ended = state.outcome or f"{state.phase}, {state.weight} % of production"
    return f"{request.release_id}  {request.service} {request.commit[:10]}  {ended}"


def stage_line(stage: StageRecord, now: datetime) -> str:
    """One stage: how it went, how long it took, what it said."""
    took = format_duration(rounded((stage.ended_at or now) - stage.started_at))
    return f"{MARKS[stage.ok]} {stage.title} ({took})" + (
        f": {stage.sentence}" if stage.sentence else ""
    )


def waits(state: ReleaseState, now: datetime) -> list[Wait]:
    """A bar for each thing that is waited for now."""
    found = []
    if state.phase is Phase.SOAK and state.soak is not None:
        clock = _clock(state)
        note = f"{state.soak.sentence}{clock}"
        found.append(Wait("soak", state.soak.earned, state.soak.goal, note))
    if state.next_wake_up is not None and not state.is_over:
        what = _WAKE_UPS.get(state.phase, "deadline")
        start = _wait_started(state, state.next_wake_up)
        left = max(state.next_wake_up - now, ZERO)
        note = f"{format_duration(rounded(left))} left{_clock(state)}"
        found.append(Wait(what, now - start, state.next_wake_up - start, note))
    return found


def facts(state: ReleaseState) -> list[str]:
    """What a person should know besides the stages: who is waited for, what did not work."""
    lines = []
    if state.waiting_for and not state.is_over:
        lines.append(f"waiting for {state.waiting_for}")
    if state.paused_by is not None:
        lines.append(f"paused by {state.paused_by.principal}")
    lines += [f"refused: {r.name} by {r.actor}: {r.why}" for r in state.refusals]
    lines += [f"not delivered to the team's channel: {_first_line(t)}" for t in state.undelivered]
    return lines


def changes(before: ReleaseState | None, after: ReleaseState, now: datetime) -> list[Event]:
    """What happened between two looks; everything so far when it is the first."""
    found = [*_stage_changes(before, after, now), *_people_changes(before, after)]
    seen = before.verdicts if before else ()
    found += [
        Event(now, f"{verdict.weight} %: {verdict.verdict} {verdict.sentence}")
        for verdict in after.verdicts[len(seen) :]
    ]
    if after.weight != (before.weight if before else 0):
        found.append(Event(now, f"production: {after.weight} % to the new revision"))
    if after.phase is Phase.SOAK and after.soak and (before is None or before.soak != after.soak):
        found.append(Event(now, f"soak: {after.soak.sentence}"))
    old = set(facts(before)) if before else set()
    found += [Event(now, line) for line in facts(after) if line not in old]
    found = sorted(found, key=lambda event: event.at)
    if after.outcome is not None and (before is None or before.outcome is None):
        found.append(Event(after.ended_at or now, f"{after.outcome}: {after.sentence}"))
    return found


def _people_changes(before: ReleaseState | None, after: ReleaseState) -> Iterator[Event]:
    commands = before.commands if before else ()
    for accepted in after.commands[len(commands) :]:
        proof = "signed" if accepted.verified else "not signed"
        reason = accepted.command.statement.reason
        said = f": {reason}" if reason else ""
        yield Event(accepted.at, f"{accepted.command.name} by {accepted.principal} ({proof}){said}")


def _stage_changes(
    before: ReleaseState | None, after: ReleaseState, now: datetime
) -> Iterator[Event]:
    old = before.stages if before else ()
    for number, stage in enumerate(after.stages):
        known = old[number] if number < len(old) else None
        if known is None and stage.ended_at is None:
            yield Event(stage.started_at, f"▶ {stage.title}")
        elif stage.ended_at is not None and known != stage:
            yield Event(stage.ended_at, stage_line(stage, now))
    if _says_something_new(before, after):
        yield Event(now, f"  {after.sentence}")


def _says_something_new(before: ReleaseState | None, after: ReleaseState) -> bool:
    """Whether the present sentence is told by nothing else."""
    told = {stage.sentence for stage in after.stages} | {v.sentence for v in after.verdicts}
    told |= {before.sentence} if before else set()
    told |= {after.soak.sentence} if after.soak else set()
    return after.outcome is None and after.sentence not in (told | {""})


def rounded(length: timedelta) -> timedelta:
    """Whole seconds from ten seconds on, tenths below: what a person reads off."""
    if length >= 10 * SECOND:
        return timedelta(seconds=round(length.total_seconds()))
    return timedelta(seconds=round(length.total_seconds(), 1))


def _wait_started(state: ReleaseState, until: datetime) -> datetime:
    """When the present wait began; the state only says when it ends."""
    plan = state.request.plan
    pace = plan.pace
    longest = {
        Phase.APPROVAL: plan.approval.expires,
        Phase.WATCH: pace.watch,
        Phase.CANARY: pace.step_deadline * (1 + plan.canary.extensions),
    }.get(state.phase, ZERO)
    began = state.stages[-1].started_at if state.stages else state.started_at
    return max(began, until - longest) if longest else began


def _clock(state: ReleaseState) -> str:
    rehearsal = state.request.plan.rehearsal
    clock = {
        Phase.SOAK: rehearsal.soak,
        Phase.CANARY: rehearsal.canary,
        Phase.WATCH: rehearsal.canary,
    }.get(state.phase)
    if clock is None or clock.planned == clock.real:
        return ""
    return f" (rehearsal clock {clock})"


def _first_line(text: str) -> str:
    return text.splitlines()[0] if text else ""
