import asyncio
import io
import os
import tarfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from clients.assemble import AssembleRequest, assemble
from clients.registry import Registry
from domain.errors import NotFound, PermanentFailure
from domain.images import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, descriptor, image_labels
from domain.records import canonical_json, digest_of
from sandbox.registry import Registry as SandboxRegistry
from tests.support.image import answer_of, read_config, running, unpack
from tests.support.registry import running_registry
from tests.support.wheel import write_wheel

COMMIT_TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SERVICE = b"""
import http.server, os
from greeting import text

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
        self.wfile.write(text().encode())

    def log_message(self, *arguments):
        return

http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
GREETING = b"def text():\n    return 'served from the wheel'\n"
SITE = "app/site-packages"
EXAMPLE = Path(__file__).parents[2] / "examples" / "isa_user"


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[SandboxRegistry]:
    async with running_registry(tmp_path / "registry") as started:
        yield started


@pytest.fixture
async def registry(sandbox: SandboxRegistry) -> AsyncIterator[Registry]:
    async with Registry(plain_http=[sandbox.address]) as client:
        yield client


def checkout(folder: Path) -> Path:
    """A checkout of a small service with its wheels, as a commit has it."""
    (folder / "service/templates").mkdir(parents=True)
    (folder / "service/__init__.py").write_bytes(b"")
    (folder / "service/__main__.py").write_bytes(SERVICE)
    (folder / "service/templates/page.html").write_text("<p>")
    (folder / "start.sh").write_text("#!/bin/sh\n")
    (folder / "start.sh").chmod(0o755)
    write_wheel(
        folder / "wheels",
        "greeting",
        {
            "greeting.py": GREETING,
            "greeting-1.0.data/scripts/greet": b"#!python\nimport greeting\n",
            "greeting-1.0.data/data/share/greeting.txt": b"hello",
        },
        entry_points="[console_scripts]\nsay = greeting:text\n",
    )
    return folder


def request_for(folder: Path, sandbox: SandboxRegistry, **changes: Any) -> AssembleRequest:
    request = AssembleRequest(
        base=sandbox.base_image,
        wheels=tuple((folder / "wheels").glob("*.whl")),
        files=((folder / "service", "/app/service"), (folder / "start.sh", "/app/start.sh")),
        entrypoint=("python3", "-m", "service"),
        environment={"MODE": "production"},
        port=8219,
        labels=image_labels("c0ffee", "https://example.com/isa_user", COMMIT_TIME),
        created=COMMIT_TIME,
        repository=f"{sandbox.address}/isa/album",
    )
    return AssembleRequest.model_validate(request.model_dump() | changes)


async def test_the_assembled_image_starts_and_serves(
    registry: Registry, sandbox: SandboxRegistry, tmp_path: Path, unused_tcp_port: int
) -> None:
    image = await assemble(registry, request_for(checkout(tmp_path / "commit"), sandbox))
    await unpack(registry, image.reference, tmp_path / "root")
    config = await read_config(registry, image.reference)
    with running(tmp_path / "root", config, unused_tcp_port):
        answer = await asyncio.to_thread(answer_of, f"http://127.0.0.1:{unused_tcp_port}/health")
    assert answer == (200, b"served from the wheel")


async def test_the_same_commit_has_the_same_digest_wherever_it_is_checked_out(
    registry: Registry, sandbox: SandboxRegistry, tmp_path: Path
) -> None:
    first = checkout(tmp_path / "first")
    before = os.umask(0o077)
    try:
        second = checkout(tmp_path / "second/deeper")
    finally:
        os.umask(before)
    for path in second.rglob("*"):
        os.utime(path, (0, 1_000_000_000))
    (second / "service/__pycache__").mkdir()
    (second / "service/__pycache__/junk.pyc").write_bytes(b"junk")
    east = COMMIT_TIME.astimezone(timezone(timedelta(hours=9)))
    one = await assemble(registry, request_for(first, sandbox))
    two = await assemble(registry, request_for(second, sandbox, created=east))
    assert one == two


async def test_the_same_commit_has_the_same_digest_in_another_registry(
    registry: Registry, sandbox: SandboxRegistry, tmp_path: Path
) -> None:
    folder = checkout(tmp_path / "commit")
    here = await assemble(registry, request_for(folder, sandbox))
    async with (
        running_registry(tmp_path / "other") as other,
        Registry([other.address]) as client,
    ):
        there = await assemble(client, request_for(folder, other))
    assert here.digest == there.digest


@pytest.mark.parametrize("change", ["file", "executable bit", "environment", "time"])
async def test_another_commit_has_another_digest(
    registry: Registry, sandbox: SandboxRegistry, tmp_path: Path, change: str
) -> None:
    folder = checkout(tmp_path / "commit")
    before = await assemble(registry, request_for(folder, sandbox))
    changes: dict[str, Any] = {}
    if change == "file":
        (folder / "service/templates/page.html").write_text("<p>changed")
    elif change == "executable bit":
        (folder / "start.sh").chmod(0o644)
    elif change == "environment":
        changes = {"environment": {"MODE": "staging"}}
    else:
        changes = {"created": COMMIT_TIME + timedelta(seconds=1)}
    after = await assemble(registry, request_for(folder, sandbox, **changes))
    assert before.digest != after.digest


async def test_assembling_again_uploads_nothing(
    registry: Registry, sandbox: SandboxRegistry, tmp_path: Path
) -> None:
    request = request_for(checkout(tmp_path / "commit"), sandbox)
    await assemble(registry, request)
    uploads = sandbox.requests.count("POST", "/blobs/uploads/")
    await assemble(registry, request)
    assert sandbox.requests.count("POST", "/blobs/uploads/") == uploads


async def test_layers_hold_the_wheels_then_the_files_owned_by_root_at_the_commits_time(
    registry: Registry, sandbox: SandboxRegistry, tmp_path: Path
) -> None:
    image = await assemble(registry, request_for(checkout(tmp_path / "commit"), sandbox))
    assert len(image.layers) == 3
    entries = {
        entry.name: entry for entry in await unpack(registry, image.reference, tmp_path / "r")
    }
    ours = {name: entry for name, entry in entries.items() if entry.mtime != 0}
    assert {"app/start.sh", "app/service/__main__.py", f"{SITE}/greeting.py"} < set(ours)
    assert {entry.mtime for entry in ours.values()} == {COMMIT_TIME.timestamp()}
    assert {(entry.uid, entry.gid, entry.uname) for entry in ours.values()} == {(0, 0, "")}
    assert entries["app/start.sh"].mode == 0o755
    assert entries["app/service/__main__.py"].mode == 0o644
    assert entries["app/share/greeting.txt"].size == 5


async def test_the_configuration_says_how_to_run_it_and_where_it_is_from(
    registry: Registry, sandbox: SandboxRegistry, tmp_path: Path
) -> None:
    image = await assemble(registry, request_for(checkout(tmp_path / "commit"), sandbox))
    config = await read_config(registry, image.reference)
    settings = config["config"]
    assert settings["Entrypoint"] == ["python3", "-m", "service"]
    assert settings["WorkingDir"] == "/app"
    assert settings["User"] == "65532:65532"
    assert settings["ExposedPorts"] == {"8219/tcp": {}}
    environment = dict(entry.split("=", 1) for entry in settings["Env"])
    assert environment["MODE"] == "production"
    assert environment["PYTHONPATH"] == "/app:/app/site-packages"
    assert environment["PATH"].startswith("/app/bin:/usr/local/sbin:")
    labels = settings["Labels"]
    assert labels["org.opencontainers.image.revision"] == "c0ffee"
    assert labels["org.opencontainers.image.created"] == "2026-01-02T03:04:05Z"
    assert labels["org.opencontainers.image.base.digest"] == sandbox.base_image.split("@")[1]
    assert labels["org.opencontainers.image.title"] == "sandbox/python-base", "the base's stay"
    assert config["created"] == "2026-01-02T03:04:05Z"
    assert len(config["rootfs"]["diff_ids"]) == len(image.layers) == len(config["history"])


async def test_a_tag_names_the_image_too(
    registry: Registry, sandbox: SandboxRegistry, tmp_path: Path
) -> None:
    request = request_for(checkout(tmp_path / "commit"), sandbox, tag="c0ffee")
    image = await assemble(registry, request)
    _, digest, _ = await registry.get_manifest(request.repository, "c0ffee")
    assert digest == image.digest
    assert image.reference == f"{request.repository}@{digest}"


async def pushed_base(registry: Registry, repository: str, **changes: Any) -> str:
    """A base image of one layer; returns its digest."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("etc/base"))
    layer = packed.getvalue()
    await registry.put_blob(repository, layer)
    config = {
        "os": "linux",
        "architecture": changes.get("architecture", "amd64"),
        "rootfs": {"type": "layers", "diff_ids": [digest_of(b"x")] * changes.get("diff_ids", 1)},
    }
    config_body = canonical_json(config)
    await registry.put_blob(repository, config_body)
    media_type = changes.get("layer", "application/vnd.oci.image.layer.v1.tar+gzip")
    manifest = {
        "schemaVersion": 2,
        "mediaType": changes.get("manifest", OCI_MANIFEST),
        "config": descriptor(
            "application/vnd.oci.image.config.v1+json", digest_of(config_body), len(config_body)
        ),
        "layers": [descriptor(media_type, digest_of(layer), len(layer))],
    }
    return await registry.put_manifest(repository, canonical_json(manifest))


