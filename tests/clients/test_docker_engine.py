import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from clients.docker_engine import DockerBuildRequest, DockerEngine
from clients.registry import Registry
from clients.registry_auth import docker_config
from domain.errors import NotFound, PermanentFailure, TransientFailure
from sandbox.registry import Registry as SandboxRegistry
from tests.support.docker_engine import EngineDouble
from tests.support.registry import running_registry


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[SandboxRegistry]:
    async with running_registry(tmp_path / "registry") as started:
        yield started


@pytest.fixture
async def registry(sandbox: SandboxRegistry) -> AsyncIterator[Registry]:
    async with Registry([sandbox.address]) as client:
        yield client


@pytest.fixture
async def double() -> AsyncIterator[EngineDouble]:
    async with EngineDouble().running() as started:
        yield started


@pytest.fixture
def engine(double: EngineDouble, registry: Registry) -> DockerEngine:
    return DockerEngine(registry, double.address)


@pytest.fixture
def request_(sandbox: SandboxRegistry, tmp_path: Path) -> DockerBuildRequest:
    context = tmp_path / "context"
    (context / "services/album").mkdir(parents=True)
    (context / "services/album/Dockerfile").write_text("ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\n")
    (context / ".dockerignore").write_text("*.log\n")
    (context / "noise.log").write_text("")
    return DockerBuildRequest(
        context=context,
        image=f"{sandbox.address}/isa/album:c0ffee",
        dockerfile="services/album/Dockerfile",
        arguments={"BASE_IMAGE": "base@sha256:1"},
        labels={"org.opencontainers.image.revision": "c0ffee"},
        network="none",
    )


async def test_the_image_is_built_from_its_context_and_named_by_the_registrys_digest(
    engine: DockerEngine, double: EngineDouble, request_: DockerBuildRequest, registry: Registry
) -> None:
    image = await engine.build(request_)
    assert double.asked.query["t"] == request_.image
    assert double.asked.query["dockerfile"] == "services/album/Dockerfile"
    assert double.asked.query["networkmode"] == "none"
    assert json.loads(double.asked.query["buildargs"]) == request_.arguments
    assert json.loads(double.asked.query["labels"]) == request_.labels
    assert "services/album/Dockerfile" in double.asked.files
    assert "noise.log" not in double.asked.files
    assert double.asked.pushed == [request_.image]
    _, digest, _ = await registry.get_manifest(request_.image.rpartition(":")[0], "c0ffee")
    assert image.digest == digest
    assert image.reference == f"{request_.image.rpartition(':')[0]}@{digest}"
    assert image.size_bytes == len(b"layer")
    assert len(image.layers) == 1


async def test_the_digest_is_the_tags_when_the_engine_does_not_tell_it(
    engine: DockerEngine, double: EngineDouble, request_: DockerBuildRequest
) -> None:
    double.tells_digest = False
    assert (await engine.build(request_)).digest.startswith("sha256:")


async def test_the_login_is_shown_for_the_push_only(
    double: EngineDouble,
    registry: Registry,
    sandbox: SandboxRegistry,
    request_: DockerBuildRequest,
    tmp_path: Path,
) -> None:
    auth = base64.b64encode(b"builder:secret").decode()
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"auths": {sandbox.address: {"auth": auth}}}))
    await DockerEngine(registry, double.address, docker_config(config)).build(request_)
    assert double.asked.login == {"username": "builder", "password": "secret"}
    await DockerEngine(registry, double.address).build(request_)
    assert double.asked.login == {}


async def test_a_failed_build_is_permanent_and_shows_its_last_lines(
    engine: DockerEngine, double: EngineDouble, request_: DockerBuildRequest
) -> None:
    reason = "The command '/bin/sh -c pip install' returned a non-zero code: 1"
    double.build_lines = [
        *({"stream": f"line {number}\n"} for number in range(50)),
        {"stream": "connection timed out, says pip\n"},
        {"errorDetail": {"code": 1, "message": reason}, "error": reason},
    ]
    with pytest.raises(PermanentFailure, match="non-zero code: 1") as failure:
        await engine.build(request_)
    assert "line 49\nconnection timed out, says pip" in str(failure.value)
    assert "line 30" not in str(failure.value)
    assert double.asked.pushed == []


