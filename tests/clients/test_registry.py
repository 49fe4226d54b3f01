import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web

from clients.artifacts import Artifact, ArtifactLayer
from clients.registry import Registry
from clients.registry_auth import Challenge, Login, anonymous, docker_config
from domain.errors import NotFound, PermanentFailure, TransientFailure
from domain.images import InvalidReference, Reference
from domain.records import digest_of
from sandbox.registry import Registry as SandboxRegistry
from tests.contract.token_server import TokenServer
from tests.support.registry import (
    Front,
    answering,
    basic_required,
    breaking_off,
    running_registry,
)

NOTE = ArtifactLayer("text/plain", b"note", {"org.example.name": "note.txt"})
ABSENT = "sha256:" + "0" * 64
EVIDENCE = "application/vnd.example.evidence.v1+json"


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[SandboxRegistry]:
    async with running_registry(tmp_path / "registry") as running:
        yield running


@pytest.fixture
async def front(sandbox: SandboxRegistry) -> AsyncIterator[Front]:
    async with Front(sandbox.url).running() as running:
        yield running


@pytest.fixture
async def registry(sandbox: SandboxRegistry, front: Front) -> AsyncIterator[Registry]:
    async with Registry(plain_http=[sandbox.address, front.address]) as client:
        yield client


@pytest.fixture
def repository(sandbox: SandboxRegistry) -> str:
    return f"{sandbox.address}/isa/album"


def docker_login(path: Path, host: str, user: str, password: str) -> Path:
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    path.write_text(json.dumps({"auths": {host: {"auth": auth}}}))
    return path


async def test_a_blob_is_read_back_as_it_was_stored(registry: Registry, repository: str) -> None:
    digest = await registry.put_blob(repository, b"content")
    assert digest == digest_of(b"content")
    assert await registry.has_blob(repository, digest)
    assert await registry.get_blob(repository, digest) == b"content"


async def test_storing_a_blob_again_uploads_nothing(
    registry: Registry, repository: str, sandbox: SandboxRegistry
) -> None:
    await registry.put_blob(repository, b"content")
    await registry.put_blob(repository, b"content")
    assert sandbox.requests.count("PUT", "/blobs/") == 1


async def test_a_file_is_stored_and_downloaded_whole(
    registry: Registry, repository: str, tmp_path: Path
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(3_000_000))
    digest = await registry.put_blob(repository, source)
    await registry.download_blob(repository, digest, target)
    assert target.read_bytes() == source.read_bytes()


async def test_a_download_that_breaks_off_leaves_no_file_and_may_be_tried_again(
    registry: Registry, front: Front, tmp_path: Path
) -> None:
    front.rule = breaking_off("/blobs/")
    with pytest.raises(TransientFailure, match="broke off"):
        await registry.download_blob(f"{front.address}/isa/album", ABSENT, tmp_path / "layer")
    assert list(tmp_path.glob("layer*")) == []


async def test_content_that_is_not_what_its_digest_says_is_refused(
    registry: Registry, front: Front, tmp_path: Path
) -> None:
    repository = f"{front.address}/isa/album"
    front.rule = answering(200, where="/v2/", text="forged")
    with pytest.raises(PermanentFailure, match="other content"):
        await registry.get_blob(repository, ABSENT)
    with pytest.raises(PermanentFailure, match="other content"):
        await registry.get_manifest(repository, ABSENT)
    with pytest.raises(PermanentFailure, match="other content"):
        await registry.download_blob(repository, ABSENT, tmp_path / "layer")
    assert list(tmp_path.glob("layer*")) == []


async def test_a_blob_larger_than_the_limit_is_refused(registry: Registry, repository: str) -> None:
    digest = await registry.put_blob(repository, b"x" * 1000)
    with pytest.raises(PermanentFailure, match="larger than 999 bytes"):
        await registry.get_blob(repository, digest, limit_bytes=999)


async def test_a_mounted_blob_belongs_to_both_repositories_without_an_upload(
    registry: Registry, repository: str, sandbox: SandboxRegistry
) -> None:
    other = f"{sandbox.address}/isa/billing"
    digest = await registry.put_blob(repository, b"layer")
    assert await registry.mount_blob(other, digest, repository)
    assert await registry.get_blob(other, digest) == b"layer"
    assert sandbox.requests.count("PUT", "/isa/billing/blobs/") == 0