async def test_of_a_base_for_many_platforms_the_one_asked_for_is_taken(
    registry: Registry, sandbox: SandboxRegistry, tmp_path: Path
) -> None:
    repository = f"{sandbox.address}/base/python"
    manifests = []
    for architecture in ("amd64", "arm64"):
        digest = await pushed_base(registry, repository, architecture=architecture)
        _, _, body = await registry.get_manifest(repository, digest)
        platform = {"platform": {"os": "linux", "architecture": architecture}}
        manifests.append(descriptor(OCI_MANIFEST, digest, len(body)) | platform)
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}
    base = f"{repository}@{await registry.put_manifest(repository, canonical_json(index))}"
    folder = checkout(tmp_path / "commit")
    image = await assemble(registry, request_for(folder, sandbox, base=base, architecture="arm64"))
    config = await read_config(registry, image.reference)
    assert config["architecture"] == "arm64"
    with pytest.raises(PermanentFailure, match=r"nothing for linux/s390x.*amd64, linux/arm64"):
        await assemble(registry, request_for(folder, sandbox, base=base, architecture="s390x"))


async def test_a_base_of_another_registry_is_copied_and_its_docker_types_become_ocis(
    sandbox: SandboxRegistry, tmp_path: Path
) -> None:
    async with (
        running_registry(tmp_path / "other") as other,
        Registry([sandbox.address, other.address]) as registry,
    ):
        docker_layer = "application/vnd.docker.image.rootfs.diff.tar.gzip"
        repository = f"{other.address}/base/python"
        digest = await pushed_base(
            registry, repository, manifest=DOCKER_MANIFEST, layer=docker_layer
        )
        base = f"{repository}@{digest}"
        request = request_for(checkout(tmp_path / "commit"), sandbox, base=base)
        image = await assemble(registry, request)
        manifest, _, _ = await registry.get_manifest(request.repository, image.digest)
    assert {layer["mediaType"] for layer in manifest["layers"]} == {
        "application/vnd.oci.image.layer.v1.tar+gzip"
    }


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"architecture": "arm64"}, "is for linux/arm64, not linux/amd64"),
        ({"diff_ids": 2}, "does not fit its layers"),
        (
            {"layer": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"},
            "may not be copied",
        ),
    ],
)
async def test_a_base_that_cannot_be_built_on_is_refused(
    registry: Registry,
    sandbox: SandboxRegistry,
    tmp_path: Path,
    changes: dict[str, Any],
    reason: str,
) -> None:
    repository = f"{sandbox.address}/base/python"
    base = f"{repository}@{await pushed_base(registry, repository, **changes)}"
    with pytest.raises(PermanentFailure, match=reason):
        await assemble(registry, request_for(checkout(tmp_path / "c"), sandbox, base=base))


