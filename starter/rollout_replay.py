"""Recomputing what `tidegate judge observe --record` kept; `judge replay` shows it."""

from __future__ import annotations

from dataclasses import dataclass

from domain.errors import PermanentFailure
from domain.observed_rollout import ObservedRollout, RecomputedRollout, recompute_rollout, would
from domain.selectors import written


@dataclass(frozen=True)
class ReplayedRollout:
    """One watched rollout, recomputed."""

    origin: str
    record: ObservedRollout
    again: RecomputedRollout

    @property
    def differences(self) -> tuple[str, ...]:
        """What the stored answers do not share with the recomputed ones."""
        return self.again.differences


def replayed(origin: str, record: ObservedRollout) -> ReplayedRollout:
    """Recompute every answer; PermanentFailure when the blocks do not fit."""
    try:
        return ReplayedRollout(origin, record, recompute_rollout(record))
    except PermanentFailure as failure:
        raise PermanentFailure(f"{origin} cannot be recomputed: {failure}") from failure


def lines(one: ReplayedRollout) -> list[str]:
    """What was watched, each answer as recomputed, and every difference."""
    watched = one.record.watched
    told = [
        f"{one.origin}: {written(watched.canary)} beside {written(watched.stable)} in"
        f" {watched.namespace} at {watched.weight} %, {len(one.record.blocks)} blocks:"
        f" {'DIFFERS' if one.differences else 'as stored'}"
    ]
    told += [
        f"  after {answer.blocks} blocks: {would(answer.judgement)}" for answer in one.again.answers
    ]
    return told + [f"  {difference}" for difference in one.differences]


def as_json(one: ReplayedRollout) -> dict[str, object]:
    """The same for a program."""
    watched = one.record.watched
    return {
        "record": one.origin,
        "canary": written(watched.canary),
        "stable": written(watched.stable),
        "namespace": watched.namespace,
        "weight": watched.weight,
        "blocks": len(one.record.blocks),
        "verdict": one.record.verdict,
        "answers": [answer.model_dump(mode="json") for answer in one.again.answers],
        "differences": list(one.differences),
    }
