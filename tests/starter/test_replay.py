"""`tidegate replay`: what a person sees of past releases under another policy or plan."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from activities.archive import Archive
from clients.registry import Registry
from domain.bundle import Bundle, BundleReference
from domain.environments import Environment
from domain.observed import BlockChunk
from domain.phases import Outcome
from domain.records import canonical_json, digest_of
from tests.starter.conftest import Told
from tests.support.cli import Cli
from tests.support.conditions import eventually
from tests.support.registry import running_registry
from tests.support.release_records import request
from tests.support.stand_in_release import Release
from tests.support.stored_verdicts import COMMIT, PastRelease

SLOWER = "version: 1\nfloors: {min_bake: 8m}\n"
SAME = "version: 1\n"


def bundle_of(release: PastRelease) -> Bundle:
    return Bundle(
        service="album",
        commit=COMMIT,
        committed_at=datetime(2026, 3, 1, tzinfo=UTC),
        image=f"registry.example/album@sha256:{'a' * 64}",
        plan=release.plan,
        plan_hash=release.plan.digest,
        config_hash=digest_of("config"),
        manifests={Environment.PRODUCTION: digest_of("manifests")},
    )


def good(release_id: str = "release-album-cccccccccc-0001") -> PastRelease:
    release = PastRelease(release_id, tests={"unit": "make test"})
    for weight in (10, 50, 100):
        release.take(weight)
    release.take(100, watch=True)
    return release


GOOD = good()


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """What an auditor was handed: a release's verdicts, and its bundle with the plan."""
    written = [write(tmp_path, f"{n}.json", one.record) for n, one in enumerate(GOOD.stored)]
    return [*written, write(tmp_path, "bundle.json", bundle_of(GOOD))]


def write(directory: Path, name: str, content: Any) -> str:
    file = directory / name
    body = content.encode() if isinstance(content, str) else content
    file.write_bytes(body if isinstance(body, bytes) else canonical_json(content))
    return str(file)


def test_a_policy_that_changes_nothing_changes_no_verdict(
    tidegate: Told, tmp_path: Path, files: list[str]
) -> None:
    done = tidegate("replay", "--policy", write(tmp_path, "p.yaml", SAME), *files)
    assert (done.code, done.err) == (0, "")
    assert "1 release, 4 verdicts: 0 changed (4 same)" in done.out
    assert "refused as planned" not in done.out


def test_a_stricter_policy_tells_each_step_old_and_new_and_what_is_not_stored(
    tidegate: Told, tmp_path: Path, files: list[str]
) -> None:
    done = tidegate("replay", "--policy", write(tmp_path, "p.yaml", SLOWER), *files)
    assert (done.code, done.err) == (1, "")
    assert "canary.min_bake 3m is below the policy's floor of 8m" in done.out
    assert "was PROMOTE (within_limit) after 3m, block 18 of 18: Promoted" in done.out
    assert "now HOLD (gathering) after 3m, block 18 of 18: Holding" in done.out
    assert "the old rule stopped here; the new one would still have been holding" in done.out
    assert "(supposing it had gone on as it did)" in done.out
    assert "its record is not stored with these" in done.out


def test_programs_get_json_with_the_totals(
    tidegate: Told, tmp_path: Path, files: list[str]
) -> None:
    policy = write(tmp_path, "p.yaml", SLOWER)
    told = json.loads(tidegate("replay", "--policy", policy, "--output", "json", *files).out)
    (release,) = told["releases"]
    assert release["release"] == "release-album-cccccccccc-0001"
    assert release["steps"][0]["change"] == "still holding"
    assert release["ended_well"]
    assert told["totals"]["releases"] == 1


def test_a_plan_is_held_against_the_policy_and_judges_records_without_their_bundle(
    tidegate: Told, tmp_path: Path, files: list[str]
) -> None:
    plan = GOOD.plan.model_dump(mode="json") | {"canary": {"min_bake": "4m"}}
    name = write(tmp_path, "tidegate.yaml", json.dumps({"services": {"album": plan}}))
    asked = ("--plan", name, "--service", "album")
    done = tidegate("replay", *asked, *files[:-1])
    assert done.code == 1
    assert "still holding" in done.out
    refused = tidegate("replay", *asked, "--policy", write(tmp_path, "p.yaml", SLOWER), *files)
    assert (refused.code, refused.out) == (2, "")
    assert "4m is below the policy's floor of 8m" in refused.err


def test_rollbacks_that_come_or_go_are_told_first(tidegate: Told, tmp_path: Path) -> None:
    """Of two releases the one whose rollback is gained stands above the one still holding."""
    late = PastRelease("release-album-dddddddddd-0002", tests={"unit": "make test"})
    for weight in (10, 50):
        late.take(weight)
    late.take(100, canary_bad=(8,), requests=1000)
    late.take(100, watch=True)
    plan = json.dumps({"services": {"album": late.plan.model_dump(mode="json")}})
    strict = plan.replace('"errors": "1%"', '"errors": "0.3%"').replace('"3m"', '"8m"')
    records = [*GOOD.stored, *late.stored]
    names = [write(tmp_path, f"{n}.json", one.record) for n, one in enumerate(records)]
    asked = ("--plan", write(tmp_path, "t.yaml", strict), "--service", "album")
    done = tidegate("replay", *asked, *names)
    assert done.code == 1
    assert done.out.index("-0002") < done.out.index("-0001")
    assert "by hindsight a false rollback" in done.out
    assert "1 rollback of releases that ended well" in done.out