async def test_a_blob_that_cannot_be_mounted_leaves_no_open_upload(
    registry: Registry, repository: str, sandbox: SandboxRegistry
) -> None:
    assert not await registry.mount_blob(repository, ABSENT, f"{sandbox.address}/isa/billing")
    assert not await registry.mount_blob(repository, ABSENT, "elsewhere.example.com/isa/billing")
    assert sandbox.requests.count("DELETE", "/blobs/uploads/") == 1


async def test_a_tag_resolves_to_the_digest_of_its_exact_bytes(
    registry: Registry, repository: str
) -> None:
    digest = await registry.push_artifact(repository, Artifact("text/note", (NOTE,)))
    _, _, body = await registry.get_manifest(repository, digest)
    assert await registry.put_manifest(repository, body, "v1") == digest
    assert await registry.resolve(Reference.parse(f"{repository}:v1")) == digest
    assert await registry.resolve(Reference.parse(f"{repository}@{digest}")) == digest
    assert await registry.get_manifest(repository, "v1") == (json.loads(body), digest, body)


async def test_a_tag_resolves_where_head_gives_no_digest(
    registry: Registry, repository: str, front: Front
) -> None:
    digest = await registry.push_artifact(repository, Artifact("text/note", (NOTE,)))
    front.hidden_headers = frozenset({"Docker-Content-Digest"})
    reference = Reference.parse(f"{front.address}/isa/album@{digest}")
    assert await registry.resolve(reference) == digest


async def test_what_does_not_exist_is_not_found_and_named(
    registry: Registry, repository: str
) -> None:
    with pytest.raises(NotFound, match="isa/album:v9"):
        await registry.resolve(Reference.parse(f"{repository}:v9"))
    with pytest.raises(NotFound, match=ABSENT):
        await registry.get_blob(repository, ABSENT)


async def test_a_manifest_that_names_absent_blobs_is_a_permanent_failure(
    registry: Registry, repository: str
) -> None:
    with pytest.raises(PermanentFailure, match="MANIFEST_BLOB_UNKNOWN"):
        await registry.put_manifest(repository, Artifact("text/note", (NOTE,)).manifest(None))


async def test_the_same_artifact_has_the_same_digest_in_every_repository(
    registry: Registry, repository: str, sandbox: SandboxRegistry
) -> None:
    artifact = Artifact("text/note", (NOTE,), annotations={"b": "2", "a": "1"})
    again = Artifact("text/note", (NOTE,), annotations={"a": "1", "b": "2"})
    digests = {
        await registry.push_artifact(repository, artifact),
        await registry.push_artifact(repository, again),
        await registry.push_artifact(f"{sandbox.address}/isa/billing", artifact),
    }
    assert len(digests) == 1
    manifest, _, _ = await registry.get_manifest(repository, digests.pop())
    assert manifest["artifactType"] == "text/note"
    assert manifest["layers"][0]["annotations"] == {"org.example.name": "note.txt"}


@pytest.mark.parametrize("has_api", [True, False], ids=["referrers API", "fallback tag"])
async def test_referrers_are_what_was_pushed_about_a_subject(
    registry: Registry, front: Front, has_api: bool
) -> None:
    if not has_api:
        front.rule = answering(404, where="/referrers/")
        front.hidden_headers = frozenset({"OCI-Subject"})
    repository = f"{front.address}/isa/album"
    bundle = await registry.push_artifact(repository, Artifact("text/bundle", (NOTE,)))
    assert await registry.referrers(repository, bundle) == []
    about = [
        Artifact(EVIDENCE, (ArtifactLayer("text/plain", b"%d" % number),), subject=bundle)
        for number in range(3)
    ]
    other = Artifact("text/scan", (), subject=bundle, annotations={"severity": "low"})
    pushed = await asyncio.gather(
        *(registry.push_artifact(repository, one) for one in [*about, other, about[0]])
    )
    found = await registry.referrers(repository, bundle)
    assert {entry["digest"] for entry in found} == set(pushed)
    assert len(found) == 4
    (scan,) = await registry.referrers(repository, bundle, "text/scan")
    assert scan["digest"] == pushed[3]
    assert scan["annotations"] == {"severity": "low"}


