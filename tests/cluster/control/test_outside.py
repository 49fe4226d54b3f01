"""What a test reads of a real cluster from outside is there when a client has its answer."""

from __future__ import annotations

from clients.cluster import Cluster
from tests.cluster.clusters import WORKER, Clusters
from tests.cluster.fixtures import release_namespace
from tests.support.real_outside import seen_from_outside

TIMES = 60
# Larger than any buffer on the way: the answer begins before the request is done.
LARGE = {"text": "0123456789" * 20_000}


async def test_whoever_has_an_answer_finds_the_request_in_the_audit_log(
    control_planes: Clusters,
) -> None:
    place = control_planes.staging
    async with release_namespace(place) as namespace:
        worker = await Cluster.connect(place.kubeconfig(WORKER), "staging", namespace)
        try:
            with seen_from_outside(place, namespace) as outside:
                for number in range(TIMES):
                    name = f"large-{number}"
                    metadata = {"name": name}
                    await worker.create(
                        {
                            "apiVersion": "v1",
                            "kind": "ConfigMap",
                            "metadata": metadata,
                            "data": LARGE,
                        }
                    )
                    assert [one.name for one in outside.asked()][number:] == [name]
        finally:
            await worker.close()


async def test_one_namespace_sees_nothing_of_another(control_planes: Clusters) -> None:
    place = control_planes.staging
    async with release_namespace(place) as one, release_namespace(place) as other:
        worker = await Cluster.connect(place.kubeconfig(WORKER), "staging", other)
        try:
            with seen_from_outside(place, one) as outside:
                await worker.list("Pod")
                outside.edit("ServiceAccount", "default", lambda found: None)
                assert outside.asked() == []
        finally:
            await worker.close()
