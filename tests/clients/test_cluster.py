import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from clients.cluster import Cluster
from domain.errors import (
    Conflict,
    NoAccess,
    NotFound,
    PermanentFailure,
    ReleaseError,
    TransientFailure,
)
from sandbox.kubernetes.cluster import Cluster as Simulated
from tests.support.cluster_client import (
    cluster_at,
    cluster_of,
    kubeconfig,
    status,
    write_kubeconfig,
)
from tests.support.sandbox import eventually, revision, route
from tests.support.web import answering_with

Manifest = dict[str, Any]
LONG, SHORT = timedelta(seconds=20), timedelta(seconds=0.3)
PORT = 8219


@pytest.fixture
async def simulated() -> AsyncIterator[Simulated]:
    running = Simulated("staging", speed=100)
    await running.start()
    yield running
    await running.close()


@pytest.fixture
async def cluster(simulated: Simulated, tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster_of(simulated, tmp_path) as connected:
        yield connected


def config_map(name: str, **labels: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": labels},
        "data": {"colour": "green"},
    }


def replace(path: str, old: object, new: object) -> list[Manifest]:
    return [
        {"op": "test", "path": path, "value": old},
        {"op": "replace", "path": path, "value": new},
    ]


async def test_an_object_is_created_read_listed_patched_and_deleted(cluster: Cluster) -> None:
    created = await cluster.create(config_map("a", team="photos"))
    await cluster.create(config_map("b", team="bills"))
    assert await cluster.read("ConfigMap", "a") == created
    (listed,) = await cluster.list("ConfigMap", {"team": "photos"})
    assert listed == created
    patched = await cluster.patch("ConfigMap", "a", replace("/data/colour", "green", "red"))
    assert patched["data"] == {"colour": "red"}
    await cluster.delete("ConfigMap", "a", uid=created["metadata"]["uid"])
    assert await cluster.read("ConfigMap", "a") is None


async def test_listed_objects_say_their_kind_though_the_items_of_a_list_do_not(
    tmp_path: Path,
) -> None:
    async def server(_: web.Request) -> web.Response:
        return web.json_response({"kind": "PodList", "items": [{"metadata": {"name": "a"}}]})

    async with answering_with(server) as url, cluster_at(url, tmp_path) as cluster:
        (pod,) = await cluster.list("Pod")
    assert (pod["apiVersion"], pod["kind"]) == ("v1", "Pod")


async def test_every_request_names_tidegate_as_its_user_agent(
    cluster: Cluster, simulated: Simulated
) -> None:
    created = await cluster.create(config_map("a"))
    await cluster.list("ConfigMap")
    await cluster.version()
    with pytest.raises(TransientFailure):
        await cluster.watch_until("ConfigMap", "a", lambda _: None, timeout=SHORT)
    await cluster.delete("ConfigMap", "a", uid=created["metadata"]["uid"])
    used = verbs(simulated, "tidegate/")
    assert used >= {"create", "list", "watch", "delete", "get"}
    assert verbs(simulated) == used


async def test_a_failed_test_is_a_conflict_naming_object_path_and_both_values(
    cluster: Cluster,
) -> None:
    await cluster.create(route("album", v1=100))
    moved = replace("/spec/rules/0/backendRefs/0/weight", 90, 50)
    with pytest.raises(
        Conflict,
        match=r"HTTPRoute album \(context staging, namespace staging\): "
        r"/spec/rules/0/backendRefs/0/weight is 100, expected 90",
    ):
        await cluster.patch("HTTPRoute", "album", moved)
    unchanged = await cluster.read("HTTPRoute", "album")
    assert unchanged is not None
    assert unchanged["spec"]["rules"][0]["backendRefs"][0]["weight"] == 100


async def test_a_patch_of_a_path_that_is_not_there_is_a_conflict(cluster: Cluster) -> None:
    await cluster.create(config_map("a"))
    with pytest.raises(Conflict, match="/data/taste is absent, expected 'sweet'"):
        await cluster.patch("ConfigMap", "a", replace("/data/taste", "sweet", "sour"))
    with pytest.raises(Conflict, match="did not fit at one of /data/taste"):
        await cluster.patch("ConfigMap", "a", [{"op": "remove", "path": "/data/taste"}])


async def test_an_object_that_the_server_finds_invalid_is_permanent_with_its_causes(
    cluster: Cluster,
) -> None:
    deployment, _ = revision("album-v1", "registry/album:1")
    await cluster.create(deployment)
    with pytest.raises(
        PermanentFailure, match=r"spec\.replicas: .*greater than or equal"
    ) as caught:
        await cluster.patch("Deployment", "album-v1", replace("/spec/replicas", 2, -1))
    assert not isinstance(caught.value, Conflict)


async def test_creating_what_exists_is_a_conflict(cluster: Cluster) -> None:
    await cluster.create(config_map("a"))
    with pytest.raises(Conflict, match=r'create ConfigMap a .*"a" already exists'):
        await cluster.create(config_map("a"))


async def test_only_the_object_that_was_seen_is_deleted(cluster: Cluster) -> None:
    await cluster.create(config_map("a"))
    with pytest.raises(Conflict, match="delete ConfigMap a"):
        await cluster.delete("ConfigMap", "a", uid="11111111-1111-1111-1111-111111111111")
    assert await cluster.read("ConfigMap", "a") is not None
    await cluster.delete("ConfigMap", "never-there", uid="any")


async def test_patching_what_is_absent_is_not_found(cluster: Cluster) -> None:
    with pytest.raises(NotFound, match="patch ConfigMap nobody"):
        await cluster.patch("ConfigMap", "nobody", replace("/data/colour", 1, 2))


async def test_an_unknown_kind_names_the_nearest(cluster: Cluster) -> None:
    with pytest.raises(PermanentFailure, match="'HTTPRoutes'; nearest: HTTPRoute"):
        await cluster.read("HTTPRoutes", "album")


@pytest.mark.parametrize(
    "answer",
    [
        lambda: web.Response(status=404, text="404 page not found\n"),
        lambda: status(404, "NotFound", "the server could not find the requested resource"),
    ],
    ids=["unknown group", "unknown kind"],
)
async def test_a_kind_that_the_cluster_does_not_serve_is_no_absent_object(
    tmp_path: Path, answer: Callable[[], web.Response]
) -> None:
    async def without_gateway_api(_: web.Request) -> web.Response:
        return answer()

    async with (
        answering_with(without_gateway_api) as url,
        cluster_at(url, tmp_path) as cluster,
    ):
        with pytest.raises(NotFound, match=r"get HTTPRoute album .*install its CRD"):
            await cluster.read("HTTPRoute", "album")


async def test_waiting_ends_with_what_the_condition_returns(cluster: Cluster) -> None:
    await cluster.create(config_map("a"))
    waiting = asyncio.create_task(
        cluster.watch_until("ConfigMap", "a", lambda m: m["data"].get("taste"), timeout=LONG)
    )
    for number in range(3):
        added = [{"op": "add", "path": f"/data/k{number}", "value": "v"}]
        await cluster.patch("ConfigMap", "a", added)
    await cluster.patch("ConfigMap", "a", [{"op": "add", "path": "/data/taste", "value": "sour"}])
    assert await waiting == "sour"


async def test_waiting_for_something_already_there_does_not_watch(
    cluster: Cluster, simulated: Simulated
) -> None:
    await cluster.create(config_map("a"))
    found = await cluster.watch_until("ConfigMap", "a", lambda m: m["data"]["colour"], timeout=LONG)
    assert found == "green"
    assert "watch" not in verbs(simulated)


async def test_a_deadline_tells_the_last_state_seen(cluster: Cluster) -> None:
    deployment, _ = revision("album-v1", "registry/album:1", faults="staging:unready")
    await cluster.create(deployment)
    await cluster.watch_until(
        "Deployment", "album-v1", lambda m: m.get("status", {}).get("replicas"), timeout=LONG
    )
    with pytest.raises(
        TransientFailure, match=r"Deployment album-v1 .*0\.3 s; last seen: .*replicas=2"
    ):
        await cluster.watch_until("Deployment", "album-v1", lambda _: None, timeout=SHORT)


async def test_an_object_that_is_absent_or_deleted_ends_the_wait(
    cluster: Cluster, simulated: Simulated
) -> None:
    with pytest.raises(NotFound, match="does not exist"):
        await cluster.watch_until("ConfigMap", "a", lambda _: None, timeout=LONG)
    created = await cluster.create(config_map("a"))
    waiting: asyncio.Task[None] = asyncio.create_task(
        cluster.watch_until("ConfigMap", "a", lambda _: None, timeout=LONG)
    )
    await eventually(lambda: "watch" in verbs(simulated), "a watch")
    await cluster.delete("ConfigMap", "a", uid=created["metadata"]["uid"])
    with pytest.raises(NotFound, match="was deleted while it was waited for"):
        await waiting


def watched_object(version: int, **data: str) -> Manifest:
    metadata = {"name": "a", "resourceVersion": str(version)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def line(type_: str, manifest: Manifest) -> bytes:
    return json.dumps({"type": type_, "object": manifest}).encode() + b"\n"


EXPIRED = {
    "kind": "Status",
    "status": "Failure",
    "reason": "Expired",
    "message": "too old resource version: 1 (7)",
    "code": 410,
}


@pytest.mark.parametrize(
    "end",
    [b"", line("ERROR", EXPIRED), line("MODIFIED", watched_object(2, ripe="yes"))[:30]],
    ids=["dropped", "expired", "cut in a line"],
)
async def test_a_watch_that_ends_early_is_taken_up_where_the_object_is_now(
    tmp_path: Path, end: bytes
) -> None:
    reads = 0
    versions = []

    async def server(request: web.Request) -> web.StreamResponse:
        nonlocal reads
        if "watch" not in request.query:
            reads += 1
            return web.json_response(watched_object(reads))
        versions.append(request.query["resourceVersion"])
        response = web.StreamResponse()
        await response.prepare(request)
        if reads == 3:
            await response.write(line("BOOKMARK", {"metadata": {"resourceVersion": "9"}}))
            await response.write(line("MODIFIED", watched_object(10, ripe="yes")))
        else:
            await response.write(end)
        return response

    async with answering_with(server) as url, cluster_at(url, tmp_path) as cluster:
        found = await cluster.watch_until(
            "ConfigMap", "a", lambda m: m["data"].get("ripe"), timeout=LONG
        )
    assert found == "yes"
    assert versions == ["1", "2", "3"]


async def test_a_server_that_is_away_for_a_while_does_not_end_the_wait(tmp_path: Path) -> None:
    asked = 0

    async def server(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        if asked < 3:
            return status(503, "ServiceUnavailable", "apiserver is shutting down")
        return web.json_response(watched_object(1, ripe="yes"))

    async with answering_with(server) as url, cluster_at(url, tmp_path) as cluster:
        found = await cluster.watch_until(
            "ConfigMap", "a", lambda m: m["data"].get("ripe"), timeout=LONG
        )
    assert found == "yes"


async def test_a_wait_that_may_not_watch_fails_at_once(tmp_path: Path) -> None:
    async def server(request: web.Request) -> web.Response:
        if "watch" not in request.query:
            return web.json_response(watched_object(1))
        return forbidden()

    async with answering_with(server) as url, cluster_at(url, tmp_path) as cluster:
        with pytest.raises(
            PermanentFailure, match="grant watch on configmaps in namespace staging"
        ):
            await cluster.watch_until("ConfigMap", "a", lambda _: None, timeout=LONG)


def forbidden() -> web.Response:
    message = 'configmaps "a" is forbidden: User "bob" cannot watch resource "configmaps"'
    return status(403, "Forbidden", message, name="a", kind="configmaps")


REFUSALS: dict[str, tuple[Callable[[], web.Response], type[ReleaseError], str]] = {
    "no right": (forbidden, NoAccess, "grant get on configmaps in namespace staging"),
    "quota": (
        lambda: status(403, "Forbidden", 'configmaps "a" is forbidden: exceeded quota: small'),
        PermanentFailure,
        "exceeded quota: small; an admission rule or quota",
    ),
    "no credentials": (
        lambda: status(401, "Unauthorized", "Unauthorized"),
        NoAccess,
        "get ConfigMap a .*Unauthorized; renew the credentials",
    ),
    "not implemented": (
        lambda: status(501, "NotImplemented", "no such thing"),
        PermanentFailure,
        "no such thing",
    ),
    "no JSON": (lambda: web.Response(text="<html>"), PermanentFailure, "like a Kubernetes API"),
    "server error": (
        lambda: status(500, "InternalError", "etcdserver: leader changed"),
        TransientFailure,
        "leader changed",
    ),
    "gateway in between": (
        lambda: web.Response(status=502, text="bad gateway"),
        TransientFailure,
        "bad gateway",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_a_refusal_says_what_was_tried_on_which_object_and_what_to_do(
    tmp_path: Path, case: str
) -> None:
    answer, kind, words = REFUSALS[case]

    async def server(_: web.Request) -> web.Response:
        return answer()

    async with answering_with(server) as url, cluster_at(url, tmp_path) as cluster:
        with pytest.raises(ReleaseError, match=words) as caught:
            await cluster.read("ConfigMap", "a")
    assert type(caught.value) is kind


async def test_an_overloaded_server_is_transient_with_its_wish_and_asked_once(
    tmp_path: Path,
) -> None:
    asked = 0

    async def server(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.Response(status=429, headers={"Retry-After": "9"}, text="slow down")

    async with answering_with(server) as url, cluster_at(url, tmp_path) as cluster:
        with pytest.raises(TransientFailure) as caught:
            await cluster.list("Pod")
    assert caught.value.retry_after == timedelta(seconds=9)
    assert asked == 1


async def test_an_unreachable_server_is_transient_and_named(
    cluster: Cluster, simulated: Simulated
) -> None:
    await simulated.close()
    with pytest.raises(TransientFailure, match=f"get ConfigMap a .*{simulated.url} cannot be"):
        await cluster.read("ConfigMap", "a")


async def test_rotated_credentials_are_read_again_from_the_kubeconfig(tmp_path: Path) -> None:
    seen = []

    async def server(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        if seen[-1] != "Bearer new":
            return status(401, "Unauthorized", "Unauthorized")
        return web.json_response({"gitVersion": "v1.36.0"})

    async with answering_with(server) as url, cluster_at(url, tmp_path, token="old") as cluster:
        with pytest.raises(PermanentFailure, match="renew the credentials"):
            await cluster.version()
        write_kubeconfig(tmp_path, url, "new")
        assert await cluster.version() == "v1.36.0"
        assert await cluster.version() == "v1.36.0"
    assert seen == ["Bearer old", "Bearer old", "Bearer new", "Bearer new"]


async def test_a_review_tells_what_is_allowed(tmp_path: Path) -> None:
    asked = []

    async def server(request: web.Request) -> web.Response:
        asked.append((await request.json())["spec"]["resourceAttributes"])
        return web.json_response({"status": {"allowed": asked[-1]["verb"] == "get"}}, status=201)

    async with answering_with(server) as url, cluster_at(url, tmp_path) as cluster:
        assert await cluster.is_allowed("get", "", "services/proxy")
        assert not await cluster.is_allowed("patch", "apps", "deployments")
    assert asked == [
        {"namespace": "staging", "verb": "get", "resource": "services", "subresource": "proxy"},
        {"namespace": "staging", "verb": "patch", "group": "apps", "resource": "deployments"},
    ]


async def test_a_missing_kubeconfig_or_context_is_named_with_those_there_are(
    simulated: Simulated, tmp_path: Path
) -> None:
    path = kubeconfig(tmp_path, simulated)
    with pytest.raises(NotFound, match="no context 'stagin'; did you mean 'staging'"):
        await Cluster.connect(path, "stagin", "staging")
    with pytest.raises(NotFound, match="no context 'x'; It has staging"):
        await Cluster.connect(path, "x", "staging")
    with pytest.raises(NotFound, match="there is no kubeconfig"):
        await Cluster.connect(tmp_path / "nowhere", None, "staging")
    for text in ("a: [", "- a", "contexts: 5", "contexts: [{}]", ""):
        path.write_text(text)
        with pytest.raises(PermanentFailure, match="kubeconfig"):
            await Cluster.connect(path, None, "staging")


async def test_a_context_without_its_cluster_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    contexts = [{"name": "x", "context": {"cluster": "gone", "user": "x"}}]
    path.write_text(yaml.safe_dump({"contexts": contexts, "clusters": [], "users": []}))
    with pytest.raises(PermanentFailure, match="gone"):
        await Cluster.connect(path, "x", "staging")


async def test_outside_a_cluster_the_service_account_is_missed() -> None:
    with pytest.raises(PermanentFailure, match="service account"):
        await Cluster.connect(None, None, "staging")


def verbs(simulated: Simulated, agent: str = "") -> set[str]:
    """Which verbs were used by agents that begin so."""
    return set(simulated.requests.counts(lambda record: record.user_agent.startswith(agent)))
