"""`tidegate report` as a person types it: of a release, of a bundle, of half of either."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from temporalio.client import Client

from activities.archive import Archive
from clients.artifacts import Artifact, ArtifactLayer
from clients.registry import Registry
from domain.bundle import Bundle, BundleReference
from domain.commands import CommandName
from domain.environments import Environment
from domain.evidence import Evidence
from domain.holds import Hold
from domain.observed import BlockChunk, ObservedBlocks
from domain.phases import Outcome, Phase
from domain.records import canonical_json, digest_of
from domain.steps import PersonsPromotion
from tests.starter.conftest import Told
from tests.support.cli import Cli
from tests.support.judged_releases import RELEASE, Judged, frozen, promoted, reference, rolled_back
from tests.support.registry import running_registry
from tests.support.release_records import accepted, plan, request
from tests.support.stand_in_release import Release

WATCHED, BAD = promoted(), rolled_back()


@dataclass
class Shelf:
    """A registry with a bundle, and what a release left beside it."""

    archive: Archive
    bundle: BundleReference

    async def keep(self, judged: Judged, release: str = RELEASE, *, chunks: bool = True) -> None:
        """Store every record of production."""
        for one in judged.records:
            target = one.step.target.with_(release_id=release)
            record = one.with_(step=one.step.with_(target=target))
            for named in record.earlier if chunks else ():
                await self.store("blocks-100-watch", judged.chunks[named.digest])
            await self.store(reference(record).kind, record)

    async def store(
        self, kind: str, content: BlockChunk | ObservedBlocks | Evidence | bytes
    ) -> None:
        await self.archive.store_record(self.bundle, kind, content, kind)


@asynccontextmanager
async def shelf(cli: Cli, directory: Path, *, bundle: bool = True) -> AsyncIterator[Shelf]:
    """A registry that the person's connection file names."""
    async with running_registry(directory / "registry") as server:
        cli.connect(registry={"default": server.address, "plain_http": [server.address]})
        repository = f"{server.address}/isa/album"
        async with Registry([server.address]) as registry:
            archive = Archive(registry)
            if bundle:
                stored = await archive.store_bundle(repository, _bundle(), {})
            else:
                other = Artifact("application/x", (ArtifactLayer("application/x", b"x"),))
                digest = await registry.push_artifact(repository, other)
                stored = BundleReference(repository=repository, digest=digest)
            yield Shelf(archive, stored)


def _bundle() -> Bundle:
    return Bundle(
        service="album",
        commit="c" * 40,
        committed_at=datetime(2026, 3, 1, tzinfo=UTC),
        image=f"registry.example/album@sha256:{'1' * 64}",
        plan=plan(),
        plan_hash=plan().digest,
        config_hash=digest_of({}),
        manifests={Environment.PRODUCTION: f"sha256:{'4' * 64}"},
    )


async def test_a_bundle_alone_tells_verdicts_evidence_and_who_signed(
    cli: Cli, tmp_path: Path
) -> None:
    async with shelf(cli, tmp_path) as kept:
        await kept.keep(WATCHED)
        await kept.store("evidence", frozen(WATCHED))
        done = await cli.run("report", str(kept.bundle))
        told = json.loads((await cli.run("report", str(kept.bundle), "--output", "json")).out)
    assert (done.code, done.err) == (0, "")
    assert "album cccccccccc  … LAST VERDICT PROMOTE" in done.out
    assert "recomputed from its 180 blocks: as stored" in done.out
    assert "52, 4 of them unhealthy" in done.out
    assert [len(step["traces"]) for step in told["steps"]] == [1, 1, 1, 1]
    assert told["steps"][-1]["traces"][0]["points"][-1]["evidence"] == pytest.approx(
        WATCHED.records[-1].judgement.evidence
    )
    assert (told["people"][0]["who"], told["notes"]) == ("ann", [])


async def test_a_release_adds_what_its_workflow_knows(
    cli: Cli, temporal: Client, tmp_path: Path
) -> None:
    async with shelf(cli, tmp_path) as kept:
        release = await Release.started(temporal, request())
        await kept.keep(BAD, release.id)
        await release.becomes(bundle=kept.bundle, weight=10, waiting_for="a verdict at 10 %")
        running = await cli.run("report", release.id)
        await release.becomes(outcome=Outcome.ROLLED_BACK, sentence="Rolled back: bad", weight=0)
        await release.handle.result()
        over = await cli.run("report", "album")
    assert (running.code, running.err) == (0, "")
    assert "this is not the end; it waits for a verdict at 10 %" in " ".join(running.out.split())
    assert (over.code, "✘ ROLLED_BACK" in over.out) == (0, True)
    assert "Evidence against the canary" in over.out


