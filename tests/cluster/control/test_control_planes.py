from __future__ import annotations

import os
import tomllib
import uuid
from pathlib import Path
from typing import Any

import pytest

import settings
from clients.cluster_connection import Call, Connection
from domain.environments import Environment
from tests.cluster.api import JSON_PATCH, MERGE_PATCH, Api, until
from tests.cluster.clusters import GUARDIAN, STRANGER, WORKER, Cluster, Clusters
from tests.cluster.fixtures import Namespaces
from tests.cluster.programs import ASSETS_VARIABLE

DEPLOYMENTS = "/apis/apps/v1/namespaces/{}/deployments"
ROUTES = "/apis/gateway.networking.k8s.io/v1/namespaces/{}/httproutes"
FAILS = {"pod-container-running-failed.stage.kwok.x-k8s.io": "true"}


@pytest.mark.parametrize("name", ["staging", "production"])
async def test_both_clusters_answer_with_the_namespace_of_their_environment(
    control_planes: Clusters, name: str
) -> None:
    cluster = getattr(control_planes, name)
    async with cluster.api() as api:
        version = (await api.get("/version")).ok()
        namespace = (await api.get(f"/api/v1/namespaces/{name}")).ok()
    if ASSETS_VARIABLE not in os.environ:
        assert version["gitVersion"] == "v1.36.3"
    assert namespace["status"]["phase"] == "Active"


async def test_the_clusters_know_nothing_of_each_other(control_planes: Clusters) -> None:
    async with control_planes.staging.api() as api:
        assert (await api.get("/api/v1/namespaces/production")).status == 404
    assert control_planes.staging.authority.read_bytes() != (
        control_planes.production.authority.read_bytes()
    )


async def test_a_deployment_rolls_out(control_planes: Clusters, namespace: Namespaces) -> None:
    cluster = control_planes.production
    async with namespace(cluster) as name, cluster.api() as api:
        (await api.post(DEPLOYMENTS.format(name), deployment())).ok()
        await _until_ready(api, name, replicas=2)
        pods = (await api.get(f"/api/v1/namespaces/{name}/pods")).ok()["items"]
    assert {pod["status"]["phase"] for pod in pods} == {"Running"}
    assert all(pod["spec"]["nodeName"].startswith("node-") for pod in pods)


async def test_a_failed_test_of_a_json_patch_is_422_and_changes_nothing(
    control_planes: Clusters, namespace: Namespaces
) -> None:
    cluster = control_planes.staging
    async with namespace(cluster) as name, cluster.api() as api:
        (await api.post(DEPLOYMENTS.format(name), deployment())).ok()
        patch = [
            {"op": "test", "path": "/spec/replicas", "value": 7},
            {"op": "replace", "path": "/spec/replicas", "value": 9},
        ]
        refused = await api.patch(f"{DEPLOYMENTS.format(name)}/album", patch, JSON_PATCH)
        kept = (await api.get(f"{DEPLOYMENTS.format(name)}/album")).ok()
    assert (refused.status, refused.body["reason"]) == (422, "Invalid")
    assert kept["spec"]["replicas"] == 2


async def test_the_audit_log_names_caller_and_answer(control_planes: Clusters) -> None:
    cluster = control_planes.staging
    deployments, name = DEPLOYMENTS.format("staging"), f"album-{uuid.uuid4().hex[:10]}"
    manifest = deployment()
    manifest["metadata"]["name"] = name
    async with cluster.api(WORKER, agent="tidegate/9") as api:
        (await api.post(deployments, manifest)).ok()
        assert (await api.patch(f"{deployments}/{name}/scale", {}, MERGE_PATCH)).status == 403
        (await api.delete(f"{deployments}/{name}")).ok()

        async def all_logged() -> bool:
            return len(_seen(cluster, WORKER, name)) == 3

        await until(all_logged, "the three requests are in the audit log")
        assert _seen(cluster, GUARDIAN, name) == []
    assert _seen(cluster, WORKER, name) == [
        ("create", "deployments", 201, "tidegate/9"),
        ("patch", "deployments/scale", 403, "tidegate/9"),
        ("delete", "deployments", 200, "tidegate/9"),
    ]


