"""The client library of our own clients, against the simulated API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from kubernetes.aio import client, config, watch

from tests.support.sandbox_kubernetes import (
    NAMESPACE,
    Api,
    config_map,
    deployment,
    http_route,
    running_cluster,
    service,
    until,
)

ROUTES = ("gateway.networking.k8s.io", "v1", NAMESPACE, "httproutes")


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running_cluster(speed=100) as running:
        yield running


@pytest.fixture
async def connection(api: Api) -> AsyncIterator[client.ApiClient]:
    kubeconfig = api.cluster.kubeconfig()
    connected = await config.new_client_from_config_dict(kubeconfig, context=NAMESPACE)
    async with connected:
        yield connected


async def test_a_deployment_is_created_listed_and_read(
    api: Api, connection: client.ApiClient
) -> None:
    apps = client.AppsV1Api(connection)
    created = await apps.create_namespaced_deployment(NAMESPACE, deployment(replicas=2))
    listed = await apps.list_namespaced_deployment(NAMESPACE)
    assert [item.metadata.uid for item in listed.items] == [created.metadata.uid]
    cluster = api.cluster
    labels = {"app": "album"}
    await until(cluster, lambda: len(cluster.ready_pods(NAMESPACE, labels)) == 2)
    pods = await client.CoreV1Api(connection).list_namespaced_pod(
        NAMESPACE, label_selector="app=album", field_selector="status.phase=Running"
    )
    assert [p.status.container_statuses[0].ready for p in pods.items] == [True, True]


async def test_creating_again_raises_a_conflict_that_says_it_exists(
    connection: client.ApiClient,
) -> None:
    core = client.CoreV1Api(connection)
    await core.create_namespaced_config_map(NAMESPACE, config_map("settings"))
    with pytest.raises(client.ApiException) as error:
        await core.create_namespaced_config_map(NAMESPACE, config_map("settings"))
    assert error.value.status == 409
    assert "AlreadyExists" in error.value.body


async def test_replacing_a_stale_object_raises_a_conflict(connection: client.ApiClient) -> None:
    core = client.CoreV1Api(connection)
    first = await core.create_namespaced_config_map(NAMESPACE, config_map("settings", a="1"))
    first.data = {"a": "2"}
    await core.replace_namespaced_config_map("settings", NAMESPACE, first)
    first.data = {"a": "3"}
    with pytest.raises(client.ApiException) as error:
        await core.replace_namespaced_config_map("settings", NAMESPACE, first)
    assert error.value.status == 409


async def test_a_json_patch_with_a_failed_test_raises_422(connection: client.ApiClient) -> None:
    custom = client.CustomObjectsApi(connection)
    await custom.create_namespaced_custom_object(*ROUTES, http_route(("album", 1)))

    async def shift(old: int, new: int) -> Any:
        path = "/spec/rules/0/backendRefs/0/weight"
        operations = [
            {"op": "test", "path": path, "value": old},
            {"op": "replace", "path": path, "value": new},
        ]
        return await custom.patch_namespaced_custom_object(
            *ROUTES, "album", operations, _content_type="application/json-patch+json"
        )

    with pytest.raises(client.ApiException) as error:
        await shift(old=9, new=5)
    assert error.value.status == 422
    shifted = await shift(old=1, new=5)
    assert shifted["spec"]["rules"][0]["backendRefs"][0]["weight"] == 5


async def test_server_side_apply_conflicts_name_the_manager(connection: client.ApiClient) -> None:
    core = client.CoreV1Api(connection)
    await core.create_namespaced_config_map(
        NAMESPACE, config_map("settings", a="1"), field_manager="somebody"
    )
    with pytest.raises(client.ApiException) as error:
        await core.patch_namespaced_config_map(
            "settings",
            NAMESPACE,
            config_map("settings", a="2"),
            field_manager="tidegate",
            _content_type="application/apply-patch+yaml",
        )
    assert error.value.status == 409
    assert "FieldManagerConflict" in error.value.body


async def test_a_watch_streams_until_the_object_is_there(
    api: Api, connection: client.ApiClient
) -> None:
    core = client.CoreV1Api(connection)
    listed = await core.list_namespaced_config_map(NAMESPACE)
    version = listed.metadata.resource_version
    await api.create(config_map("wanted", a="1"))
    async with watch.Watch() as stream:
        async for event in stream.stream(
            core.list_namespaced_config_map, NAMESPACE, resource_version=version
        ):
            if event["object"].metadata.name == "wanted":
                break
    assert event["type"] == "ADDED"
    assert event["object"].data == {"a": "1"}


async def test_scale_and_delete_with_a_precondition(api: Api, connection: client.ApiClient) -> None:
    apps = client.AppsV1Api(connection)
    made = await apps.create_namespaced_deployment(NAMESPACE, deployment(replicas=1))
    patch = {"spec": {"replicas": 3}}
    scaled = await apps.patch_namespaced_deployment_scale("album", NAMESPACE, patch)
    assert scaled.spec.replicas == 3
    wrong = client.V1DeleteOptions(preconditions=client.V1Preconditions(uid="another"))
    with pytest.raises(client.ApiException) as error:
        await apps.delete_namespaced_deployment("album", NAMESPACE, body=wrong)
    assert error.value.status == 409
    right = client.V1DeleteOptions(
        preconditions=client.V1Preconditions(uid=made.metadata.uid),
        propagation_policy="Foreground",
    )
    await apps.delete_namespaced_deployment("album", NAMESPACE, body=right)
    store = api.cluster.store
    await until(api.cluster, lambda: store.get("deployments", NAMESPACE, "album") is None)
    assert store.list("pods", NAMESPACE) == []


async def test_a_lease_is_taken_by_one_of_two(connection: client.ApiClient) -> None:
    coordination = client.CoordinationV1Api(connection)
    lease = {"metadata": {"name": "lane"}, "spec": {"holderIdentity": "a", "leaseTransitions": 0}}
    await coordination.create_namespaced_lease(NAMESPACE, lease)
    seen = await coordination.read_namespaced_lease("lane", NAMESPACE)
    seen.spec.holder_identity = "b"
    await coordination.replace_namespaced_lease("lane", NAMESPACE, seen)
    seen.spec.holder_identity = "c"
    with pytest.raises(client.ApiException) as error:
        await coordination.replace_namespaced_lease("lane", NAMESPACE, seen)
    assert error.value.status == 409


async def test_the_service_proxy_is_reached_through_the_library(
    api: Api, connection: client.ApiClient
) -> None:
    await api.create(deployment(replicas=1))
    await api.create(service())
    await until(api.cluster, lambda: api.cluster.ready_pods(NAMESPACE, {"app": "album"}))
    core = client.CoreV1Api(connection)
    answer = await core.connect_get_namespaced_service_proxy_with_path(
        "album:80", NAMESPACE, "health"
    )
    assert "healthy" in answer


async def test_permissions_can_be_asked_for(connection: client.ApiClient) -> None:
    attributes = {"verb": "create", "resource": "deployments", "namespace": NAMESPACE}
    review = {"spec": {"resourceAttributes": attributes}}
    authorization = client.AuthorizationV1Api(connection)
    answer = await authorization.create_self_subject_access_review(review)
    assert answer.status.allowed
