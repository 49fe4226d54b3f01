"""`tidegate judge replay`: the judge's verdicts, recomputed by an auditor from stored blocks."""

from __future__ import annotations

from dataclasses import dataclass

import settings as configuration
from domain.errors import NotFound, PermanentFailure
from domain.observed import ObservedBlocks, Recomputed, differing, recompute
from domain.plan_rules import unheard_of, unplanned
from starter import rollout_replay
from starter.event_loop import run
from starter.exit_codes import ExitCode
from starter.output import Format, say, say_json
from starter.registries import registry_of
from starter.shelf import Shelf, reference_of


@dataclass(frozen=True)
class Replayed:
    """One verdict, recomputed."""

    origin: str
    record: ObservedBlocks
    again: Recomputed
    differences: tuple[str, ...]


def replay(records: list[str], output: Format) -> ExitCode:
    """Print every verdict as recomputed; UNEXPECTED (1) when one differs from what was stored."""
    shelf = run(_gathered(records))
    replayed = _replayed(shelf)
    rollouts = [rollout_replay.replayed(*one) for one in shelf.rollouts]
    if output is Format.JSON:
        say_json([*map(_as_json, replayed), *map(rollout_replay.as_json, rollouts)])
    else:
        for told in (*map(_lines, replayed), *map(rollout_replay.lines, rollouts)):
            say("\n".join(told))
    differences = [
        *(one.differences for one in replayed),
        *(one.differences for one in rollouts),
    ]
    return ExitCode.UNEXPECTED if any(differences) else ExitCode.OK


async def _gathered(places: list[str]) -> Shelf:
    shelf = Shelf()
    for place in places:
        if "@sha256:" in place:
            # Who names no bundle needs no connection file.
            reference_of(place)
            async with registry_of(configuration.load()) as registry:
                await shelf.fetch(registry, place, all_kinds=True)
        else:
            shelf.put_file(place)
    if not shelf.verdicts and not shelf.rollouts:
        raise NotFound(f"there is no verdict in {', '.join(places)}: give a verdict record as well")
    shelf.sort()
    return shelf


def _replayed(shelf: Shelf) -> list[Replayed]:
    done: list[Replayed] = []
    for origin, record in shelf.verdicts:
        try:
            again = recompute(record, shelf.earlier(origin, record))
        except PermanentFailure as failure:
            raise PermanentFailure(f"{origin} cannot be recomputed: {failure}") from failure
        differences = (*again.differences, *_broken_chain(record, done), *_other(record, shelf))
        done.append(Replayed(origin, record, again, differences))
    return done


def _other(record: ObservedBlocks, shelf: Shelf) -> tuple[str, ...]:
    """What it was judged by and the plan does not say, where the bundle is among the records."""
    plan = shelf.plan_of(record.step.target)
    if plan is None:
        return ()
    others = (one.step for _, one in shelf.verdicts)
    found = (*unplanned(record.step, plan, stored=True), *unheard_of(record.step, others))
    return tuple(f"not judged by its plan: {line}" for line in found)


def _broken_chain(record: ObservedBlocks, before: list[Replayed]) -> tuple[str, ...]:
    """Whether a step goes on from the state in which a verdict before it ended."""
    target, state = record.step.target, record.step.state
    ends = [
        one.again.state
        for one in before
        if (one.record.step.target.release_id, one.record.step.target.revision)
        == (target.release_id, target.revision)
    ]
    if state is None or not ends or any(not differing(state, end) for end in ends):
        return ()
    return tuple(f"begins from another state: {line}" for line in differing(state, ends[-1]))


def _lines(one: Replayed) -> list[str]:
    judgement, step = one.again.judgement, one.record.step
    proof = ", ".join(f"{name} {value:.4g}" for name, value in judgement.proof.items())
    lines = [
        f"{one.origin}: {step.target.revision} at {step.weight} %,"
        f" {one.again.blocks} blocks: {'DIFFERS' if one.differences else 'as stored'}",
        f"  {judgement.verdict} ({judgement.reason}): {judgement.sentence}",
        f"  evidence of regression {judgement.evidence:.4g} of {judgement.thresholds.roll_back:g};"
        f" proof of {judgement.thresholds.promote:g}: {proof}",
    ]
    return lines + [f"  {difference}" for difference in one.differences]


def _as_json(one: Replayed) -> dict[str, object]:
    return {
        "record": one.origin,
        "release": one.record.step.target.release_id,
        "revision": one.record.step.target.revision,
        "weight": one.record.step.weight,
        "blocks": one.again.blocks,
        "judgement": one.again.judgement.model_dump(mode="json"),
        "differences": list(one.differences),
    }
