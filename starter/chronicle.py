"""Everything that a release's state says, as lines in the order of time; each fact is one line."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from domain.commands import AcceptedCommand, CommandName
from domain.phases import Phase
from domain.quantities import format_duration
from domain.release import ReleaseState, StageRecord
from starter.story import (
    held_line,
    present_sentence,
    refusal_line,
    rehearsal_clock,
    rounded,
    soak_sentence,
    stage_line,
    undelivered_line,
    verdict_line,
    verdicts_of,
)

INDENT = "  "
# Of the soak's bar: more often would be a line per window.
QUARTERS = 4
_UNTIL = {
    Phase.SOAK: "at the earliest until",
    Phase.APPROVAL: "expires",
    Phase.WATCH: "until",
}


class Line(NamedTuple):
    """One fact: what it is, when it happened (None: nothing says when), and its words.

    `sentence` follows the lead unless another line has told it; `covers` are sentences that need
    not be told after this line.
    """

    key: tuple[object, ...]
    at: datetime | None
    lead: str
    sentence: str = ""
    covers: tuple[str, ...] = ()


def chronicle(state: ReleaseState, now: datetime) -> Iterator[Line]:
    """The story so far; what is going on at present comes last, at `now`."""
    request = state.request
    who = f"{request.service} {request.commit[:10]}, started by {request.started_by}"
    yield Line(("start",), state.started_at, f"{request.release_id}: {who}")
    for number in range(len(state.stages)):
        yield from _stage(state, number, now)
    if state.undelivered:
        key = ("undelivered", len(state.undelivered))
        yield Line(key, state.ended_at or now, undelivered_line(state))
    if state.outcome is None:
        yield from _present(state, now)
        return
    ended_at = state.ended_at or now
    took = format_duration(rounded(ended_at - state.started_at))
    yield Line(("outcome",), ended_at, f"{state.outcome} after {took}", state.sentence)


def _stage(state: ReleaseState, number: int, now: datetime) -> Iterator[Line]:
    stage = state.stages[number]
    said = list(_said_in(state, number))
    inside = [*_course(state, stage, now), *(one for one in said if _is_within(one, stage))]
    if inside or stage.ended_at is None:
        clock = rehearsal_clock(state, stage.phase)
        opened = f"▶ {stage.title}{f' ({clock})' if clock else ''}"
        yield Line(("open", number), stage.started_at, opened)
    yield from inside
    if stage.ended_at is not None:
        key = ("end", number, stage.ended_at)
        yield Line(key, stage.ended_at, stage_line(stage, now), stage.sentence)
    elif stage.sentence:
        # It ended without a result, and is tried again: it holds.
        yield Line(("held", number, stage.sentence), now, f"… {stage.title}", stage.sentence)
    yield from (one for one in said if not _is_within(one, stage))


def _course(state: ReleaseState, stage: StageRecord, now: datetime) -> Iterator[Line]:
    """What only some stages have: weights and verdicts, or earned time."""
    soak = state.soak
    if stage.phase is Phase.SOAK and state.phase is Phase.SOAK and soak is not None:
        quarter = int(QUARTERS * (soak.earned / soak.goal))
        if quarter or soak.unhealthy:
            key = ("soak", quarter, soak.unhealthy, soak.resets)
            yield Line(key, now, f"{INDENT}{soak_sentence(soak)}", covers=(soak.sentence,))
    for number, verdict in enumerate(verdicts_of(state, stage.phase)):
        if stage.phase is Phase.CANARY:
            yield _weight(verdict.weight)
        told = f"{INDENT}{verdict_line(verdict)}"
        yield Line(("verdict", stage.phase, number), None, told, covers=(verdict.sentence,))
    if stage.phase is Phase.CANARY and state.weight:
        is_present = state.phase is Phase.CANARY
        yield _weight(
            state.weight, now if is_present else None, state.sentence if is_present else ""
        )
    if stage.phase is Phase.ROLLBACK and state.is_over and state.verdicts and not state.weight:
        yield _weight(0, state.ended_at)


def _weight(weight: int, at: datetime | None = None, sentence: str = "") -> Line:
    return Line(("weight", weight), at, f"{INDENT}{weight} % to the new revision", sentence)


def _said_in(state: ReleaseState, number: int) -> Iterator[Line]:
    """What people said from this stage's start to the next one's."""
    start = state.stages[number].started_at if number else None
    later = state.stages[number + 1 :]
    end = later[0].started_at if later else None
    for line in sorted(_people(state), key=lambda line: line.at or state.started_at):
        at = line.at or state.started_at
        if (start is None or at >= start) and (end is None or at < end):
            yield line


def _people(state: ReleaseState) -> Iterator[Line]:
    for number, accepted in enumerate(state.commands):
        proof = "signed" if accepted.verified else "not signed"
        reason = accepted.command.statement.reason
        said = f"{INDENT}{accepted.command.name} by {accepted.principal} ({proof})"
        covers = _restated(state, accepted)
        text = f"{said}: {reason}" if reason else said
        yield Line(("command", number), accepted.at, text, covers=covers)
    for number, note in enumerate(state.gate_notes):
        yield Line(("gate", number), note.at, f"{INDENT}{note.words}", covers=(note.sentence,))
    for number, refused in enumerate(state.refusals):
        yield Line(("refusal", number), refused.at, f"{INDENT}{refusal_line(refused)}")


def _restated(state: ReleaseState, accepted: AcceptedCommand) -> tuple[str, ...]:
    """The sentences in which the workflow says again what a person said."""
    who, reason = accepted.principal, accepted.command.statement.reason
    match accepted.command.name:
        case CommandName.APPROVE:
            return (f"approved by {', '.join(a.principal for a in state.approvals)}",)
        case CommandName.REJECT:
            return (f"rejected by {who}: {reason}",)
        case CommandName.ABORT:
            return (f"aborted by {who}: {reason}",)
        case CommandName.SKIP_SOAK:
            return (f"soak skipped by {who}: {reason}",)
        case _:
            return ()


def _is_within(line: Line, stage: StageRecord) -> bool:
    return stage.ended_at is None or line.at is None or line.at <= stage.ended_at


def _present(state: ReleaseState, now: datetime) -> Iterator[Line]:
    if sentence := present_sentence(state):
        yield Line(("said", state.phase, sentence), now, INDENT, sentence)
    if state.held is not None:
        yield Line(("hold", state.held.name), state.held.since, f"{INDENT}{held_line(state.held)}")
    if state.waiting_for:
        key = ("waiting", state.phase, state.waiting_for)
        yield Line(key, now, f"{INDENT}waiting for {state.waiting_for}{_until(state, now)}")


def _until(state: ReleaseState, now: datetime) -> str:
    if state.next_wake_up is None:
        return ""
    until = state.next_wake_up.astimezone()
    day = "" if until.date() == now.astimezone().date() else f"{until:%Y-%m-%d} "
    return f", {_UNTIL.get(state.phase, 'deadline')} {day}{until:%H:%M:%S}"
