"""Real pods behind the API server's service proxy answer as the sandbox's do: one expectation.

Without the expectation's file it is recorded: read what was written, and commit it.
"""

from __future__ import annotations

import ssl

import pytest

from domain.environments import Environment
from tests.cluster.api import until
from tests.cluster.whole.bed import Bed
from tests.cluster.whole.cluster import Cluster
from tests.cluster.whole.workload import PORT, Workload, running
from tests.contract.conversations import Step, conversation
from tests.contract.expectations import differences, expected, write
from tests.contract.kubernetes_answers import ANSWERS, converse
from tests.contract.kubernetes_contracts import MASKS
from tests.contract.kubernetes_targets import AGENT
from tests.contract.targets import Target

NAME = "answering"


async def ready_behind_its_service(workload: Workload) -> None:
    path = f"api/v1/namespaces/{workload.namespace}/services/{NAME}:{PORT}/proxy/ready"

    async def holds() -> bool:
        return (await workload.api.get(path)).status == 200

    await until(holds, f"{NAME} is reached through its Service", 60)


def target_of(cluster: Cluster) -> Target:
    """The cluster's API server as its admin."""
    trust = ssl.create_default_context(cafile=str(cluster.credentials.authority))
    pair = cluster.credentials.pair("admin")
    trust.load_cert_chain(pair.certificate, pair.key)
    return Target(cluster.addresses.api, {"User-Agent": AGENT}, trust)


async def spoken(cluster: Cluster, image: str) -> list[Step]:
    """The conversation's steps, names of this bed replaced by those of the expectation."""
    async with running(cluster, NAME, image) as workload:
        await ready_behind_its_service(workload)
        service = f"/api/v1/namespaces/{workload.namespace}/services/{NAME}"
        async with conversation(target_of(cluster), MASKS) as talk:
            talk.names = {service: "/api/v1/namespaces/{namespace}/services/album"}
            await converse(talk, service)
        return talk.steps


async def test_a_running_pod_answers_through_the_service_proxy_as_in_the_sandbox(
    hub: Bed, album_image: str
) -> None:
    found = await spoken(hub.clusters[Environment.STAGING], album_image)
    wanted = expected(ANSWERS)
    if not wanted:
        write(ANSWERS, found)
        pytest.fail(f"{ANSWERS} was recorded; read it and run again")
    assert differences(wanted, found) == []
