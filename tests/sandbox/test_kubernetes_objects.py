from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.sandbox_kubernetes import (
    NAMESPACE,
    Api,
    collection,
    config_map,
    deployment,
    http_route,
    path_of,
    running_cluster,
    service,
)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running_cluster() as running:
        yield running


def weight_patch(old: int, new: int) -> list[dict[str, Any]]:
    path = "/spec/rules/0/backendRefs/0/weight"
    return [
        {"op": "test", "path": path, "value": old},
        {"op": "replace", "path": path, "value": new},
    ]


async def test_a_request_with_a_wrong_token_is_unauthorized(api: Api) -> None:
    path = collection("Pod")
    async with api.session.get(path, headers={"Authorization": "Bearer wrong"}) as response:
        body = await response.json()
    assert (response.status, body["kind"], body["reason"]) == (401, "Status", "Unauthorized")


async def test_a_created_object_is_read_back_with_its_defaults(api: Api) -> None:
    created = await api.create(http_route(("album", 1)))
    read = await api.get(path_of("HTTPRoute", "album"))
    assert created.code == 201
    assert read.body["spec"] == created.body["spec"]
    assert read.body["spec"]["rules"][0]["backendRefs"] == [
        {"group": "", "kind": "Service", "name": "album", "port": 80, "weight": 1}
    ]


async def test_creating_twice_already_exists(api: Api) -> None:
    await api.create(config_map("settings"))
    again = await api.create(config_map("settings"))
    assert (again.code, again.body["reason"]) == (409, "AlreadyExists")
    assert again.body["details"] == {"name": "settings", "kind": "configmaps"}


async def test_an_absent_object_is_not_found_by_name(api: Api) -> None:
    answer = await api.get(path_of("Deployment", "nothing"))
    assert (answer.code, answer.body["reason"]) == (404, "NotFound")
    assert answer.body["message"] == 'deployments.apps "nothing" not found'


async def test_creating_in_an_unknown_namespace_is_not_found(api: Api) -> None:
    answer = await api.send("POST", "/api/v1/namespaces/nowhere/configmaps", config_map("a"))
    assert (answer.code, answer.body["details"]["kind"]) == (404, "namespaces")


async def test_update_with_a_stale_version_conflicts(api: Api) -> None:
    first = (await api.create(config_map("settings", a="1"))).body
    path = path_of("ConfigMap", "settings")
    await api.send("PUT", path, {**first, "data": {"a": "2"}})
    late = await api.send("PUT", path, {**first, "data": {"a": "3"}})
    assert (late.code, late.body["reason"]) == (409, "Conflict")
    assert (await api.get(path)).body["data"] == {"a": "2"}


async def test_a_lease_is_not_replaced_without_its_version(api: Api) -> None:
    lease = {"kind": "Lease", "metadata": {"name": "lane"}, "spec": {"holderIdentity": "a"}}
    await api.create(lease)
    answer = await api.send("PUT", path_of("Lease", "lane"), lease)
    assert answer.code == 422
    assert answer.body["details"]["causes"][0]["field"] == "metadata.resourceVersion"


async def test_a_json_patch_whose_test_fails_changes_nothing(api: Api) -> None:
    await api.create(http_route(("album", 90), ("next", 10)))
    path = path_of("HTTPRoute", "album")
    failed = await api.patch(path, weight_patch(old=50, new=0))
    assert (failed.code, failed.body["reason"]) == (422, "Invalid")
    passed = await api.patch(path, weight_patch(old=90, new=50))
    assert passed.body["spec"]["rules"][0]["backendRefs"][0]["weight"] == 50


async def test_a_custom_resource_refuses_strategic_merge(api: Api) -> None:
    await api.create(http_route(("album", 1)))
    patched = await api.patch(path_of("HTTPRoute", "album"), {"spec": {}}, "strategic-merge-patch")
    assert (patched.code, patched.body["reason"]) == (415, "UnsupportedMediaType")


async def test_a_merge_patch_with_a_stale_version_conflicts(api: Api) -> None:
    await api.create(config_map("settings"))
    stale = {"metadata": {"resourceVersion": "1"}, "data": {"a": "1"}}
    answer = await api.patch(path_of("ConfigMap", "settings"), stale, "merge-patch")
    assert (answer.code, answer.body["reason"]) == (409, "Conflict")


async def test_a_dry_run_answers_and_stores_nothing(api: Api) -> None:
    created = await api.create(deployment(), "?dryRun=All")
    assert (created.code, created.body["spec"]["replicas"]) == (201, 2)
    assert (await api.get(path_of("Deployment", "album"))).code == 404
    await api.create(config_map("settings", a="1"))
    path = path_of("ConfigMap", "settings")
    await api.patch(f"{path}?dryRun=All", {"data": {"a": "2"}}, "merge-patch")
    await api.send("DELETE", f"{path}?dryRun=All")
    assert (await api.get(path)).body["data"] == {"a": "1"}


