from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.sandbox_kubernetes import (
    NAMESPACE,
    Api,
    config_map,
    deployment,
    http_route,
    path_of,
    running_cluster,
    service,
    until,
)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running_cluster(speed=100) as running:
        yield running


def autoscaler(low: int, high: int) -> dict[str, Any]:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "album"}
    return {
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "album"},
        "spec": {"scaleTargetRef": target, "minReplicas": low, "maxReplicas": high},
    }


def replicas(api: Api) -> int:
    return int(api.cluster.store.require("deployments", NAMESPACE, "album")["spec"]["replicas"])


def status(api: Api, resource: str, name: str = "album") -> dict[str, Any]:
    return (api.cluster.store.get(resource, NAMESPACE, name) or {}).get("status") or {}


def conditions(reported: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {c["type"]: (c["status"], c["reason"]) for c in reported.get("conditions", ())}


async def ready(api: Api, count: int) -> None:
    labels = {"app": "album"}
    cluster = api.cluster
    await until(cluster, lambda: len(cluster.ready_pods(NAMESPACE, labels)) == count)


@pytest.mark.parametrize(("before", "after"), [(1, 3), (9, 5), (4, 4)])
async def test_an_autoscaler_keeps_replicas_within_its_bounds(
    api: Api, before: int, after: int
) -> None:
    await api.create(deployment(replicas=before))
    await api.create(autoscaler(3, 5))
    await ready(api, after)
    assert replicas(api) == after


async def test_raising_the_minimum_scales_the_target_up(api: Api) -> None:
    await api.create(deployment(replicas=1))
    await api.create(autoscaler(1, 5))
    path = path_of("HorizontalPodAutoscaler", "album")
    await api.patch(path, {"spec": {"minReplicas": 4}}, "merge-patch")
    await ready(api, 4)


async def test_a_target_scaled_to_zero_switches_its_autoscaler_off(api: Api) -> None:
    await api.create(deployment(replicas=0))
    await api.create(autoscaler(2, 5))
    resource = "horizontalpodautoscalers"
    await until(api.cluster, lambda: "ScalingActive" in conditions(status(api, resource)))
    assert conditions(status(api, resource))["ScalingActive"] == ("False", "ScalingDisabled")
    assert replicas(api) == 0


async def test_a_disruption_budget_counts_and_guards_its_pods(api: Api) -> None:
    await api.create(deployment(replicas=2))
    spec = {"minAvailable": 2, "selector": {"matchLabels": {"app": "album"}}}
    budget = {"kind": "PodDisruptionBudget", "metadata": {"name": "album"}, "spec": spec}
    await api.create(budget)
    await ready(api, 2)
    resource = "poddisruptionbudgets"
    await until(api.cluster, lambda: status(api, resource).get("currentHealthy") == 2)
    assert status(api, resource)["disruptionsAllowed"] == 0
    name = api.cluster.store.list("pods", NAMESPACE)[0]["metadata"]["name"]
    eviction = {"kind": "Eviction", "metadata": {"name": name}}
    refused = await api.send("POST", f"{path_of('Pod', name)}/eviction", eviction)
    assert (refused.code, refused.body["reason"]) == (429, "TooManyRequests")
    await api.patch(
        path_of("PodDisruptionBudget", "album"), {"spec": {"minAvailable": 1}}, "merge-patch"
    )
    await until(api.cluster, lambda: status(api, resource)["disruptionsAllowed"] == 1)
    assert (await api.send("POST", f"{path_of('Pod', name)}/eviction", eviction)).code == 201
    await until(api.cluster, lambda: not api.cluster.store.get("pods", NAMESPACE, name))


async def test_endpoint_slices_follow_a_services_selector(api: Api) -> None:
    await api.create(deployment(replicas=2))
    await api.create(service())

    def addresses() -> set[str]:
        slices = api.cluster.store.list("endpointslices", NAMESPACE)
        endpoints = [e for s in slices for e in s["endpoints"] if e["conditions"]["ready"]]
        return {endpoint["addresses"][0] for endpoint in endpoints}

    await until(api.cluster, lambda: len(addresses()) == 2)
    pods = api.cluster.ready_pods(NAMESPACE, {"app": "album"})
    assert addresses() == {pod["status"]["podIP"] for pod in pods}
    [endpoint_slice] = api.cluster.store.list("endpointslices", NAMESPACE)
    assert endpoint_slice["ports"][0]["port"] == 8219
    await api.patch(
        path_of("Service", "album"), {"spec": {"selector": {"app": "other"}}}, "merge-patch"
    )
    await until(api.cluster, lambda: addresses() == set())


def parent(api: Api) -> dict[str, Any]:
    parents = status(api, "httproutes").get("parents") or [{}]
    return dict(parents[0])


async def test_a_route_is_accepted_at_the_generation_that_was_written(api: Api) -> None:
    await api.create(service())
    await api.create(http_route(("album", 100)))
    await until(api.cluster, lambda: "ResolvedRefs" in conditions(parent(api)))
    assert conditions(parent(api)) == {
        "Accepted": ("True", "Accepted"),
        "ResolvedRefs": ("True", "ResolvedRefs"),
    }
    operation = {"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": 90}
    changed = await api.patch(path_of("HTTPRoute", "album"), [operation])
    generation = changed.body["metadata"]["generation"]
    await until(
        api.cluster,
        lambda: {c["observedGeneration"] for c in parent(api)["conditions"]} == {generation},
    )
    assert generation == 2


async def test_a_route_to_a_missing_service_is_unresolved_until_it_exists(api: Api) -> None:
    await api.create(http_route(("album", 1), ("next", 0)))
    await api.create(service())
    unresolved = ("False", "BackendNotFound")
    await until(api.cluster, lambda: conditions(parent(api)).get("ResolvedRefs") == unresolved)
    await api.create(service("next"))
    resolved = ("True", "ResolvedRefs")
    await until(api.cluster, lambda: conditions(parent(api))["ResolvedRefs"] == resolved)


async def test_no_controller_answers_for_a_gateway_that_does_not_exist(api: Api) -> None:
    route = http_route(("album", 1))
    route["spec"]["parentRefs"] = [{"name": "private"}, {"name": "public"}]
    await api.create(route)
    await until(api.cluster, lambda: parent(api))
    parents = status(api, "httproutes")["parents"]
    assert [entry["parentRef"]["name"] for entry in parents] == ["public"]


async def test_the_public_gateway_is_programmed(api: Api) -> None:
    await until(api.cluster, lambda: conditions(status(api, "gateways", "public")))
    assert conditions(status(api, "gateways", "public"))["Programmed"][0] == "True"


async def test_a_namespace_has_its_account_and_is_emptied_when_deleted(api: Api) -> None:
    await api.create({"kind": "Namespace", "metadata": {"name": "other"}})
    await until(api.cluster, lambda: api.cluster.store.get("serviceaccounts", "other", "default"))
    path = "/api/v1/namespaces/other"
    await api.send("POST", f"{path}/configmaps", config_map("settings"))
    await api.send("POST", "/apis/apps/v1/namespaces/other/deployments", deployment())
    await until(api.cluster, lambda: len(api.cluster.store.list("pods", "other")) == 2)
    held = config_map("held")
    held["metadata"]["finalizers"] = ["example.dev/hold"]
    await api.send("POST", f"{path}/configmaps", held)
    deleting = await api.send("DELETE", path)
    assert deleting.body["status"]["phase"] == "Terminating"
    refused = await api.send("POST", f"{path}/configmaps", config_map("late"))
    assert refused.code == 403
    release = {"metadata": {"finalizers": None}}
    await api.patch(f"{path}/configmaps/held", release, "merge-patch")
    await until(api.cluster, lambda: api.cluster.store.get("namespaces", None, "other") is None)
    assert api.cluster.store.inside("other") == []
