"""A release's story in words and figures, from its state alone; `watch` and `status` show it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from domain.commands import RefusedCommand
from domain.holds import Hold
from domain.phases import Phase
from domain.quantities import format_duration
from domain.release import ReleaseState, StageRecord, StepVerdict
from domain.soak import SoakProgress

MARKS = {True: "✔", False: "✘", None: "…"}
# What the release's next wake-up means in a phase; elsewhere it is a deadline.
_WAKE_UPS = {
    Phase.APPROVAL: "approval expires",
    Phase.WATCH: "watch",
}
# The judge's sentences begin with the verdict in words, which stands before them already.
VERDICT_WORDS = {"PROMOTE": "Promoted", "ROLL_BACK": "Rolled back"}
ZERO, SECOND, MINUTE, HOUR = (timedelta(seconds=n) for n in (0, 1, 60, 3600))
WORTH_TELLING = timedelta(seconds=0.1)


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


def headline(state: ReleaseState) -> str:
    """Which release, and where it stands."""
    request = state.request
    ended = state.outcome or f"{state.phase}, {state.weight} % of production"
    return f"{request.release_id}  {request.service} {request.commit[:10]}  {ended}"


def stage_line(stage: StageRecord, now: datetime, clock: str = "") -> str:
    """One stage: how it went, how long it took, and on which `clock`."""
    took = (stage.ended_at or now) - stage.started_at
    length = format_duration(rounded(took)) if took >= WORTH_TELLING else ""
    noted = ", ".join(filter(None, (length, clock)))
    return f"{MARKS[stage.ok]} {stage.title}{f' ({noted})' if noted else ''}"


def verdict_line(verdict: StepVerdict) -> str:
    """What the judge said, its sentence's first words being the verdict itself."""
    word, sentence = verdict.verdict, verdict.sentence
    rest = sentence.removeprefix(VERDICT_WORDS.get(word, word))
    return f"{verdict.weight} %: {word}{f': {sentence}' if rest == sentence else rest}"


def verdicts_of(state: ReleaseState, phase: Phase) -> tuple[StepVerdict, ...]:
    """The verdicts of a stage: weights rise in the canary, what comes after 100 % is the watch."""
    weights = [verdict.weight for verdict in state.verdicts]
    steps = weights.index(100) + 1 if 100 in weights else len(weights)
    of_phase = {Phase.CANARY: state.verdicts[:steps], Phase.WATCH: state.verdicts[steps:]}
    return of_phase.get(phase, ())


def soak_sentence(soak: SoakProgress) -> str:
    """What is earned, in rounded figures, and never all of it before it is."""
    fraction = soak.earned % SECOND if soak.earned >= SECOND else ZERO
    return soak.with_(earned=rounded(soak.earned - fraction), goal=rounded(soak.goal)).sentence


def waits(state: ReleaseState, now: datetime) -> list[Wait]:
    """A bar for each thing that is waited for now."""
    if state.is_over:
        return []
    until, soak = state.next_wake_up, state.soak
    left = f"{format_duration(rounded(max(until - now, ZERO)))} left" if until else ""
    if state.phase is Phase.SOAK and soak is not None:
        # Only healthy time counts, so that its end moves.
        note = ", at the earliest ".join(filter(None, (soak_sentence(soak), left)))
        return [Wait("soak", soak.earned, soak.goal, note)]
    if until is None:
        return []
    start = _wait_started(state, until)
    return [Wait(_WAKE_UPS.get(state.phase, "deadline"), now - start, until - start, left)]


def present_sentence(state: ReleaseState) -> str:
    """What goes on right now, unless a wait says the same."""
    told_by_wait = state.phase is Phase.SOAK or state.sentence.startswith("waiting for ")
    return "" if told_by_wait or state.is_over else state.sentence


def facts(state: ReleaseState) -> list[str]:
    """What a person should know besides the stages: who is waited for, what did not work."""
    lines = []
    if state.waiting_for and not state.is_over:
        lines.append(f"waiting for {state.waiting_for}")
    if state.held is not None and not state.is_over:
        lines.append(held_line(state.held))
    if state.paused_by is not None and not state.is_over:
        lines.append(f"paused by {state.paused_by.principal}")
    if not state.is_over:
        lines += state.request.plan.gates.told
    lines += [note.words for note in state.gate_notes]
    lines += [refusal_line(refused) for refused in state.refusals]
    if state.undelivered:
        lines.append(undelivered_line(state))
    return lines


def held_line(held: Hold) -> str:
    """Since when it holds, and what a person can do about it."""
    since = f"{held.since.astimezone():%H:%M:%S}"
    can = "nobody can promote it" if held.is_blind else "a release manager can promote it"
    return f"held at {held.weight} % since {since} ({held.reason.replace('_', ' ')}): {can}"


def refusal_line(refused: RefusedCommand) -> str:
    """A command that did not count, and why."""
    return f"refused: {refused.name} by {refused.actor}: {refused.why}"


def undelivered_line(state: ReleaseState) -> str:
    """How much of the story did not reach the team's channel; here all of it is told anyway."""
    messages = len(state.undelivered)
    many = "1 message was" if messages == 1 else f"{messages} messages were"
    return f"{many} not delivered to the team's channel; `tidegate doctor` says what is wrong"


def rounded(length: timedelta) -> timedelta:
    """What a person reads off: tenths below a second, then seconds, minutes from an hour on."""
    seconds = length.total_seconds()
    if seconds < 1:
        return timedelta(seconds=round(seconds, 1))
    unit = MINUTE if length >= HOUR else SECOND
    return round(length / unit) * unit


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


def rehearsal_clock(state: ReleaseState, phase: Phase) -> str:
    """By how much a phase is shortened, where it is."""
    rehearsal = state.request.plan.rehearsal
    clock = {
        Phase.SOAK: rehearsal.soak,
        Phase.CANARY: rehearsal.canary,
        Phase.WATCH: rehearsal.canary,
    }.get(phase)
    if clock is None or clock.planned == clock.real:
        return ""
    return f"rehearsal clock {clock}"
