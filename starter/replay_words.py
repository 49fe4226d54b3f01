"""What `tidegate replay` says of a release, in words for a person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from domain.judge.verdict import Verdict
from domain.policy import Violation
from domain.quantities import format_duration
from domain.rejudge import Change, RejudgedStep, Spoken, Totals, ended_well
from starter.story import rounded

if TYPE_CHECKING:
    from starter.replay import Replayed

DEEP = " " * 9
_STILL = (
    "the old rule stopped here; the new one would still have been holding: what came after is not "
    "stored"
)
_GAINED_GOOD = "by hindsight a false rollback: the release was watched to its end and found good"


def lines_of(one: Replayed) -> Iterator[str]:
    """One release: its plan under the policy, every step old and new, its soak."""
    good = ended_well(one.steps)
    yield f"{one.release}  {one.revision}{'  (ended well)' if good else ''}"
    if one.judged.raised:
        yield f"  refused as planned: {_told(one.judged.raised)}; judged as if raised to that"
    if one.judged.left:
        yield f"  refused as planned: {_told(one.judged.left)}; judged as it was"
    for step in one.steps:
        yield from _step(step, good=good)
    soak = one.soak.sentence if one.soak else "its record is not stored with these"
    yield f"  {'soak':<7}{soak}"


def totals_line(totals: Totals) -> str:
    """How much changed in all, what matters most first."""
    counted = ", ".join(f"{count} {change}" for change, count in totals.changes.items())
    line = (
        f"{_many(totals.releases, 'release')}, {_many(totals.verdicts, 'verdict')}: "
        f"{totals.changed} changed ({counted})"
    )
    if totals.false_by_hindsight:
        line += f"; {_many(totals.false_by_hindsight, 'rollback')} of releases that ended well"
    return line


def _step(step: RejudgedStep, *, good: bool) -> Iterator[str]:
    name = "watch" if step.watch else f"{step.weight} %"
    supposing = " (supposing it had gone on as it did)" if step.supposing else ""
    yield f"  {name:<7}{step.change}{supposing}"
    if not step.recomputes:
        yield f"{DEEP}its record is not what its own rules give: see tidegate judge replay"
    if step.change is Change.SAME:
        yield f"{DEEP}{_said(step.old, step)}"
    else:
        yield f"{DEEP}was {_said(step.old, step)}"
        if step.new is not None:
            yield f"{DEEP}now {_said(step.new, step)}"
    if step.new is not None and _stopped(step):
        yield f"{DEEP}{_STILL}"
    if step.change is Change.ROLLBACK_GAINED and good:
        yield f"{DEEP}{_GAINED_GOOD}"
    yield from (f"{DEEP}not knowable: {why}" for why in step.unknown)


def _stopped(step: RejudgedStep) -> bool:
    ended = step.old.judgement.verdict is not Verdict.HOLD
    return ended and step.new is not None and step.new.judgement.verdict is Verdict.HOLD


def _said(spoken: Spoken, step: RejudgedStep) -> str:
    judgement = spoken.judgement
    length = format_duration(rounded(judgement.elapsed))
    where = f"after {length}, block {spoken.block} of {step.blocks}"
    return f"{judgement.verdict} ({judgement.reason}) {where}: {judgement.sentence}"


def _told(violations: tuple[Violation, ...]) -> str:
    return "; ".join(f"{'.'.join(one.where)} {one.what}" for one in violations)


def _many(count: int, what: str) -> str:
    return f"1 {what}" if count == 1 else f"{count} {what}s"
