from __future__ import annotations

import json
from datetime import UTC, datetime

from temporalio.client import Client

from domain.phases import Outcome, Phase
from tests.support.cli import Cli
from tests.support.release_records import request
from tests.support.stand_in_release import Release, answering

NOW = datetime.now(UTC)


async def test_status_shows_the_stages_and_json_the_whole_state(cli: Cli, temporal: Client) -> None:
    release = await Release.started(temporal, request())
    await release.becomes(phase=Phase.SOAK, waiting_for="healthy time in staging")
    text = await cli.run("status", release.id)
    assert (text.code, "waiting for healthy time in staging" in text.out) == (0, True)
    found = json.loads((await cli.run("status", release.id, "--output", "json")).out)
    assert (found["phase"], found["request"]["service"]) == ("soak", "album")


async def test_a_service_means_its_latest_release_and_nothing_the_latest_of_all(
    cli: Cli, temporal: Client
) -> None:
    await Release.started(temporal, request("a" * 40))
    latest = await Release.started(temporal, request("b" * 40))
    for words in (("status", "album"), ("status",)):
        assert latest.id in (await cli.run(*words)).out


async def test_a_finished_release_is_shown_without_any_worker(
    cli: Cli, silent_temporal: Client
) -> None:
    async with answering(silent_temporal):
        release = await Release.started(silent_temporal, request())
        await release.becomes(outcome=Outcome.RELEASED, sentence="album serves everybody")
        await release.handle.result()
    done = await cli.run("status", release.id)
    assert done.code == 0, done.err
    assert "RELEASED: album serves everybody" in done.out


async def test_a_running_release_without_a_worker_says_to_start_one(
    cli: Cli, silent_temporal: Client
) -> None:
    assert (await cli.run("release", "album")).code == 0
    done = await cli.run("status", "album")
    assert done.code == 3
    assert "tidegate worker --role control" in done.err
    assert done.err.count("\n") == 1


async def test_what_does_not_exist_is_not_found_with_the_nearest_name(
    cli: Cli, temporal: Client
) -> None:
    nothing_yet = await cli.run("status")
    assert (nothing_yet.code, "no release yet" in nothing_yet.err) == (4, True)
    await Release.started(temporal, request())
    service = await cli.run("status", "albun")
    assert (service.code, "did you mean album?" in service.err) == (4, True)
    unknown = await cli.run("status", "release-album-0000000000-ffff")
    assert unknown.code == 4
    assert "no release release-album-0000000000-ffff" in unknown.err


async def test_a_name_that_cannot_be_a_service_is_bad_input(cli: Cli, temporal: Client) -> None:
    done = await cli.run("status", "al'bum")
    assert done.code == 2
    assert "neither a release's id nor a service's name" in done.err


async def test_list_selects_by_service_and_by_what_runs(cli: Cli, temporal: Client) -> None:
    album = await Release.started(temporal, request("a" * 40))
    other = request("b" * 40).with_(service="user")
    user = await Release.started(temporal, other)
    await album.becomes(outcome=Outcome.ABORTED)
    await album.handle.result()

    async def ids(*words: str) -> list[str]:
        found = json.loads((await cli.run("list", *words, "--output", "json")).out)
        return [one["release"] for one in found]

    assert await ids() == [user.id, album.id]
    assert await ids("--service", "album") == [album.id]
    assert await ids("--running") == [user.id]
    assert (await cli.run("list", "--service", "billing")).out == "no releases\n"
    table = (await cli.run("list")).out
    assert table.splitlines()[0].split() == [
        *("release", "phase", "outcome", "weight", "started", "took")
    ]
