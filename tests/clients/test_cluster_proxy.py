import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web

from clients.cluster import Cluster
from clients.cluster_proxy import LONGEST_BODY_BYTES
from domain.errors import NoAccess, NotFound, PermanentFailure, TransientFailure
from sandbox.kubernetes.cluster import Cluster as Simulated
from tests.support.cluster_client import all_ready, cluster_at, cluster_of, status
from tests.support.sandbox import revision
from tests.support.web import answering_with

LONG, SHORT = timedelta(seconds=20), timedelta(seconds=0.3)
PORT = 8219


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    simulated = Simulated("staging", speed=100)
    await simulated.start()
    async with cluster_of(simulated, tmp_path) as connected:
        yield connected
    await simulated.close()


async def test_a_service_answers_through_the_api_server(cluster: Cluster) -> None:
    for manifest in revision("album-v1", "registry/album:1"):
        await cluster.create(manifest)
    await all_ready(cluster, "album-v1", 2)
    answer = await cluster.ask_through_service("album-v1", PORT, "/health", timeout=LONG)
    assert answer.status == 200
    assert "healthy" in answer.body
    assert timedelta(0) < answer.elapsed < LONG


async def test_a_status_of_the_pod_is_an_answer_also_when_it_is_an_error(
    cluster: Cluster,
) -> None:
    faults = "staging:errors=100%"
    for manifest in revision("album-v1", "registry/album:1", faults=faults, replicas=1):
        await cluster.create(manifest)
    await all_ready(cluster, "album-v1", 1)
    failed = await cluster.ask_through_service("album-v1", PORT, "/api/v1/albums", timeout=LONG)
    assert failed.status >= 500


async def test_without_a_ready_pod_or_service_the_api_server_itself_speaks(
    cluster: Cluster,
) -> None:
    (_, service) = revision("album-v1", "registry/album:1")
    with pytest.raises(NotFound, match='services "album-v1" not found'):
        await cluster.ask_through_service("album-v1", PORT, "/health", timeout=LONG)
    await cluster.create(service)
    with pytest.raises(TransientFailure, match="no endpoints available"):
        await cluster.ask_through_service("album-v1", PORT, "/health", timeout=LONG)


@pytest.mark.parametrize("path", ["/../../../secrets", "/a/%2e%2e/%2E%2E/%2e%2e/%2e%2e/secrets"])
async def test_a_path_of_a_plan_does_not_lead_out_of_the_service(
    cluster: Cluster, path: str
) -> None:
    with pytest.raises(PermanentFailure, match="leads out of"):
        await cluster.ask_through_service("album-v1", PORT, path, timeout=LONG)


async def test_a_redirect_and_an_endless_body_are_answers_too(tmp_path: Path) -> None:
    async def pod(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/old"):
            return web.Response(status=302, headers={"Location": "/elsewhere"})
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 4096)

    async with answering_with(pod) as url, cluster_at(url, tmp_path) as cluster:
        moved = await cluster.ask_through_service("album", PORT, "/old", timeout=LONG)
        assert moved.status == 302
        endless = await cluster.ask_through_service("album", PORT, "/endless", timeout=LONG)
        assert len(endless.body) == LONGEST_BODY_BYTES


async def test_a_pod_that_does_not_answer_in_time_is_transient(tmp_path: Path) -> None:
    async def silent(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    async with answering_with(silent) as url, cluster_at(url, tmp_path) as cluster:
        with pytest.raises(TransientFailure, match="did not answer in time"):
            await cluster.ask_through_service("album", PORT, "/health", timeout=SHORT)


def bare_service(name: str) -> dict[str, object]:
    """A Service without selector, for which no controller makes an EndpointSlice."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"ports": [{"port": PORT}]},
    }


async def test_a_service_that_has_no_endpoint_slice_yet_is_waited_for(cluster: Cluster) -> None:
    await cluster.create(bare_service("album-v1"))
    with pytest.raises(
        TransientFailure, match=r"ask /health of Service album-v1 .* has no EndpointSlice yet; wait"
    ):
        await cluster.ask_through_service("album-v1", PORT, "/health", timeout=LONG)


@pytest.mark.parametrize("code", [403, 503])
async def test_when_it_cannot_be_seen_whether_the_service_exists_that_is_the_failure(
    tmp_path: Path, code: int
) -> None:
    async def server(request: web.Request) -> web.Response:
        if "/proxy/" in request.path:
            return status(404, "NotFound", 'services "album" not found', name="album")
        return status(code, "", "User cannot get resource")

    async with answering_with(server) as url, cluster_at(url, tmp_path) as cluster:
        with pytest.raises((NoAccess, TransientFailure), match="get Service album") as seen:
            await cluster.ask_through_service("album", PORT, "/health", timeout=LONG)
    assert type(seen.value) is (NoAccess if code == 403 else TransientFailure)


async def test_a_404_of_the_pod_is_its_answer(tmp_path: Path) -> None:
    async def pod(_: web.Request) -> web.Response:
        return web.json_response({"detail": "no such album"}, status=404)

    async with answering_with(pod) as url, cluster_at(url, tmp_path) as cluster:
        answer = await cluster.ask_through_service("album", PORT, "/albums/0", timeout=LONG)
    assert (answer.status, answer.body) == (404, '{"detail": "no such album"}')