async def test_referrers_are_read_over_all_pages(registry: Registry, front: Front) -> None:
    repository = f"{front.address}/isa/album"
    pages = {"": (["1", "2"], "</v2/isa/album/referrers/x?page=2>"), "2": (["3"], "")}

    async def paged(request: web.Request) -> web.Response:
        entries, link = pages[request.query.get("page", "")]
        headers = {"Link": f'{link}; rel="next"'} if link else {}
        manifests = [{"digest": entry} for entry in entries]
        return web.json_response({"manifests": manifests}, headers=headers)

    front.rule = paged
    found = await registry.referrers(repository, ABSENT)
    assert [entry["digest"] for entry in found] == ["1", "2", "3"]


async def test_a_bearer_challenge_is_answered_with_the_login_of_the_docker_config(
    front: Front, tmp_path: Path
) -> None:
    front.rule = TokenServer(Login("builder", "secret")).demanding(front)
    config = docker_login(tmp_path / "config.json", front.address, "builder", "secret")
    async with Registry([front.address], docker_config(config)) as registry:
        repository = f"{front.address}/isa/album"
        digest = await registry.push_artifact(repository, Artifact("text/note", (NOTE,)))
        assert await registry.resolve(Reference.parse(f"{repository}@{digest}")) == digest
    tokens = [path for _, path, _ in front.seen if path == "/token"]
    assert len(tokens) == 2, "one token to read and one to write, each used again"


async def test_a_basic_challenge_is_answered_with_the_login_of_the_docker_config(
    front: Front, tmp_path: Path
) -> None:
    front.rule = basic_required("builder", "pass:word")
    config = docker_login(tmp_path / "config.json", front.address, "builder", "pass:word")
    async with Registry([front.address], docker_config(config)) as registry:
        digest = await registry.put_blob(f"{front.address}/isa/album", b"content")
        assert await registry.has_blob(f"{front.address}/isa/album", digest)


async def test_a_registry_that_demands_a_login_lets_in_who_shows_the_right_one(
    tmp_path: Path,
) -> None:
    locked = SandboxRegistry(tmp_path / "content", {"builder": "pass:word"})
    await locked.start()
    repository = f"{locked.address}/isa/album"
    right = docker_login(tmp_path / "right.json", locked.address, "builder", "pass:word")
    wrong = docker_login(tmp_path / "wrong.json", locked.address, "builder", "guessed")
    async with Registry([locked.address], docker_config(right)) as registry:
        digest = await registry.push_artifact(repository, Artifact("text/note", (NOTE,)))
        assert await registry.resolve(Reference.parse(f"{repository}@{digest}")) == digest
    for credentials in (anonymous, docker_config(wrong)):
        async with Registry([locked.address], credentials) as registry:
            with pytest.raises(PermanentFailure, match=f"docker login {locked.address}"):
                await registry.get_manifest(repository, digest)
    await locked.close()


async def test_an_identity_token_is_exchanged_for_a_bearer_token(
    front: Front, tmp_path: Path
) -> None:
    server = TokenServer(Login("builder", "secret", "identity"))
    front.rule = server.demanding(front)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"auths": {front.address: {"identitytoken": "identity"}}}))
    async with Registry([front.address], docker_config(config)) as registry:
        assert not await registry.has_blob(f"{front.address}/isa/album", ABSENT)
    assert server.scopes == [["repository:isa/album:pull"]]


async def test_a_token_server_is_told_who_asks(front: Front, tmp_path: Path) -> None:
    agents: list[str] = []
    demand = TokenServer(Login("builder", "secret")).demanding(front)

    async def rule(request: web.Request) -> web.StreamResponse | None:
        agents.append(request.headers["User-Agent"])
        return await demand(request)

    front.rule = rule
    config = docker_login(tmp_path / "config.json", front.address, "builder", "secret")
    async with Registry([front.address], docker_config(config)) as registry:
        assert not await registry.has_blob(f"{front.address}/isa/album", ABSENT)
    assert [path for _, path, _ in front.seen if path == "/token"] == ["/token"]
    assert {agent.partition("/")[0] for agent in agents} == {"tidegate-registry"}