async def test_a_base_by_tag_or_that_does_not_exist_is_refused(
    registry: Registry, sandbox: SandboxRegistry, tmp_path: Path
) -> None:
    folder = checkout(tmp_path / "commit")
    by_tag = f"{sandbox.address}/sandbox/python-base:3"
    with pytest.raises(PermanentFailure, match="not named by digest"):
        await assemble(registry, request_for(folder, sandbox, base=by_tag))
    absent = f"{sandbox.address}/sandbox/python-base@sha256:{'0' * 64}"
    with pytest.raises(NotFound):
        await assemble(registry, request_for(folder, sandbox, base=absent))


async def test_the_examples_album_starts_and_serves_from_its_image(
    registry: Registry, sandbox: SandboxRegistry, tmp_path: Path, unused_tcp_port: int
) -> None:
    services = EXAMPLE / "microservices"
    request = AssembleRequest(
        base=sandbox.base_image,
        files=(
            (services / "__init__.py", "/app/microservices/__init__.py"),
            (services / "service_kit", "/app/microservices/service_kit"),
            (services / "album", "/app/microservices/album"),
        ),
        entrypoint=("python3", "-m", "microservices.album"),
        port=8219,
        created=COMMIT_TIME,
        repository=f"{sandbox.address}/isa/album",
    )
    image = await assemble(registry, request)
    await unpack(registry, image.reference, tmp_path / "root")
    config = await read_config(registry, image.reference)
    with running(tmp_path / "root", config, unused_tcp_port):
        url = f"http://127.0.0.1:{unused_tcp_port}/health"
        status, _ = await asyncio.to_thread(answer_of, url)
    assert status == 200
