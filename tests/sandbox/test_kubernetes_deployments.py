from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from sandbox.kubernetes.routing import is_ready
from tests.support.sandbox_kubernetes import (
    NAMESPACE,
    Api,
    deployment,
    path_of,
    running_cluster,
    until,
)

PATH = path_of("Deployment", "album")


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running_cluster(image_exists=lambda image: "missing" not in image) as running:
        yield running


def live(api: Api) -> dict[str, Any]:
    return api.cluster.store.require("deployments", NAMESPACE, "album")


def condition(api: Api, type_: str) -> dict[str, Any]:
    conditions = (live(api).get("status") or {}).get("conditions") or ()
    return next((c for c in conditions if c["type"] == type_), {})


def settled(api: Api) -> bool:
    status = live(api).get("status") or {}
    return (
        status.get("observedGeneration") == live(api)["metadata"]["generation"]
        and condition(api, "Progressing").get("reason") == "NewReplicaSetAvailable"
        and status.get("replicas", 0) == live(api)["spec"]["replicas"]
        and status.get("availableReplicas", 0) == live(api)["spec"]["replicas"]
    )


def replica_sets(api: Api) -> dict[str, int]:
    return {
        rs["spec"]["template"]["spec"]["containers"][0]["image"]: rs["spec"]["replicas"]
        for rs in api.cluster.store.list("replicasets", NAMESPACE)
    }


def pods(api: Api) -> list[dict[str, Any]]:
    return api.cluster.store.list("pods", NAMESPACE)


def new_image(image: str) -> dict[str, Any]:
    container = {"name": "main", "image": image}
    return {"spec": {"template": {"spec": {"containers": [container]}}}}


async def change(api: Api, patch: dict[str, Any]) -> None:
    answer = await api.patch(PATH, patch, "strategic-merge-patch")
    assert answer.code == 200


async def test_a_deployment_gets_ready_pods_and_says_so(api: Api) -> None:
    await api.create(deployment(replicas=3))
    await until(api.cluster, lambda: settled(api))
    status = live(api)["status"]
    assert {k: v for k, v in status.items() if k.endswith("eplicas")} == {
        "replicas": 3,
        "updatedReplicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 3,
        "terminatingReplicas": 0,
    }
    assert condition(api, "Available")["status"] == "True"
    assert all(is_ready(pod) for pod in pods(api))
    assert len({pod["status"]["podIP"] for pod in pods(api)}) == 3


async def test_pods_belong_to_a_replica_set_that_belongs_to_the_deployment(api: Api) -> None:
    await api.create(deployment(replicas=1))
    await until(api.cluster, lambda: settled(api))
    [replica_set] = api.cluster.store.list("replicasets", NAMESPACE)
    [pod] = pods(api)
    assert replica_set["metadata"]["ownerReferences"][0]["uid"] == live(api)["metadata"]["uid"]
    assert pod["metadata"]["ownerReferences"][0]["uid"] == replica_set["metadata"]["uid"]
    hashed = pod["metadata"]["labels"]["pod-template-hash"]
    assert replica_set["metadata"]["name"] == f"album-{hashed}"


async def test_a_rolling_update_never_has_fewer_or_more_pods_than_allowed(api: Api) -> None:
    strategy = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    await api.create(deployment(replicas=3, strategy=strategy))
    await until(api.cluster, lambda: settled(api))
    ready: list[int] = []
    wanted: list[int] = []

    def count(_: object) -> None:
        ready.append(sum(is_ready(pod) for pod in pods(api)))
        wanted.append(sum(replica_sets(api).values()))

    stop = api.cluster.store.subscribe(count)
    await change(api, new_image("registry.example/album:v2"))
    await until(api.cluster, lambda: settled(api))
    stop()
    assert min(ready) >= 3
    assert max(wanted) <= 4
    assert replica_sets(api) == {"registry.example/album:v1": 0, "registry.example/album:v2": 3}


async def test_a_recreate_update_never_runs_two_versions(api: Api) -> None:
    await api.create(deployment(replicas=2, strategy={"type": "Recreate"}))
    await until(api.cluster, lambda: settled(api))
    together: list[int] = []

    def count(_: object) -> None:
        active = [p for p in pods(api) if "deletionTimestamp" not in p["metadata"]]
        together.append(len({p["spec"]["containers"][0]["image"] for p in active}))

    stop = api.cluster.store.subscribe(count)
    await change(api, new_image("registry.example/album:v2"))
    await until(api.cluster, lambda: settled(api))
    stop()
    assert max(together) == 1


