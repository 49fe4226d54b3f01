"""`tidegate judge replay`: the judge's verdicts, recomputed by an auditor from stored blocks."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

import settings as configuration
from clients.registry import Registry
from domain.bundle import RECORD_TYPE, BundleReference
from domain.errors import NotFound, PermanentFailure
from domain.judge.counts import Block
from domain.observed import BlockChunk, ObservedBlocks, Recomputed, differing, recompute
from domain.observed_rollout import ObservedRollout
from domain.records import digest_of
from starter import rollout_replay
from starter.event_loop import run
from starter.exit_codes import ExitCode
from starter.output import Format, say, say_json
from starter.registries import registry_of

# A record holds about 100 blocks; a file of this size is something else.
FILE_LIMIT_BYTES = 64 * 2**20
VERDICTS = RECORD_TYPE.format(kind="verdict-")[: -len(".v1+json")]
Model = TypeVar("Model", bound=BaseModel)


@dataclass
class Shelf:
    """The records that were given: verdicts by their origin, block records by their digest."""

    verdicts: list[tuple[str, ObservedBlocks]] = field(default_factory=list)
    rollouts: list[tuple[str, ObservedRollout]] = field(default_factory=list)
    chunks: dict[str, BlockChunk] = field(default_factory=dict)

    def put(self, origin: str, content: bytes) -> None:
        """Take in a record; PermanentFailure when it is of no known kind."""
        try:
            self.verdicts.append((origin, ObservedBlocks.model_validate_json(content)))
        except ValidationError as problem:
            if (rollout := _read(ObservedRollout, content)) is not None:
                self.rollouts.append((origin, rollout))
                return
            chunk = _read(BlockChunk, content)
            if chunk is None:
                raise PermanentFailure(_told(origin, problem)) from problem
            # A file that was made pretty is still the same record.
            self.chunks |= {digest_of(content): chunk, digest_of(chunk): chunk}


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
            await _fetch(place, shelf)
        else:
            shelf.put(place, _content(Path(place)))
    if not shelf.verdicts and not shelf.rollouts:
        raise NotFound(f"there is no verdict in {', '.join(places)}: give a verdict record as well")
    shelf.verdicts.sort(key=lambda one: (one[1].step.since, one[1].judgement.elapsed))
    return shelf


def _content(file: Path) -> bytes:
    try:
        if file.stat().st_size > FILE_LIMIT_BYTES:
            raise PermanentFailure(f"{file} is no record: it is larger than 64 MiB")
        return file.read_bytes()
    except OSError as error:
        raise NotFound(f"record {file} cannot be read: {error.strerror}") from error


async def _fetch(place: str, shelf: Shelf) -> None:
    try:
        repository, _, digest = place.partition("@")
        bundle = BundleReference(repository=repository, digest=digest)
    except ValidationError as error:
        raise PermanentFailure(f"{place} is no bundle: write REPOSITORY@sha256:...") from error
    async with registry_of(configuration.load()) as registry:
        for entry in await registry.referrers(bundle.repository, bundle.digest):
            if str(entry.get("artifactType", "")).startswith(VERDICTS):
                await _fetch_verdict(registry, bundle.repository, str(entry["digest"]), shelf)


async def _fetch_verdict(registry: Registry, repository: str, digest: str, shelf: Shelf) -> None:
    manifest, _, _ = await registry.get_manifest(repository, digest)
    record = str(manifest["layers"][0]["digest"])
    shelf.put(f"{repository}@{record}", await registry.get_blob(repository, record))
    for earlier in shelf.verdicts[-1][1].earlier:
        chunk = await registry.get_blob(repository, earlier.digest)
        shelf.put(f"{repository}@{earlier.digest}", chunk)


def _read(kind: type[Model], content: bytes) -> Model | None:
    try:
        return kind.model_validate_json(content)
    except ValidationError:
        return None


def _told(origin: str, problem: ValidationError) -> str:
    first = problem.errors()[0]
    place = ".".join(map(str, first["loc"])) or "the whole"
    return (
        f"{origin} is neither a verdict record nor a block record of this version of Tidegate:"
        f" {place}: {first['msg']}"
    )


def _replayed(shelf: Shelf) -> list[Replayed]:
    done: list[Replayed] = []
    for origin, record in shelf.verdicts:
        try:
            again = recompute(record, _earlier(origin, record, shelf))
        except PermanentFailure as failure:
            raise PermanentFailure(f"{origin} cannot be recomputed: {failure}") from failure
        differences = (*again.differences, *_broken_chain(record, done))
        done.append(Replayed(origin, record, again, differences))
    return done


def _earlier(origin: str, record: ObservedBlocks, shelf: Shelf) -> list[Block]:
    blocks: list[Block] = []
    for reference in record.earlier:
        if reference.digest not in shelf.chunks:
            raise NotFound(
                f"{reference.kind} {reference.digest} is missing, which holds blocks of {origin}:"
                " give it as well"
            )
        blocks += shelf.chunks[reference.digest].blocks
    return blocks


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
