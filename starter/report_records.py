"""What a bundle's referrers say of its releases; what cannot be read is named, not thrown."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from activities.archive import Archive
from clients.registry import Registry
from domain.bundle import RECORD_TYPE, Bundle, BundleReference, RecordReference
from domain.commands import AcceptedCommand
from domain.errors import NotFound, PermanentFailure
from domain.evidence import Evidence
from domain.judge.counts import Block
from domain.observed import BlockChunk, ObservedBlocks
from domain.report_sources import Sources
from domain.running import RunningStep, running_trace
from domain.steps import PersonsPromotion
from domain.trace import Trace, trace

KIND = re.compile(re.escape(RECORD_TYPE).replace(r"\{kind\}", "(?P<kind>.+)"))
AT_ONCE = 8
Model = TypeVar("Model", bound=BaseModel)


@dataclass
class Records:
    """What was found so far; `verdicts` and `evidence` by the digest of their content."""

    bundle: Bundle | None = None
    verdicts: dict[str, tuple[RecordReference, ObservedBlocks]] = field(default_factory=dict)
    chunks: dict[str, BlockChunk] = field(default_factory=dict)
    evidence: dict[str, Evidence] = field(default_factory=dict)
    promotions: dict[str, PersonsPromotion] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def sources(
        self,
        reference: BundleReference,
        release_id: str | None,
        running: RunningStep | None = None,
    ) -> Sources:
        """With each verdict recomputed: of one release, or of all that the bundle had.

        `running` is what is being judged, unless its verdict has been stored meanwhile.
        """
        chosen = [
            (named, record)
            for named, record in self.verdicts.values()
            if release_id in (None, record.step.target.release_id)
        ]
        traces = [self._trace(named, record) for named, record in chosen]
        if running is not None and any(running.ended_as(record) for _, record in chosen):
            running = None
        if running is not None:
            traces.append(running_trace(running, self._blocks(running.chunks)))
        return Sources(
            reference=reference,
            bundle=self.bundle,
            evidence=tuple(sorted(self.evidence.items())),
            traces=tuple(traces),
            notes=(*sorted(self.notes), *self._unclaimed(running)),
            commands=(*_approvals(record for _, record in chosen), *self._promotions(release_id)),
        )

    def _trace(self, named: RecordReference, record: ObservedBlocks) -> Trace:
        return trace(record, named, self._blocks(record.earlier))

    def _blocks(self, chunks: Iterable[RecordReference]) -> list[Block] | None:
        """Their blocks, in order; None where one of them is lost."""
        digests = [chunk.digest for chunk in chunks]
        if any(digest not in self.chunks for digest in digests):
            return None
        return [block for digest in digests for block in self.chunks[digest].blocks]

    def _promotions(self, release_id: str | None) -> list[AcceptedCommand]:
        found = self.promotions.values()
        return [one.accepted for one in found if release_id in (None, one.target.release_id)]

    def _unclaimed(self, running: RunningStep | None) -> list[str]:
        """Blocks that were stored on the way to a verdict which is not there (yet)."""
        claimed = {chunk.digest for _, record in self.verdicts.values() for chunk in record.earlier}
        claimed |= {chunk.digest for chunk in running.chunks} if running is not None else set()
        left = [chunk for digest, chunk in sorted(self.chunks.items()) if digest not in claimed]
        if not left:
            return []
        blocks = sum(len(chunk.blocks) for chunk in left)
        return [
            f"{blocks} stored blocks belong to no stored verdict: a step that goes on, or that was"
            " cut off; they are not drawn"
        ]


async def read(registry: Registry, reference: BundleReference) -> Records:
    """Everything that the registry holds about a bundle; NotFound when there is no such bundle."""
    found = Records()
    await registry.get_manifest(reference.repository, reference.digest)
    try:
        found.bundle = await Archive(registry).load_bundle(reference)
    except PermanentFailure as failure:
        found.notes.append(f"the bundle itself cannot be read: {_first_line(failure)}")
    entries = await registry.referrers(reference.repository, reference.digest)
    together = asyncio.Semaphore(AT_ONCE)

    async def take(entry: dict[str, object]) -> None:
        async with together:
            await _take(registry, reference, entry, found)

    await asyncio.gather(*(take(entry) for entry in entries))
    # Their order is that of answers: the report's is that of contents.
    found.verdicts = dict(sorted(found.verdicts.items()))
    found.promotions = dict(sorted(found.promotions.items()))
    return found


async def _take(
    registry: Registry, reference: BundleReference, entry: dict[str, object], found: Records
) -> None:
    match = KIND.fullmatch(str(entry.get("artifactType", "")))
    if match is None:
        return
    kind = match["kind"]
    try:
        manifest, _, _ = await registry.get_manifest(reference.repository, str(entry["digest"]))
        digest = str(manifest["layers"][0]["digest"])
        content = await registry.get_blob(reference.repository, digest)
        _put(found, kind, digest, content)
    except NotFound as failure:
        found.notes.append(f"{kind}: {_first_line(failure)}")
    except (PermanentFailure, LookupError, TypeError) as failure:
        found.notes.append(f"{kind} {entry['digest']} cannot be read: {_first_line(failure)}")


def _put(found: Records, kind: str, digest: str, content: bytes) -> None:
    if kind.startswith("verdict-"):
        record = _parsed(ObservedBlocks, content)
        named = RecordReference(kind=kind, digest=digest, sentence=record.judgement.sentence)
        found.verdicts[digest] = (named, record)
    elif kind.startswith("blocks-"):
        found.chunks[digest] = _parsed(BlockChunk, content)
    elif kind.startswith("promotion-"):
        found.promotions[digest] = _parsed(PersonsPromotion, content)
    elif kind == "evidence":
        found.evidence[digest] = _parsed(Evidence, content)


def _parsed(model: type[Model], content: bytes) -> Model:
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        raise PermanentFailure(
            f"it is no {model.__name__} of this version of Tidegate: {place}: {first['msg']}"
        ) from error


def _approvals(records: Iterable[ObservedBlocks]) -> tuple[AcceptedCommand, ...]:
    """Who had signed when production was judged: each verdict's request carries the proof."""
    ordered = sorted(records, key=lambda record: record.step.since)
    proofs = [record.step.target.proof for record in ordered]
    return next((proof.approvals for proof in reversed(proofs) if proof is not None), ())


def _first_line(failure: Exception) -> str:
    return next(iter(str(failure).splitlines()), type(failure).__name__)
