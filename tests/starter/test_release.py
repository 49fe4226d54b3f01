from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client

from clients.registry import Registry
from domain.records import digest_of
from domain.release import ReleaseRequest
from starter.registry_check import SCAN_REPORT_TYPE
from starter.releases import listed
from starter.visibility import query
from tests.starter.conftest import Told
from tests.support.cli import Cli
from tests.support.git import Worktree
from tests.support.registry import running_registry

GRYPE_FOLDER = {
    "matches": [],
    "source": {"type": "directory", "target": "/builds/7/microservices/album"},
}


def grype(image: str) -> str:
    """A clean report of an image."""
    return json.dumps({"matches": [], "source": {"target": {"repoDigests": [image]}}})


@pytest.fixture
async def base_image(cli: Cli, tmp_path: Path) -> AsyncIterator[str]:
    """A registry with an image in it, named by digest; the connection file knows the registry."""
    async with running_registry(tmp_path / "registry") as registry:
        cli.connect(registry={"default": registry.address, "plain_http": [registry.address]})
        yield registry.base_image


async def requests_in(client: Client) -> list[ReleaseRequest]:
    """What every release in the server was started with."""
    found = []
    for one in await listed(client, query(), 10):
        handle = client.get_workflow_handle(one.release)
        async for event in handle.fetch_history_events():
            payloads = event.workflow_execution_started_event_attributes.input.payloads
            found.append(ReleaseRequest.model_validate_json(payloads[0].data))
            break
    return found


async def test_a_release_is_started_by_name_with_all_that_it_needs(
    cli: Cli, silent_temporal: Client, repository: Worktree
) -> None:
    done = await cli.run("release", "album", "--output", "json")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    (request,) = await requests_in(silent_temporal)
    commit = repository.git("rev-parse", "HEAD")
    assert said["release"] == request.release_id
    assert request.release_id.startswith(f"release-album-{commit[:10]}-")
    assert (request.commit, request.source) == (commit, str(repository.path))
    assert (request.started_by, request.plan.port) == ("dana@example.com", 8219)
    namespace = f"http://ui.example/namespaces/{silent_temporal.namespace}"
    assert said["ui"] == f"{namespace}/workflows/{request.release_id}"


async def test_a_release_is_found_by_its_service_before_any_worker_has_seen_it(
    cli: Cli, silent_temporal: Client
) -> None:
    await cli.run("release", "album")
    (found,) = await listed(silent_temporal, query("album", running=True), 10)
    assert (found.service, found.status) == ("album", "running")


async def test_it_says_how_to_watch_and_to_approve(cli: Cli, silent_temporal: Client) -> None:
    done = await cli.run("release", "album", "--by", "eve@example.com")
    (request,) = await requests_in(silent_temporal)
    assert f"tidegate watch {request.release_id}" in done.out
    assert f"tidegate approve {request.release_id}" in done.out
    assert request.started_by == "eve@example.com"


async def test_the_same_commit_released_twice_is_two_releases(
    cli: Cli, silent_temporal: Client
) -> None:
    for _ in range(2):
        assert (await cli.run("release", "album")).code == 0
    first, second = await requests_in(silent_temporal)
    assert first.release_id != second.release_id


async def test_a_dirty_tree_is_refused_naming_its_paths_also_with_an_image(
    cli: Cli, silent_temporal: Client, repository: Worktree, base_image: str
) -> None:
    repository.write("forgotten.py", "")
    for options in ((), ("--image", base_image)):
        done = await cli.run("release", "album", *options)
        assert done.code == 2
        assert "not committed: forgotten.py" in done.err
    assert await requests_in(silent_temporal) == []


async def test_an_image_that_does_not_exist_is_one_message_and_starts_nothing(
    cli: Cli, silent_temporal: Client, base_image: str
) -> None:
    missing = f"{base_image.partition('@')[0]}@sha256:{'0' * 64}"
    done = await cli.run("release", "album", "--image", missing)
    assert done.code == 4
    assert f"image {missing} does not exist" in done.err
    assert done.err.count("\n") == 1
    assert await requests_in(silent_temporal) == []