async def test_status_is_written_only_through_its_subresource(api: Api) -> None:
    await api.create(http_route(("album", 1)))
    path = path_of("HTTPRoute", "album")
    patch: dict[str, Any] = {
        "spec": {"hostnames": ["b.example"]},
        "status": {"parents": [], "seen": "here"},
    }
    through_main = await api.patch(path, patch, "merge-patch")
    assert through_main.body["spec"]["hostnames"] == ["b.example"]
    assert "seen" not in through_main.body.get("status", {})
    patch["spec"]["hostnames"] = ["c.example"]
    through_status = await api.patch(f"{path}/status", patch, "merge-patch")
    assert through_status.body["spec"]["hostnames"] == ["b.example"]
    assert through_status.body["status"]["seen"] == "here"


async def test_scale_reads_and_writes_replicas(api: Api) -> None:
    await api.create(deployment(replicas=1))
    path = f"{path_of('Deployment', 'album')}/scale"
    scale = (await api.get(path)).body
    assert (scale["kind"], scale["spec"]["replicas"]) == ("Scale", 1)
    scale["spec"]["replicas"] = 4
    assert (await api.send("PUT", path, scale)).body["spec"]["replicas"] == 4
    patched = await api.patch(path, {"spec": {"replicas": 0}}, "merge-patch")
    assert patched.body["spec"]["replicas"] == 0
    assert (await api.get(path_of("Deployment", "album"))).body["spec"]["replicas"] == 0


async def test_lists_are_narrowed_by_selectors_and_cut_into_pages(api: Api) -> None:
    for number in range(5):
        await api.create(
            {**config_map(f"c{number}"), "metadata": {"name": f"c{number}", "labels": {"a": "b"}}}
        )
    path = f"{collection('ConfigMap')}?labelSelector=a%20in%20(b)&limit=2"
    names: list[str] = []
    token = ""
    while True:
        page = (await api.get(f"{path}&continue={token}")).body
        assert len(page["items"]) <= 2
        names += [item["metadata"]["name"] for item in page["items"]]
        token = page["metadata"].get("continue", "")
        if not token:
            break
    assert names == ["c0", "c1", "c2", "c3", "c4"]
    one = await api.get(f"{collection('ConfigMap')}?fieldSelector=metadata.name=c3")
    assert [item["metadata"]["name"] for item in one.body["items"]] == ["c3"]


async def test_deleting_a_collection_takes_only_what_is_selected(api: Api) -> None:
    await api.create({**config_map("a"), "metadata": {"name": "a", "labels": {"x": "1"}}})
    await api.create(config_map("b"))
    await api.send("DELETE", f"{collection('ConfigMap')}?labelSelector=x=1")
    left = [m["metadata"]["name"] for m in api.cluster.store.list("configmaps", NAMESPACE)]
    assert "a" not in left
    assert "b" in left


async def test_a_deletion_names_what_it_deleted_and_respects_preconditions(api: Api) -> None:
    made = (await api.create(config_map("settings"))).body
    path = path_of("ConfigMap", "settings")
    refused = await api.send("DELETE", path, {"preconditions": {"uid": "another"}})
    assert (refused.code, refused.body["reason"]) == (409, "Conflict")
    done = await api.send("DELETE", path, {"preconditions": {"uid": made["metadata"]["uid"]}})
    assert done.body["status"] == "Success"
    assert done.body["details"]["uid"] == made["metadata"]["uid"]


