"""Our client with distribution's token authentication; only the token server is a double."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from clients.artifacts import Artifact, ArtifactLayer
from clients.registry import Registry
from clients.registry_auth import Challenge, Login, docker_config
from domain.errors import PermanentFailure
from domain.images import Reference
from domain.records import digest_of
from tests.cluster.programs import built
from tests.contract.registry_targets import distribution
from tests.contract.token_server import LEEWAY_SECONDS, SERVICE, TokenServer

pytestmark = pytest.mark.real

BUILDER = Login("builder", "pass:word")
LAYER = ArtifactLayer("text/plain", b"a layer", {})
NOTE = Artifact("application/vnd.example.note.v1+json", (LAYER,))
PATIENCE_SECONDS = 20.0
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Scene:
    """A registry that takes only tokens, and who gives them."""

    url: str
    server: TokenServer
    folder: Path

    @property
    def host(self) -> str:
        return self.url.removeprefix("http://")

    @asynccontextmanager
    async def client(self, login: Login = BUILDER) -> AsyncIterator[Registry]:
        """Our client with the login in a docker `config.json`."""
        auth = base64.b64encode(f"{login.user}:{login.password}".encode()).decode()
        config = self.folder / "config.json"
        config.write_text(json.dumps({"auths": {self.host: {"auth": auth}}}))
        async with Registry([self.host], docker_config(config)) as registry:
            yield registry

    async def status(self, path: str, token: str = "") -> tuple[int, str]:
        """Status and challenge of one GET, with a token when there is one."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.url}{path}", headers=headers) as answer,
        ):
            return answer.status, answer.headers.get("WWW-Authenticate", "")


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    if built("registry") is None:
        pytest.skip("not built yet: registry; say `python -m tests.cluster.programs registry`")
    async with (
        TokenServer(BUILDER).running() as server,
        distribution(tmp_path, server.authentication(tmp_path)) as url,
    ):
        yield Scene(url, server, tmp_path)


async def test_who_shows_nothing_is_told_where_to_get_a_token_and_for_what(scene: Scene) -> None:
    status, header = await scene.status("/v2/isa/album/manifests/v1")
    assert status == 401
    challenge = Challenge.parse(header)
    assert challenge.scheme == "bearer"
    assert challenge.parameters["realm"] == scene.server.realm
    assert challenge.parameters["service"] == SERVICE
    assert challenge.parameters["scope"] == "repository:isa/album:pull"


async def test_an_artifact_is_pushed_and_pulled_by_tokens_each_used_again(scene: Scene) -> None:
    repository = f"{scene.host}/isa/album"
    async with scene.client() as registry:
        digest = await registry.push_artifact(repository, NOTE)
        assert await registry.resolve(Reference.parse(f"{repository}@{digest}")) == digest
        _, found, _ = await registry.get_manifest(repository, digest)
        assert await registry.get_blob(repository, digest_of(LAYER.content)) == LAYER.content
    assert found == digest
    assert [_as_asked(scopes) for scopes in scene.server.scopes] == [
        {"repository:isa/album": {"pull"}},
        {"repository:isa/album": {"pull", "push"}},
    ]


async def test_a_mount_asks_for_a_token_of_both_repositories(scene: Scene) -> None:
    place, source = f"{scene.host}/isa/album", f"{scene.host}/isa/base"
    async with scene.client() as registry:
        digest = await registry.put_blob(source, b"shared")
        await registry.put_blob(place, b"own")
        assert await registry.mount_blob(place, digest, source)
        assert await registry.has_blob(place, digest)
    asked = [_as_asked(scopes) for scopes in scene.server.scopes]
    both = {"repository:isa/album": {"pull", "push"}, "repository:isa/base": {"pull"}}
    assert both in asked


async def test_a_token_that_has_expired_is_replaced_by_a_new_one(scene: Scene) -> None:
    repository = f"{scene.host}/isa/album"
    scene.server.lifetime_seconds = 2 - LEEWAY_SECONDS
    async with scene.client() as registry:
        assert not await registry.has_blob(repository, digest_of(b"x"))
        (token,) = scene.server.tokens
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while (await scene.status("/v2/isa/album/tags/list", token))[0] != 401:
            assert asyncio.get_running_loop().time() < deadline, "the token never expires"
            await asyncio.sleep(POLL_SECONDS)
        scene.server.lifetime_seconds = 300
        assert not await registry.has_blob(repository, digest_of(b"x"))
    assert len(scene.server.tokens) == 2


async def test_who_may_only_pull_is_refused_a_push_and_told_what_is_missing(scene: Scene) -> None:
    repository = f"{scene.host}/isa/album"
    async with scene.client() as registry:
        await registry.put_blob(repository, b"content")
    scene.server.allowed = frozenset({"pull"})
    async with scene.client() as registry:
        assert await registry.has_blob(repository, digest_of(b"content"))
        with pytest.raises(PermanentFailure, match=r"401: .*log in as somebody who may write"):
            await registry.put_blob(repository, b"more content")


async def test_a_wrong_password_is_permanent_and_never_told(scene: Scene) -> None:
    async with scene.client(Login("builder", "guessed")) as registry:
        with pytest.raises(PermanentFailure, match=f"docker login {scene.host}") as failure:
            await registry.has_blob(f"{scene.host}/isa/album", digest_of(b"x"))
    assert "guessed" not in str(failure.value)
    assert scene.server.tokens == []


def _as_asked(scopes: list[str]) -> dict[str, set[str]]:
    """Actions by repository; their order is the registry's mood."""
    parts = [scope.rpartition(":") for scope in scopes]
    return {resource: set(actions.split(",")) for resource, _, actions in parts}