async def test_an_image_that_exists_is_released_by_its_digest(
    cli: Cli, silent_temporal: Client, base_image: str
) -> None:
    done = await cli.run("release", "album", "--image", base_image)
    assert done.code == 0, done.err
    (request,) = await requests_in(silent_temporal)
    assert request.image == base_image


async def test_a_registry_that_does_not_answer_is_unreachable_and_starts_nothing(
    cli: Cli, silent_temporal: Client
) -> None:
    image = f"127.0.0.1:1/isa/album@sha256:{'0' * 64}"
    done = await cli.run("release", "album", "--image", image)
    assert done.code == 3
    assert "127.0.0.1:1" in done.err
    assert await requests_in(silent_temporal) == []


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("127.0.0.1:5000/isa/album:v1", "by a tag, which can move"),
        ("album", "does not say which registry"),
    ],
)
def test_an_image_must_be_named_by_digest(tidegate: Told, image: str, said: str) -> None:
    done = tidegate("release", "album", "--image", image)
    assert done.code == 2
    assert said in done.err


async def test_a_scan_report_lies_beside_its_image_and_the_request_names_its_content(
    cli: Cli, silent_temporal: Client, base_image: str, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    report.write_text(grype(base_image))
    done = await cli.run("release", "album", "--image", base_image, "--scan-report", str(report))
    assert done.code == 0, done.err
    (request,) = await requests_in(silent_temporal)
    assert request.scan_report == digest_of(report.read_bytes())
    place, _, digest = base_image.partition("@")
    async with Registry([place.partition("/")[0]]) as registry:
        assert await registry.get_blob(place, request.scan_report) == report.read_bytes()
        assert await registry.referrers(place, digest, SCAN_REPORT_TYPE)


async def test_a_scan_report_of_a_commit_goes_where_its_image_will_be(
    cli: Cli, silent_temporal: Client, base_image: str, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    report.write_text(json.dumps(GRYPE_FOLDER))
    done = await cli.run("release", "album", "--scan-report", str(report))
    assert done.code == 0, done.err
    host = base_image.partition("/")[0]
    async with Registry([host]) as registry:
        assert await registry.has_blob(f"{host}/isa/album", digest_of(report.read_bytes()))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a JSON object"),
        ("{}", "neither grype's nor trivy's"),
        (
            json.dumps({"matches": [], "source": {"target": {"manifestDigest": "sha256:other"}}}),
            "is about sha256:other, the image is sha256:000",
        ),
        (json.dumps(GRYPE_FOLDER), "names no image by its digest; scan 127.0.0.1:1/isa/album@"),
    ],
)
def test_a_scan_report_that_proves_nothing_is_bad_input(
    tidegate: Told, tmp_path: Path, content: str, said: str
) -> None:
    report = tmp_path / "report.json"
    report.write_text(content)
    image = f"127.0.0.1:1/isa/album@sha256:{'0' * 64}"
    done = tidegate("release", "album", "--image", image, "--scan-report", str(report))
    assert done.code == 2
    assert said in done.err


@pytest.mark.parametrize("target", ["microservices/user", "album", "/some/other/service"])
def test_a_scan_of_another_folder_is_bad_input(tidegate: Told, tmp_path: Path, target: str) -> None:
    report = tmp_path / "report.json"
    report.write_text(
        json.dumps({"matches": [], "source": {"type": "directory", "target": target}})
    )
    done = tidegate("release", "album", "--scan-report", str(report))
    assert done.code == 2
    assert f"is about the directory {target}, not about microservices/album" in done.err


def test_who_starts_it_must_be_known(tidegate: Told, repository: Worktree) -> None:
    repository.git("config", "--unset", "user.email")
    done = tidegate("release", "album")
    assert done.code == 2
    assert "--by E-MAIL" in done.err