async def test_scaling_up_and_to_zero_is_followed(api: Api) -> None:
    await api.create(deployment(replicas=1))
    await until(api.cluster, lambda: settled(api))
    await change(api, {"spec": {"replicas": 4}})
    await until(api.cluster, lambda: settled(api) and len(pods(api)) == 4)
    assert live(api)["status"]["availableReplicas"] == 4
    await change(api, {"spec": {"replicas": 0}})
    await until(api.cluster, lambda: not pods(api))
    await until(api.cluster, lambda: "replicas" not in live(api)["status"])


async def test_a_rollout_that_stands_still_exceeds_its_deadline_and_old_pods_serve(
    api: Api,
) -> None:
    await api.create(deployment(replicas=2, progressDeadlineSeconds=1))
    await until(api.cluster, lambda: settled(api))
    await change(api, new_image("registry.example/missing:v2"))
    await until(
        api.cluster,
        lambda: condition(api, "Progressing").get("reason") == "ProgressDeadlineExceeded",
    )
    assert condition(api, "Progressing")["status"] == "False"
    assert condition(api, "Available")["status"] == "True"
    assert live(api)["status"]["availableReplicas"] == 2


async def test_going_back_to_an_old_template_reuses_its_replica_set(api: Api) -> None:
    await api.create(deployment(replicas=1))
    await until(api.cluster, lambda: settled(api))
    await change(api, new_image("registry.example/album:v2"))
    await until(api.cluster, lambda: settled(api))
    await change(api, new_image("registry.example/album:v1"))
    await until(api.cluster, lambda: settled(api))
    assert replica_sets(api) == {"registry.example/album:v1": 1, "registry.example/album:v2": 0}
    annotations = live(api)["metadata"]["annotations"]
    assert annotations["deployment.kubernetes.io/revision"] == "3"


async def test_empty_replica_sets_beyond_the_history_limit_are_removed(api: Api) -> None:
    await api.create(deployment(replicas=1, revisionHistoryLimit=1))
    for number in (2, 3, 4):
        await until(api.cluster, lambda: settled(api))
        await change(api, new_image(f"registry.example/album:v{number}"))
    await until(api.cluster, lambda: settled(api) and len(replica_sets(api)) == 2)
    assert set(replica_sets(api)) == {"registry.example/album:v3", "registry.example/album:v4"}


async def test_a_paused_deployment_does_not_roll(api: Api) -> None:
    await api.create(deployment(replicas=1))
    await until(api.cluster, lambda: settled(api))
    await change(api, {"spec": {"paused": True}})
    await change(api, new_image("registry.example/album:v2"))
    generation = live(api)["metadata"]["generation"]
    await until(api.cluster, lambda: live(api)["status"]["observedGeneration"] == generation)
    assert replica_sets(api) == {"registry.example/album:v1": 1}
    await change(api, {"spec": {"paused": False}})
    await until(api.cluster, lambda: replica_sets(api).get("registry.example/album:v2") == 1)


async def test_pods_become_available_only_after_min_ready_seconds(api: Api) -> None:
    await api.create(deployment(replicas=1, minReadySeconds=2))
    await until(api.cluster, lambda: live(api).get("status", {}).get("readyReplicas") == 1)
    assert "availableReplicas" not in live(api)["status"]
    await until(api.cluster, lambda: settled(api))
    assert live(api)["status"]["availableReplicas"] == 1


async def test_deleting_a_deployment_takes_its_replica_sets_and_pods(api: Api) -> None:
    await api.create(deployment())
    await until(api.cluster, lambda: settled(api))
    await api.send("DELETE", PATH)
    await until(api.cluster, lambda: not pods(api) and not replica_sets(api))


async def test_a_deleted_pod_is_replaced(api: Api) -> None:
    await api.create(deployment(replicas=1))
    await until(api.cluster, lambda: settled(api))
    [first] = pods(api)
    await api.send("DELETE", path_of("Pod", first["metadata"]["name"]))
    await until(
        api.cluster,
        lambda: (
            [p["metadata"]["uid"] for p in pods(api) if is_ready(p)]
            not in ([], [first["metadata"]["uid"]])
        ),
    )