async def test_a_stranger_is_forbidden_and_nobody_is_unauthorized(
    control_planes: Clusters,
) -> None:
    cluster = control_planes.production
    async with cluster.api(STRANGER) as api:
        answer = await api.get(DEPLOYMENTS.format("production"))
    assert (answer.status, answer.body["reason"]) == (403, "Forbidden")
    assert "stranger" in answer.body["message"]


async def test_an_http_route_is_accepted_and_a_wrong_weight_refused(
    control_planes: Clusters, namespace: Namespaces
) -> None:
    cluster = control_planes.production
    async with namespace(cluster) as name, cluster.api() as api:
        (await api.post(ROUTES.format(name), route(stable=90, canary=10))).ok()
        weight = "/spec/rules/0/backendRefs/1/weight"
        shift = [
            {"op": "test", "path": weight, "value": 10},
            {"op": "replace", "path": weight, "value": 50},
        ]
        path = f"{ROUTES.format(name)}/album"
        shifted = (await api.patch(path, shift)).ok()
        refused = await api.patch(path, [{"op": "replace", "path": weight, "value": -1}])
    assert [one["weight"] for one in shifted["spec"]["rules"][0]["backendRefs"]] == [90, 50]
    assert (refused.status, refused.body["reason"]) == (422, "Invalid")


async def test_a_pod_fails_when_told_to(control_planes: Clusters, namespace: Namespaces) -> None:
    cluster = control_planes.staging
    async with namespace(cluster) as name, cluster.api() as api:
        (await api.post(DEPLOYMENTS.format(name), deployment(labels=FAILS))).ok()

        async def failed() -> bool:
            pods = (await api.get(f"/api/v1/namespaces/{name}/pods")).ok()["items"]
            return any(
                status["state"].get("terminated", {}).get("exitCode") == 1
                for pod in pods
                for status in pod["status"].get("containerStatuses", ())
            )

        await until(failed, "a container ended with exit code 1")


async def test_our_own_client_reaches_both_by_the_connection_file(
    control_planes: Clusters, tmp_path: Path
) -> None:
    file = tmp_path / "tidegate.toml"
    metrics = {one.name: "http://127.0.0.1:1" for one in control_planes}
    file.write_text(control_planes.connection_sections(metrics))
    assert set(tomllib.loads(file.read_text())["environments"]) == {"staging", "production"}
    loaded = settings.load(file)
    for environment in (Environment.STAGING, Environment.PRODUCTION):
        chosen = loaded.cluster(environment)
        connection = await Connection.open(chosen.kubeconfig, chosen.context)
        try:
            path = DEPLOYMENTS.format(chosen.namespace)
            found = await connection.exchange(Call("GET", path, "list Deployments", "list"))
        finally:
            await connection.close()
        assert found["kind"] == "DeploymentList"


def deployment(**template: dict[str, str]) -> dict[str, Any]:
    labels = {"app": "album", **template.get("labels", {})}
    container = {"name": "album", "image": "registry.invalid/album:1"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "album"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "album"}},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def route(**weights: int) -> dict[str, Any]:
    backends = [
        {"name": f"album-{name}", "port": 80, "weight": weight} for name, weight in weights.items()
    ]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "album"},
        "spec": {"parentRefs": [{"name": "public"}], "rules": [{"backendRefs": backends}]},
    }


async def _until_ready(api: Api, namespace: str, replicas: int) -> None:
    async def ready() -> bool:
        found = (await api.get(f"{DEPLOYMENTS.format(namespace)}/album")).ok()
        return bool(found.get("status", {}).get("readyReplicas") == replicas)

    await until(ready, f"{replicas} pods are ready")


def _seen(cluster: Cluster, user: str, name: str) -> list[tuple[str, str, int, str]]:
    return [
        (one.verb, one.resource, one.code, one.user_agent)
        for one in cluster.audited(user)
        if one.name == name
    ]