def broken(manifest: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    manifest = copy.deepcopy(manifest)
    *way, last = path.split(".")
    target: Any = manifest
    for step in way:
        target = target[int(step)] if step.isdigit() else target[step]
    target[last] = value
    return manifest


@pytest.mark.parametrize(
    ("manifest", "path", "value", "field"),
    [
        (config_map("a"), "metadata.name", "Big_Name", "metadata.name"),
        (config_map("a"), "metadata.name", "", "metadata.name"),
        (config_map("a"), "metadata.labels", {"x": "not/valid"}, "metadata.labels"),
        (config_map("a"), "metadata.labels", {"x": "y" * 64}, "metadata.labels"),
        (service(), "metadata.name", "-st", "metadata.name"),
        (service(), "spec.ports", [], "spec.ports"),
        (service(), "spec.ports.0.port", 0, "spec.ports[0].port"),
        (deployment(), "spec.replicas", -1, "spec.replicas"),
        (
            deployment(),
            "spec.template.metadata.labels",
            {"app": "other"},
            "spec.template.metadata.labels",
        ),
        (deployment(), "spec.template.spec.containers", [], "spec.template.spec.containers"),
        (
            deployment(),
            "spec.template.spec.containers.0.volumeMounts",
            [{"name": "gone", "mountPath": "/x"}],
            "spec.template.spec.containers[0].volumeMounts[0].name",
        ),
        (
            deployment(),
            "spec.template.metadata.annotations",
            {"sandbox.tidegate.dev/faults": "boom"},
            "spec.template.metadata.annotations[sandbox.tidegate.dev/faults]",
        ),
        (http_route(("a", -1)), "metadata.name", "r", "spec.rules[0].backendRefs[0].weight"),
        (http_route(("a", 1000001)), "metadata.name", "r", "spec.rules[0].backendRefs[0].weight"),
        (http_route(*[("a", 1)] * 17), "metadata.name", "r", "spec.rules[0].backendRefs"),
    ],
)
async def test_an_invalid_object_is_refused_with_the_field_at_fault(
    api: Api, manifest: dict[str, Any], path: str, value: Any, field: str
) -> None:
    answer = await api.create(broken(manifest, path, value))
    assert (answer.code, answer.body["reason"]) == (422, "Invalid")
    assert field in [cause["field"] for cause in answer.body["details"]["causes"]]


async def test_a_deployments_selector_is_immutable(api: Api) -> None:
    await api.create(deployment())
    patch = {
        "spec": {
            "selector": {"matchLabels": {"app": "x"}},
            "template": {"metadata": {"labels": {"app": "x"}}},
        }
    }
    answer = await api.patch(path_of("Deployment", "album"), patch, "strategic-merge-patch")
    assert answer.code == 422
    assert "field is immutable" in answer.body["message"]


async def test_an_immutable_config_map_keeps_its_data(api: Api) -> None:
    await api.create({**config_map("settings", a="1"), "immutable": True})
    path = path_of("ConfigMap", "settings")
    assert (await api.patch(path, {"data": {"a": "2"}}, "merge-patch")).code == 422


async def test_server_side_apply_creates_then_merges_then_removes_what_it_owned(api: Api) -> None:
    path = f"{path_of('ConfigMap', 'settings')}?fieldManager=tidegate"
    apply = "application/apply-patch+yaml"
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    first = await api.send("PATCH", path, {**kind, "data": {"a": "1", "b": "1"}}, apply)
    second = await api.send("PATCH", path, {**kind, "data": {"a": "2"}}, apply)
    assert (first.code, second.code) == (201, 200)
    assert second.body["data"] == {"a": "2"}


async def test_server_side_apply_of_anothers_field_conflicts_until_forced(api: Api) -> None:
    await api.create(config_map("settings", a="1"), "?fieldManager=somebody")
    path = f"{path_of('ConfigMap', 'settings')}?fieldManager=tidegate"
    config = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "2"}}
    refused = await api.send("PATCH", path, config, "application/apply-patch+yaml")
    assert (refused.code, refused.body["reason"]) == (409, "Conflict")
    assert refused.body["details"]["causes"] == [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "somebody"',
            "field": ".data.a",
        }
    ]
    forced = await api.send("PATCH", f"{path}&force=true", config, "application/apply-patch+yaml")
    assert forced.body["data"] == {"a": "2"}
    managers = {entry["manager"] for entry in forced.body["metadata"]["managedFields"]}
    assert managers == {"tidegate"}


async def test_everybody_may_do_everything_in_the_sandbox(api: Api) -> None:
    review = {"kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": {"verb": "get"}}}
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    assert (await api.send("POST", path, review)).body["status"] == {"allowed": True}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/apis/apps/v1/statefulsets"),
        ("GET", f"/api/v1/namespaces/{NAMESPACE}/pods/a/log"),
        ("POST", f"/api/v1/namespaces/{NAMESPACE}/pods/a/exec"),
        ("GET", "/metrics"),
    ],
)
async def test_what_is_not_simulated_says_so_by_method_and_path(
    api: Api, method: str, path: str
) -> None:
    answer = await api.send(method, path)
    assert (answer.code, answer.body["kind"]) == (501, "Status")
    assert answer.body["message"] == f"the sandbox does not implement {method} {path}"


async def test_a_body_that_is_not_json_is_a_bad_request(api: Api) -> None:
    headers = {"Content-Type": "application/json"}
    async with api.session.post(collection("ConfigMap"), data="{", headers=headers) as response:
        body = await response.json()
    assert (response.status, body["reason"]) == (400, "BadRequest")


@pytest.mark.parametrize(
    "spec",
    [None, [], "x", {"template": []}, {"template": {"spec": {"containers": ["x"]}}}],
)
async def test_a_body_of_the_wrong_shape_is_a_bad_request(api: Api, spec: Any) -> None:
    answer = await api.create({**deployment(), "spec": spec})
    assert answer.code in (400, 422)


async def test_a_query_that_is_not_a_number_is_a_bad_request(api: Api) -> None:
    assert (await api.get(f"{collection('Pod')}?limit=x")).code == 400
    assert (await api.get(f"{collection('Pod')}?watch=1&timeoutSeconds=x")).code == 400


async def test_requests_are_logged_and_counted_by_verb(api: Api) -> None:
    await api.create(config_map("settings"))
    await api.get(path_of("ConfigMap", "settings"))
    await api.get(path_of("ConfigMap", "nothing"))
    counts = (await api.get("/sandbox/requests")).body
    assert counts == {"requests": {"create": 1, "get": 2}}
    last = api.cluster.requests.records[-1]
    assert (last.verb, last.resource, last.namespace, last.name, last.code) == (
        "get",
        "configmaps",
        NAMESPACE,
        "nothing",
        404,
    )
    assert "aiohttp" in last.user_agent


async def test_health_needs_no_token(api: Api) -> None:
    async with api.session.get("/readyz", headers={"Authorization": ""}) as response:
        assert (response.status, await response.text()) == (200, "ok")