@pytest.mark.parametrize(
    "reason",
    [
        "Get https://registry.example.com/v2/: net/http: TLS handshake timeout",
        "toomanyrequests: You have reached your pull rate limit",
        "dial tcp: lookup registry.example.com: no such host",
    ],
)
async def test_a_base_that_cannot_be_pulled_now_is_transient(
    engine: DockerEngine, double: EngineDouble, request_: DockerBuildRequest, reason: str
) -> None:
    double.build_lines = [{"error": reason}]
    with pytest.raises(TransientFailure, match="it is tried again"):
        await engine.build(request_)


async def test_a_build_that_ends_without_an_image_is_not_taken_for_one(
    engine: DockerEngine, double: EngineDouble, request_: DockerBuildRequest
) -> None:
    double.build_lines = [{"stream": "Step 1/2 : FROM base\n"}]
    with pytest.raises(TransientFailure, match="broke off"):
        await engine.build(request_)
    assert double.asked.pushed == []


@pytest.mark.parametrize(
    ("reason", "failure", "remedy"),
    [
        ("denied: requested access to the resource is denied", PermanentFailure, "docker login"),
        ("unauthorized: authentication required", PermanentFailure, "docker login"),
        (
            "http: server gave HTTP response to HTTPS client",
            PermanentFailure,
            "insecure-registries",
        ),
        ("received unexpected HTTP status: 503 Service Unavailable", TransientFailure, "again"),
        ("dial tcp 127.0.0.1:1: connect: connection refused", TransientFailure, "again"),
        ("invalid reference format", PermanentFailure, "invalid reference"),
    ],
)
async def test_a_push_that_fails_says_what_to_do(
    engine: DockerEngine,
    double: EngineDouble,
    request_: DockerBuildRequest,
    reason: str,
    failure: type[Exception],
    remedy: str,
) -> None:
    double.push_error = reason
    with pytest.raises(failure, match=remedy):
        await engine.build(request_)


@pytest.mark.parametrize(
    ("status", "failure"), [(400, PermanentFailure), (404, NotFound), (500, TransientFailure)]
)
async def test_what_the_engine_refuses_is_told_in_its_words(
    engine: DockerEngine,
    double: EngineDouble,
    request_: DockerBuildRequest,
    status: int,
    failure: type[Exception],
) -> None:
    double.build_status = status
    with pytest.raises(failure, match=f"answered {status}: no such thing") as raised:
        await engine.build(request_)
    assert type(raised.value) is failure


async def test_an_engine_that_does_not_run_is_transient_with_a_remedy(
    registry: Registry, request_: DockerBuildRequest, unused_tcp_port: int, tmp_path: Path
) -> None:
    for address in (f"tcp://127.0.0.1:{unused_tcp_port}", f"unix://{tmp_path}/absent.sock"):
        engine = DockerEngine(registry, address)
        with pytest.raises(TransientFailure, match=r"cannot be reached.*start it.*assemble"):
            await engine.version()
        with pytest.raises(TransientFailure, match="cannot be reached"):
            await engine.build(request_)


async def test_cancelling_hangs_up_so_that_the_engine_stops(
    engine: DockerEngine, double: EngineDouble, request_: DockerBuildRequest
) -> None:
    double.hangs_after_first_line = True
    building = asyncio.create_task(engine.build(request_))
    await asyncio.wait_for(double.build_began.wait(), 30)
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    await asyncio.wait_for(double.client_hung_up.wait(), 30)
    assert double.asked.pushed == []


async def test_the_version_is_the_engines(engine: DockerEngine) -> None:
    assert await engine.version() == "26.1.0"


@pytest.mark.parametrize(
    ("changes", "failure", "reason"),
    [
        ({"dockerfile": "absent/Dockerfile"}, NotFound, "no absent/Dockerfile"),
        ({"image": "localhost/isa/album"}, PermanentFailure, "needs a tag"),
        ({"image": "album:v1"}, PermanentFailure, "which registry"),
    ],
)
async def test_a_request_that_cannot_be_built_is_refused_before_anything_is_sent(
    engine: DockerEngine,
    double: EngineDouble,
    request_: DockerBuildRequest,
    changes: dict[str, Any],
    failure: type[Exception],
    reason: str,
) -> None:
    with pytest.raises(failure, match=reason):
        await engine.build(request_.with_(**changes))
    assert double.asked.query == {}
