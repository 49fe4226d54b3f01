from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from tests.support.sandbox_kubernetes import (
    NAMESPACE,
    Answer,
    Api,
    config_map,
    deployment,
    http_route,
    path_of,
    running_cluster,
    service,
    until,
)


@dataclass(frozen=True)
class Scene:
    """A cluster, and the requests that its pods were told of."""

    api: Api
    told: list[tuple[str, int, float]]

    async def runs(self, manifest: dict[str, Any], *others: dict[str, Any]) -> None:
        await self.api.create(manifest)
        for other in others:
            await self.api.create(other)
        labels = {"app": manifest["metadata"]["name"]}
        cluster = self.api.cluster
        wanted = manifest["spec"]["replicas"]
        await until(cluster, lambda: len(cluster.ready_pods(NAMESPACE, labels)) == wanted)

    async def through_service(self, path: str, name: str = "album:80") -> Answer:
        return await self.api.get(f"/api/v1/namespaces/{NAMESPACE}/services/{name}/proxy{path}")

    async def through_gateway(self, path: str, host: str = "album.example") -> Answer:
        headers = {"Host": host}
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.api.cluster.gateway_url}{path}", headers=headers) as response,
        ):
            decoded = response.content_type == "application/json"
            body = await response.json() if decoded else await response.text()
            return Answer(response.status, body)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    told: list[tuple[str, int, float]] = []

    def tell(pod: dict[str, Any], status: int, seconds: float) -> None:
        told.append((pod["metadata"]["name"], status, seconds))

    async with running_cluster(speed=100, on_request=tell) as api:
        yield Scene(api, told)


async def test_a_service_proxy_reaches_a_ready_pod_and_tells_its_metrics(scene: Scene) -> None:
    await scene.runs(deployment(), service())
    answer = await scene.through_service("/health")
    assert answer == Answer(200, {"status": "healthy", "service": "album"})
    [(pod, status, seconds)] = scene.told
    assert scene.api.cluster.store.get("pods", NAMESPACE, pod) is not None
    assert status == 200
    assert seconds > 0


@pytest.mark.parametrize("name", ["album", "album:80", "album:http", "http:album:80"])
async def test_a_service_proxy_takes_every_form_of_the_name(scene: Scene, name: str) -> None:
    await scene.runs(deployment(replicas=1), service())
    assert (await scene.through_service("/ready", name)).code == 200


async def test_a_pod_tells_its_version_and_settings_and_no_secret(scene: Scene) -> None:
    container = {
        "image": "registry.example/album@sha256:abc",
        "envFrom": [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "s"}}],
        "env": [
            {"name": "PORT", "value": "8219"},
            {"name": "LEVEL", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "L"}}},
            {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "p"}}},
        ],
    }
    secret = {"kind": "Secret", "metadata": {"name": "s"}, "stringData": {"p": "hidden"}}
    await scene.api.send("POST", f"/api/v1/namespaces/{NAMESPACE}/secrets", secret)
    await scene.runs(
        deployment(replicas=1, container=container), service(), config_map("settings", L="3")
    )
    answer = await scene.through_service("/api/v1/albums?limit=3")
    assert answer.body["path"] == "/api/v1/albums"
    assert answer.body["version"] == "sha256:abc"
    assert answer.body["config"] == {"L": "3", "LEVEL": "3", "PORT": "8219"}


async def test_a_container_keeps_the_settings_it_was_started_with(scene: Scene) -> None:
    container = {"envFrom": [{"configMapRef": {"name": "settings"}}]}
    await scene.api.create(config_map("settings", MODE="old"))
    await scene.runs(deployment(replicas=1, container=container), service())
    change = {"data": {"MODE": "new"}}
    await scene.api.patch(path_of("ConfigMap", "settings"), change, "merge-patch")
    assert (await scene.through_service("/")).body["config"] == {"MODE": "old"}


async def test_a_service_without_ready_pods_is_unavailable(scene: Scene) -> None:
    await scene.api.create(service())
    answer = await scene.through_service("/health")
    assert (answer.code, answer.body["reason"]) == (503, "ServiceUnavailable")
    assert answer.body["message"] == 'no endpoints available for service "album"'