# --- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (None, "say by what to judge: --policy FILE, or --plan FILE with --service"),
        ("version: 1\nfloors: {soak: never}\n", "floors.soak"),
        ("version: 2\n", "version"),
        ("", "is no mapping of keys"),
    ],
)
def test_a_policy_that_is_none_is_one_clear_error(
    tidegate: Told, tmp_path: Path, files: list[str], policy: str | None, said: str
) -> None:
    given = ("--policy", write(tmp_path, "p.yaml", policy)) if policy is not None else ()
    done = tidegate("replay", *given, *files)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (b"{}", 2, "is neither a verdict record nor a block record of this version"),
        (
            BlockChunk(blocks=GOOD.stored[0].blocks),
            2,
            "belong to none of the verdicts that were given",
        ),
    ],
)
def test_records_of_another_version_and_foreign_blocks_are_one_clear_error(
    tidegate: Told, tmp_path: Path, files: list[str], content: Any, code: int, said: str
) -> None:
    policy = write(tmp_path, "p.yaml", SAME)
    done = tidegate("replay", "--policy", policy, *files, write(tmp_path, "bad.json", content))
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert len(done.err.splitlines()) == 1


def test_verdicts_without_their_plan_are_one_clear_error(
    tidegate: Told, tmp_path: Path, files: list[str]
) -> None:
    done = tidegate("replay", "--policy", write(tmp_path, "p.yaml", SAME), *files[:-1])
    assert (done.code, done.out) == (2, "")
    assert "the plan of release-album-cccccccccc-0001 is not among the records" in done.err


def test_a_service_that_a_release_is_not_of_is_one_clear_error(
    tidegate: Told, tmp_path: Path, files: list[str]
) -> None:
    policy = write(tmp_path, "p.yaml", SAME)
    done = tidegate("replay", "--policy", policy, "--service", "billing", *files)
    assert (done.code, done.out) == (2, "")
    assert "is a release of album, not of billing" in done.err


def test_a_file_that_is_not_there_is_one_clear_error(tidegate: Told, tmp_path: Path) -> None:
    policy = write(tmp_path, "p.yaml", SAME)
    done = tidegate("replay", "--policy", policy, str(tmp_path / "none.json"))
    assert (done.code, len(done.err.splitlines())) == (4, 1)
    missing = tidegate("replay", "--policy", str(tmp_path / "none.yaml"), "x.json")
    assert missing.code == 4
    assert "none.yaml cannot be read: No such file or directory; correct --policy" in missing.err


# --- from registry and Temporal ----------------------------------------------------------------


async def test_past_releases_are_found_by_bundle_by_name_and_all_of_them(
    cli: Cli, tmp_path: Path, temporal: Client
) -> None:
    policy = write(tmp_path, "p.yaml", SLOWER)
    release = await Release.started(temporal, request())
    past = good(release.id)
    async with running_registry(tmp_path / "registry") as server:
        cli.connect(registry={"default": server.address, "plain_http": [server.address]})
        async with Registry([server.address]) as registry:
            bundle = await stored(past, Archive(registry), f"{server.address}/isa/album")
        asked = ("replay", "--policy", policy)
        by_bundle = await cli.run(*asked, str(bundle))
        await release.becomes(bundle=bundle)
        by_name = await cli.run(*asked, release.id)
        running = await cli.run(*asked)
        await release.becomes(outcome=Outcome.RELEASED)
        await release.handle.result()

        async def listed() -> bool:
            return (await cli.run(*asked)).out == by_name.out

        # A closed workflow is found by Temporal's visibility a moment later.
        await eventually(listed)
    assert "1 release, 4 verdicts: 3 changed (3 still holding, 1 same)" in by_bundle.out
    assert by_name.out == by_bundle.out
    assert "there is no verdict of any past release" in running.err


async def stored(release: PastRelease, archive: Archive, repository: str) -> BundleReference:
    """The past release in a registry, its first verdict's blocks in a record of their own."""
    manifests: dict[Environment, list[dict[str, Any]]] = {}
    reference = await archive.store_bundle(repository, bundle_of(release), manifests)
    for number, one in enumerate(release.stored):
        record = one.record
        if number == 0:
            chunk = BlockChunk(blocks=record.blocks)
            kept = await archive.store_record(reference, "blocks-10", chunk, "")
            record = record.with_(earlier=(kept,), blocks=())
        await archive.store_record(reference, f"verdict-{record.step.weight}", record, "")
    return reference