@pytest.mark.parametrize("scheme", ["bearer", "basic"])
async def test_a_wrong_login_is_permanent_names_the_host_and_shows_no_secret(
    front: Front, tmp_path: Path, scheme: str
) -> None:
    front.rule = (
        TokenServer(Login("builder", "secret")).demanding(front)
        if scheme == "bearer"
        else basic_required("builder", "secret")
    )
    config = docker_login(tmp_path / "config.json", front.address, "builder", "wr0ng")
    async with Registry([front.address], docker_config(config)) as registry:
        with pytest.raises(PermanentFailure, match=f"docker login {front.address}") as failure:
            await registry.put_blob(f"{front.address}/isa/album", b"content")
    assert "wr0ng" not in str(failure.value)


async def test_a_password_is_not_sent_in_the_clear_to_a_realm_of_a_registry_meant_to_be_safe(
    front: Front, tmp_path: Path
) -> None:
    config = docker_login(tmp_path / "config.json", front.address, "builder", "secret")
    challenge = 'Bearer realm="ftp://elsewhere.example.com/token",service="x"'
    front.rule = answering(401, WWW_Authenticate=challenge)
    async with Registry([front.address], docker_config(config)) as registry:
        with pytest.raises(PermanentFailure, match="only https is trusted"):
            await registry.has_blob(f"{front.address}/isa/album", ABSENT)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_blob_that_is_kept_elsewhere_is_read_there_without_our_authorization(
    sandbox: SandboxRegistry, front: Front, tmp_path: Path, status: int
) -> None:
    """Registries keep blobs in a store of another host: whoever answers there is not theirs."""
    config = docker_login(tmp_path / "config.json", front.address, "builder", "secret")
    login = basic_required("builder", "secret")
    async with Registry([sandbox.address]) as direct, Front(sandbox.url).running() as store:
        digest = await direct.put_blob(f"{sandbox.address}/isa/album", b"content")

        async def moved(request: web.Request) -> web.StreamResponse | None:
            refused = await login(request)
            where = f"http://{store.address}{request.path}"
            return refused or web.Response(status=status, headers={"Location": where})

        front.rule = moved
        async with Registry([front.address, store.address], docker_config(config)) as registry:
            assert await registry.get_blob(f"{front.address}/isa/album", digest) == b"content"
    assert [authorization for _, _, authorization in front.seen][-1] is not None
    assert [authorization for _, _, authorization in store.seen] == [None]


@pytest.mark.parametrize("status", [302, 307, 308])
@pytest.mark.parametrize("entry", [{"identitytoken": "identity"}, {"auth": "YnVpbGRlcjpzZWNyZXQ="}])
async def test_no_login_and_no_identity_token_follow_a_token_servers_redirect(
    front: Front, tmp_path: Path, status: int, entry: dict[str, str]
) -> None:
    async with Front(front.address).running() as elsewhere:

        async def rule(request: web.Request) -> web.StreamResponse | None:
            if request.path == "/token":
                there = f"http://{elsewhere.address}/token?state=1"
                return web.Response(status=status, headers={"Location": there})
            challenge = f'Bearer realm="http://{front.address}/token",service="x",scope="a:b:pull"'
            return web.Response(status=401, headers={"WWW-Authenticate": challenge})

        front.rule = rule
        config = tmp_path / "config.json"
        config.write_text(json.dumps({"auths": {front.address: entry}}))
        async with Registry([front.address], docker_config(config)) as registry:
            with pytest.raises(PermanentFailure) as refused:
                await registry.has_blob(f"{front.address}/isa/album", ABSENT)
        assert elsewhere.seen == []
    said = str(refused.value)
    assert f"token from http://{front.address}/token: it redirects to" in said
    assert f"http://{elsewhere.address}/token, and no credentials are sent there" in said