async def test_a_port_that_the_service_lacks_is_unavailable(scene: Scene) -> None:
    await scene.runs(deployment(replicas=1), service())
    answer = await scene.through_service("/health", "album:81")
    assert answer.body["message"] == 'no service port 81 found for service "album"'


async def test_a_missing_service_is_not_found(scene: Scene) -> None:
    assert (await scene.through_service("/health")).code == 404


async def test_a_version_with_errors_fails_requests_but_not_its_probes(scene: Scene) -> None:
    await scene.runs(deployment(replicas=1, faults="production:errors=100%"), service())
    assert (await scene.through_service("/api")).code == 500
    assert (await scene.through_service("/health")).code == 200
    assert [status for _, status, _ in scene.told] == [500, 200]


async def test_a_version_that_says_its_paths_has_no_others(scene: Scene) -> None:
    manifest = deployment(replicas=1)
    template = manifest["spec"]["template"]["metadata"]
    template["annotations"] = {"sandbox.tidegate.dev/paths": "/api/v1/albums, /api/v1/photos"}
    await scene.runs(manifest, service(), http_route(("album", 1)))
    for ask in (scene.through_service, scene.through_gateway):
        assert (await ask("/api/v1/photos?page=1")).code == 200
        assert await ask("/other") == Answer(404, {"service": "album", "error": "Not Found"})
        assert (await ask("/health")).code == 200


async def test_a_slow_version_answers_slowly(scene: Scene) -> None:
    await scene.runs(deployment(replicas=1, faults="production:latency=10x"), service())
    await scene.through_service("/api")
    assert scene.told[0][2] > 0.05


async def test_the_gateway_splits_requests_by_weight(scene: Scene) -> None:
    for name in ("old", "new"):
        await scene.runs(deployment(name, replicas=1, image=f"r/x:{name}"), service(name))
    await scene.api.create(http_route(("old", 75), ("new", 25)))
    answers = [await scene.through_gateway("/") for _ in range(60)]
    versions = Counter(answer.body["version"] for answer in answers)
    assert versions.total() == 60
    assert versions["old"] > versions["new"] > 0


async def test_a_weight_of_zero_gets_no_request(scene: Scene) -> None:
    for name in ("old", "new"):
        await scene.runs(deployment(name, replicas=1, image=f"r/x:{name}"), service(name))
    await scene.api.create(http_route(("old", 1), ("new", 0)))
    answers = [await scene.through_gateway("/") for _ in range(20)]
    assert {answer.body["version"] for answer in answers} == {"old"}


async def test_the_gateway_routes_by_host_and_longest_path(scene: Scene) -> None:
    for name in ("web", "api"):
        await scene.runs(deployment(name, replicas=1), service(name))
    await scene.api.create(http_route(("web", 1), name="web"))
    matches = [{"path": {"type": "PathPrefix", "value": "/api"}}]
    await scene.api.create(http_route(("api", 1), name="api", matches=matches))
    assert (await scene.through_gateway("/apix")).body["service"] == "web"
    assert (await scene.through_gateway("/api/x")).body["service"] == "api"
    assert (await scene.through_gateway("/", host="other.example")).code == 404


async def test_the_gateway_answers_for_backends_that_cannot(scene: Scene) -> None:
    await scene.api.create(http_route(("album", 1)))
    assert (await scene.through_gateway("/")).code == 500
    await scene.api.create(service())
    assert (await scene.through_gateway("/")).code == 503
    change = [{"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": 0}]
    await scene.api.patch(path_of("HTTPRoute", "album"), change)
    assert (await scene.through_gateway("/")).code == 500


async def test_a_route_with_filters_is_refused_by_name(scene: Scene) -> None:
    await scene.api.create(http_route(("album", 1), filters=[{"type": "RequestMirror"}]))
    answer = await scene.through_gateway("/")
    assert answer.code == 501
    assert "filters (HTTPRoute album)" in answer.body
