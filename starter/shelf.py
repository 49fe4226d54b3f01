"""Stored records of past releases: from files, and from the registry as referrers of a bundle."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from clients.files import read_file
from clients.registry import Registry
from domain.bundle import RECORD_TYPE, Bundle, BundleReference
from domain.errors import NotFound, PermanentFailure
from domain.evidence import Evidence
from domain.judge.counts import Block
from domain.observed import BlockChunk, ObservedBlocks
from domain.observed_rollout import ObservedRollout
from domain.plan import ServicePlan
from domain.records import digest_of
from domain.steps import RevisionRequest

# A record holds about 100 blocks; a file of this size is something else.
FILE_LIMIT_BYTES = 64 * 2**20
VERDICTS = RECORD_TYPE.format(kind="verdict-")[: -len(".v1+json")]
EVIDENCE = RECORD_TYPE.format(kind="evidence")
Model = TypeVar("Model", bound=BaseModel)


@dataclass
class Shelf:
    """The records that were given: verdicts by their origin, the others by what names them."""

    verdicts: list[tuple[str, ObservedBlocks]] = field(default_factory=list)
    chunks: dict[str, BlockChunk] = field(default_factory=dict)
    bundles: dict[str, Bundle] = field(default_factory=dict)
    evidence: dict[str, Evidence] = field(default_factory=dict)
    rollouts: list[tuple[str, ObservedRollout]] = field(default_factory=list)

    def put(self, origin: str, content: bytes) -> None:
        """Take in a record; PermanentFailure when it is of no kind that is read here."""
        try:
            self.verdicts.append((origin, ObservedBlocks.model_validate_json(content)))
        except ValidationError as problem:
            if (rollout := _parsed(ObservedRollout, content)) is not None:
                self.rollouts.append((origin, rollout))
            elif not self._put_beside(content):
                raise PermanentFailure(_told(origin, problem)) from problem

    def put_file(self, place: str) -> None:
        """Take in a file; NotFound when it cannot be read."""
        self.put(place, _content(Path(place)))

    async def fetch(self, registry: Registry, place: str, *, all_kinds: bool = False) -> None:
        """Take in a bundle's verdicts with their blocks; with `all_kinds` plan and evidence too."""
        bundle = reference_of(place)
        for entry in await registry.referrers(bundle.repository, bundle.digest):
            kind = str(entry.get("artifactType", ""))
            if kind.startswith(VERDICTS):
                await self._fetch_verdict(registry, bundle.repository, str(entry["digest"]))
            elif all_kinds and kind == EVIDENCE:
                await self._fetch_record(registry, bundle.repository, str(entry["digest"]))
        if all_kinds:
            manifest, _, _ = await registry.get_manifest(bundle.repository, bundle.digest)
            config = str(manifest["config"]["digest"])
            content = await registry.get_blob(bundle.repository, config)
            self.bundles[bundle.digest] = _bundle(content, place)

    def plan_of(self, target: RevisionRequest) -> ServicePlan | None:
        """The plan that a release's bundle holds, when that is among the records."""
        found = self.bundles.get(target.bundle.digest)
        beside = (
            bundle
            for bundle in self.bundles.values()
            if f"-{bundle.service}-{bundle.commit[:10]}-" in target.release_id
        )
        found = found or next(beside, None)
        return found.plan if found is not None else None

    def refuse_foreign_blocks(self) -> None:
        """PermanentFailure when blocks were given that no verdict names."""
        named = {one.digest for _, record in self.verdicts for one in record.earlier}
        for chunk in self.chunks.values():
            if not named & {digest_of(chunk), *self._names_of(chunk)}:
                first = chunk.blocks[0].named() if chunk.blocks else "no time at all"
                raise PermanentFailure(
                    f"blocks from {first} on belong to none of the verdicts that were given: "
                    "leave them out, or give their verdict as well"
                )

    def _names_of(self, chunk: BlockChunk) -> set[str]:
        return {digest for digest, one in self.chunks.items() if one == chunk}

    def sort(self) -> None:
        """Verdicts in the order in which they were given; the same record counts once."""
        self.verdicts.sort(key=lambda one: (one[1].step.since, one[1].judgement.elapsed))

    def earlier(self, origin: str, record: ObservedBlocks) -> list[Block]:
        """The blocks of a verdict's chunks; NotFound naming the first that is missing."""
        blocks: list[Block] = []
        for reference in record.earlier:
            if reference.digest not in self.chunks:
                raise NotFound(
                    f"{reference.kind} {reference.digest} is missing, which holds blocks of "
                    f"{origin}: give it as well"
                )
            blocks += self.chunks[reference.digest].blocks
        return blocks

    def _put_beside(self, content: bytes) -> bool:
        """What belongs to a verdict: blocks, the bundle with its plan, the evidence."""
        if (chunk := _parsed(BlockChunk, content)) is not None:
            # A file that was made pretty is still the same record.
            self.chunks |= {digest_of(content): chunk, digest_of(chunk): chunk}
        elif (bundle := _parsed(Bundle, content)) is not None:
            self.bundles[f"{bundle.service}@{bundle.commit}"] = bundle
        elif (evidence := _parsed(Evidence, content)) is not None:
            self.evidence[evidence.release_id] = evidence
        else:
            return False
        return True

    async def _fetch_verdict(self, registry: Registry, repository: str, digest: str) -> None:
        await self._fetch_record(registry, repository, digest)
        for earlier in self.verdicts[-1][1].earlier:
            chunk = await registry.get_blob(repository, earlier.digest)
            self.put(f"{repository}@{earlier.digest}", chunk)

    async def _fetch_record(self, registry: Registry, repository: str, digest: str) -> None:
        manifest, _, _ = await registry.get_manifest(repository, digest)
        record = str(manifest["layers"][0]["digest"])
        self.put(f"{repository}@{record}", await registry.get_blob(repository, record))


def reference_of(place: str) -> BundleReference:
    """A bundle named on the command line; PermanentFailure when the text is none."""
    try:
        return BundleReference.parse(place)
    except ValidationError as error:
        raise PermanentFailure(f"{place} is no bundle: write REPOSITORY@sha256:...") from error


def _content(file: Path) -> bytes:
    try:
        return read_file(file, FILE_LIMIT_BYTES)
    except OSError as error:
        raise NotFound(f"record {file} cannot be read: {error.strerror}") from error


def _bundle(content: bytes, place: str) -> Bundle:
    bundle = _parsed(Bundle, content)
    if bundle is None:
        raise PermanentFailure(f"{place} is no bundle of this version of Tidegate")
    return bundle


def _parsed(model: type[Model], content: bytes) -> Model | None:
    try:
        return model.model_validate_json(content)
    except ValidationError:
        return None


def _told(origin: str, problem: ValidationError) -> str:
    first = problem.errors()[0]
    place = ".".join(map(str, first["loc"])) or "the whole"
    return (
        f"{origin} is neither a verdict record nor a block record of this version of Tidegate:"
        f" {place}: {first['msg']}"
    )