async def test_credentials_that_cannot_be_read_are_named_by_their_file(
    front: Front, tmp_path: Path
) -> None:
    front.rule = basic_required("builder", "secret")
    config = tmp_path / "config.json"
    repository = f"{front.address}/isa/album"
    async with Registry([front.address], docker_config(config)) as registry:
        with pytest.raises(PermanentFailure, match=r"config\.json cannot be read"):
            await registry.has_blob(repository, ABSENT)
        config.write_text("{")
        with pytest.raises(PermanentFailure, match=r"config\.json are not JSON"):
            await registry.has_blob(repository, ABSENT)
        config.write_text(json.dumps({"auths": {front.address: {"auth": "%"}}}))
        with pytest.raises(PermanentFailure, match=f"docker login {front.address}"):
            await registry.has_blob(repository, ABSENT)


async def test_a_credential_program_is_asked_for_the_host(
    front: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "docker-credential-store"
    login = json.dumps({"Username": "builder", "Secret": "secret"})
    program.write_text(f"#!/bin/sh\nread host; [ $host = {front.address} ] && echo '{login}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"credHelpers": {front.address: "store"}}))
    front.rule = basic_required("builder", "secret")
    async with Registry([front.address], docker_config(config)) as registry:
        assert not await registry.has_blob(f"{front.address}/isa/album", ABSENT)


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_an_overloaded_registry_is_transient_and_its_wish_is_kept(
    registry: Registry, front: Front, status: int
) -> None:
    front.rule = answering(status, Retry_After="7")
    with pytest.raises(TransientFailure) as failure:
        await registry.resolve(Reference.parse(f"{front.address}/isa/album:v1"))
    assert failure.value.retry_after == timedelta(seconds=7)


async def test_a_forbidden_push_says_who_may(registry: Registry, front: Front) -> None:
    front.rule = answering(403)
    with pytest.raises(PermanentFailure, match=r"may read .*/isa/album"):
        await registry.has_blob(f"{front.address}/isa/album", ABSENT)


async def test_an_unreachable_registry_is_transient(unused_tcp_port: int) -> None:
    host = f"127.0.0.1:{unused_tcp_port}"
    async with Registry([host]) as registry:
        with pytest.raises(TransientFailure, match=f"{host} cannot be reached"):
            await registry.resolve(Reference.parse(f"{host}/isa/album:v1"))


async def test_a_silent_registry_is_transient(front: Front) -> None:
    async def silent(_: object) -> None:
        await asyncio.Event().wait()

    front.rule = silent
    async with Registry([front.address], timeout=timedelta(milliseconds=200)) as registry:
        with pytest.raises(TransientFailure, match="did not answer in time"):
            await registry.resolve(Reference.parse(f"{front.address}/isa/album:v1"))


async def test_plain_http_that_was_not_configured_is_said(sandbox: SandboxRegistry) -> None:
    async with Registry() as registry:
        with pytest.raises(PermanentFailure, match="if plain HTTP is meant"):
            await registry.resolve(Reference.parse(f"{sandbox.address}/isa/album:v1"))


async def test_a_repository_without_a_host_or_with_a_tag_is_refused(registry: Registry) -> None:
    with pytest.raises(InvalidReference):
        await registry.put_blob("isa/album", b"")
    with pytest.raises(PermanentFailure, match="where a repository is meant"):
        await registry.put_blob("localhost/isa/album:v1", b"")


def test_a_challenge_is_read_with_and_without_quotes() -> None:
    challenge = Challenge.parse(
        'Bearer realm="https://a/t",service=b, scope="repository:c:pull,push"'
    )
    assert challenge.scheme == "bearer"
    assert challenge.parameters["realm"] == "https://a/t"
    assert challenge.token_query == [("service", "b"), ("scope", "repository:c:pull,push")]


def test_several_scopes_are_asked_one_by_one_and_in_a_form_together() -> None:
    challenge = Challenge.parse('Bearer realm="https://a/t",scope="repository:c:pull r:d:pull"')
    assert challenge.token_query == [("scope", "repository:c:pull"), ("scope", "r:d:pull")]
    assert challenge.token_form == {"scope": "repository:c:pull r:d:pull"}