async def test_a_page_is_written_whole_or_not_at_all(cli: Cli, tmp_path: Path) -> None:
    async with shelf(cli, tmp_path) as kept:
        await kept.keep(BAD)
        page = tmp_path / "report.html"
        first = await cli.run("report", str(kept.bundle), "--html", str(page))
        content, before = page.read_bytes(), page.stat().st_ino
        again = await cli.run("report", str(kept.bundle), "--html", str(page))
        nowhere = await cli.run("report", str(kept.bundle), "--html", str(tmp_path / "no" / "x"))
        taken = await cli.run("report", str(kept.bundle), "--html", str(tmp_path))
    assert (first.code, first.out) == (0, f"written: {page} ({len(content) / 1024:.0f} KiB)\n")
    assert (again.code, page.read_bytes() == content) == (0, True)
    # Another file under the same name: the old one was never written into.
    assert page.stat().st_ino != before
    for refused in (nowhere, taken):
        assert refused.code == 2
        assert "cannot be written" in refused.err
        assert refused.err.count("\n") == 1
    assert not list(tmp_path.glob("**/*.partial"))


async def test_a_verdict_that_is_not_what_its_blocks_say_is_told_and_is_the_exit_code(
    cli: Cli, tmp_path: Path
) -> None:
    async with shelf(cli, tmp_path) as kept:
        (record,) = BAD.records
        forged = record.judgement.model_copy(update={"sentence": "Rolled back: trust me"})
        await kept.store("verdict-10", record.with_(judgement=forged))
        done = await cli.run("report", str(kept.bundle))
        page = await cli.run("report", str(kept.bundle), "--html", str(tmp_path / "x.html"))
    assert (done.code, page.code) == (1, 1)
    assert "DIFFERS from what was stored: sentence: stored" in done.out


async def test_what_cannot_be_read_is_named_and_the_rest_is_shown(cli: Cli, tmp_path: Path) -> None:
    later = json.loads(canonical_json(BAD.records[0])) | {"of_a_later_version": 1}
    async with shelf(cli, tmp_path, bundle=False) as kept:
        await kept.keep(WATCHED, chunks=False)
        await kept.store("verdict-10", canonical_json(later))
        await kept.store("evidence", b"\xff not JSON")
        await kept.store("blocks-100", BlockChunk(blocks=BAD.records[0].blocks))
        done = await cli.run("report", str(kept.bundle))
    told = " ".join(done.out.split())
    assert (done.code, done.err) == (0, "")
    for said in (
        "the bundle itself cannot be read",
        "it is no ObservedBlocks of this version of Tidegate: of_a_later_version: Extra inputs",
        "it is no Evidence of this version of Tidegate",
        "100 %: PROMOTE: blocks of it are not in the registry: it cannot be recomputed",
        "13 stored blocks belong to no stored verdict",
        "✔ 10 %: PROMOTE",
    ):
        assert said in told


async def test_a_bundle_without_records_is_one_clear_error(cli: Cli, tmp_path: Path) -> None:
    async with shelf(cli, tmp_path) as kept:
        done = await cli.run("report", str(kept.bundle))
        gone = await cli.run("report", f"{kept.bundle.repository}@sha256:{'0' * 64}")
    assert (done.code, gone.code) == (4, 4)
    assert "has no record of a release that could be read: it was built, and never" in done.err
    assert (done.err.count("\n"), gone.err.count("\n")) == (1, 1)


async def test_a_registry_that_is_away_takes_the_plots_not_the_report(
    cli: Cli, temporal: Client
) -> None:
    release = await Release.started(temporal, request())
    away = BundleReference(repository="127.0.0.1:1/isa/album", digest=f"sha256:{'0' * 64}")
    await release.becomes(bundle=away, outcome=Outcome.RELEASED, sentence="album serves everybody")
    await release.handle.result()
    done = await cli.run("report", release.id)
    assert (done.code, "✔ RELEASED" in done.out) == (0, True)
    assert "neither blocks nor evidence could be read" in done.out
    alone = await cli.run("report", str(away))
    assert (alone.code, alone.err.count("\n")) == (3, 1)


async def test_what_temporal_has_forgotten_is_asked_of_the_registry(
    cli: Cli, temporal: Client
) -> None:
    done = await cli.run("report", "release-album-0000000000-ffff")
    assert done.code == 4
    assert "where Temporal has forgotten it, its bundle has not" in done.err
    assert done.err.count("\n") == 1


def test_a_reference_that_is_none_is_one_clear_error(tidegate: Told) -> None:
    done = tidegate("report", "isa/album@sha256:abc")
    assert (done.code, done.out) == (2, "")
    assert "is no bundle: write REPOSITORY@sha256:..." in done.err


async def test_who_promoted_a_held_step_by_hand_is_among_the_records(
    cli: Cli, tmp_path: Path
) -> None:
    (record,) = BAD.records
    held = Hold(phase=Phase.CANARY, weight=10, reason="stable_bad", sentence="", since=BAD.at)
    promote = accepted(CommandName.PROMOTE, "rita")
    statement = promote.command.statement.with_(held=held.name, reason="the canary is the fix")
    by_hand = PersonsPromotion(
        target=record.step.target,
        weight=10,
        watch=False,
        held=held,
        accepted=promote.with_(command=promote.command.with_(statement=statement)),
        observation=None,
    )
    async with shelf(cli, tmp_path) as kept:
        await kept.keep(BAD)
        await kept.store("promotion-10", canonical_json(by_hand))
        done = await cli.run("report", str(kept.bundle))
    told = " ".join(done.out.split())
    assert f"promoted by hand rita at 2026-03-01 12:00:00 UTC (signed over {held.name})" in told
    assert "the canary is the fix" in told
