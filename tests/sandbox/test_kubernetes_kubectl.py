"""What a person types: the real kubectl, without special flags."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from sandbox.kubernetes.cluster import Cluster
from tests.support.sandbox_kubernetes import (
    NAMESPACE,
    Answer,
    Api,
    config_map,
    deployment,
    http_route,
    kubectl,
    running_cluster,
    service,
    until,
)


class Person:
    """Runs kubectl against one cluster, with a home of their own."""

    def __init__(self, cluster: Cluster, home: Path) -> None:
        self.cluster = cluster
        self._home = home

    async def types(self, line: str, stdin: str = "") -> Answer:
        return await kubectl(self.cluster, self._home, *line.split(), stdin=stdin)

    async def applies(self, *manifests: dict[str, object]) -> Answer:
        with_versions = [{"apiVersion": "v1", **manifest} for manifest in manifests]
        return await self.types("apply -f -", yaml.safe_dump_all(with_versions))


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running_cluster(speed=20) as running:
        yield running


@pytest.fixture
def person(api: Api, tmp_path: Path) -> Person:
    return Person(api.cluster, tmp_path)


async def test_apply_creates_then_changes_then_finds_nothing_to_do(person: Person) -> None:
    first = await person.applies(config_map("settings", A="1"), deployment(replicas=1))
    assert "configmap/settings created\ndeployment.apps/album created" in first.body
    again = await person.applies(config_map("settings", A="1"), deployment(replicas=1))
    assert "configmap/settings unchanged\ndeployment.apps/album unchanged" in again.body
    changed = await person.applies(config_map("settings", A="2"), deployment(replicas=2))
    assert "configmap/settings configured\ndeployment.apps/album configured" in changed.body
    stored = person.cluster.store.require("configmaps", NAMESPACE, "settings")
    assert stored["data"] == {"A": "2"}


async def test_apply_server_side_and_delete_by_file(person: Person) -> None:
    manifest = yaml.safe_dump(config_map("settings", A="1"))
    applied = await person.types("apply --server-side -f -", manifest)
    assert applied.body == "configmap/settings serverside-applied\n"
    deleted = await person.types("delete -f -", manifest)
    assert deleted.code == 0
    assert person.cluster.store.get("configmaps", NAMESPACE, "settings") is None


async def test_get_prints_the_usual_columns(person: Person) -> None:
    await person.applies(deployment(replicas=1), service(), http_route(("album", 1)))
    await person.types("rollout status deployment/album --timeout=20s")
    table = (await person.types("get deployments,pods,services,httproutes")).body
    headers = [line.split() for line in table.splitlines() if line.startswith("NAME")]
    assert headers == [
        ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"],
        ["NAME", "READY", "STATUS", "RESTARTS", "AGE"],
        ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"],
        ["NAME", "HOSTNAMES", "AGE"],
    ]
    rows = {line.split()[0]: line.split()[1:] for line in table.splitlines() if line}
    assert rows["deployment.apps/album"][:3] == ["1/1", "1", "1"]
    assert rows["service/album"][3] == "80/TCP"


async def test_get_prints_objects_by_path_and_as_yaml(person: Person) -> None:
    await person.applies(config_map("settings", A="1"))
    path = await person.types("get configmap settings -o jsonpath={.data.A}")
    assert path.body == "1"
    whole = yaml.safe_load((await person.types("get cm settings -o yaml")).body)
    assert (whole["kind"], whole["data"]) == ("ConfigMap", {"A": "1"})


async def test_describe_shows_a_crash_and_its_events(person: Person) -> None:
    await person.applies(deployment(replicas=1, faults="production:crash"))

    def crashed() -> bool:
        pods = person.cluster.store.list("pods", NAMESPACE)
        return any("CrashLoopBackOff" in str(pod.get("status")) for pod in pods)

    await until(person.cluster, crashed)
    described = (await person.types("describe pods")).body
    assert "Last State:     Terminated" in described
    assert "Back-off restarting failed container main" in described
    whole = (await person.types("describe deployment album")).body
    assert "1 desired | 1 updated | 1 total | 0 available | 1 unavailable" in whole
    assert "Scaled up replica set" in whole


@pytest.mark.parametrize(
    "line",
    [
        "describe service album",
        "describe httproute album",
        "describe node node-1",
        "describe namespace production",
        "get events",
        "get all,cm,hpa,pdb,netpol,ing,lease,endpointslices,gateways,nodes,ns,sa,secrets,jobs",
        "api-resources",
        "version",
    ],
)
async def test_reading_commands_work_without_flags(person: Person, line: str) -> None:
    await person.applies(service(), http_route(("album", 1)))
    answer = await person.types(line)
    assert answer.code == 0, answer.body


async def test_a_patch_whose_test_fails_is_an_error(person: Person) -> None:
    await person.applies(http_route(("album", 1)))
    path = "/spec/rules/0/backendRefs/0/weight"
    test = f'[{{"op":"test","path":"{path}","value":7}}]'
    answer = await person.types(f"patch httproute album --type=json -p={test}")
    assert answer.code == 1
    assert "The request is invalid" in answer.body


async def test_scale_annotate_label_and_patch_change_the_object(person: Person) -> None:
    await person.applies(deployment(replicas=1))
    for line in (
        "scale deployment album --replicas=3",
        "annotate deployment album note=here",
        "label deployment album team=a",
        'patch deployment album -p={"spec":{"minReadySeconds":0,"paused":true}}',
    ):
        answer = await person.types(line)
        assert answer.code == 0, answer.body
    stored = person.cluster.store.require("deployments", NAMESPACE, "album")
    assert (stored["spec"]["replicas"], stored["spec"]["paused"]) == (3, True)
    assert stored["metadata"]["annotations"]["note"] == "here"
    assert stored["metadata"]["labels"] == {"team": "a"}


async def test_a_rollout_is_followed_and_undone(person: Person) -> None:
    await person.applies(deployment(replicas=2))
    assert "successfully rolled out" in (await person.types("rollout status deploy/album")).body
    await person.types("set image deployment/album main=registry.example/album:v2")
    assert "successfully rolled out" in (await person.types("rollout status deploy/album")).body
    await person.types("rollout undo deployment/album")
    assert "successfully rolled out" in (await person.types("rollout status deploy/album")).body
    stored = person.cluster.store.require("deployments", NAMESPACE, "album")
    image = stored["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == "registry.example/album:v1"


async def test_a_rollout_past_its_deadline_fails_the_command(person: Person) -> None:
    await person.applies(
        deployment(replicas=1, faults="production:unready", progressDeadlineSeconds=1)
    )
    answer = await person.types("rollout status deployment/album")
    assert answer.code == 1
    assert "exceeded its progress deadline" in answer.body


async def test_delete_waits_until_the_pods_owner_is_gone(person: Person) -> None:
    await person.applies(deployment(replicas=1))
    answer = await person.types("delete deployment album --cascade=foreground")
    assert answer.code == 0, answer.body
    assert person.cluster.store.list("pods", NAMESPACE) == []


async def test_logs_name_what_the_sandbox_lacks(person: Person) -> None:
    await person.applies(deployment(replicas=1))
    await person.types("rollout status deployment/album")
    answer = await person.types("logs deployment/album")
    assert answer.code == 1
    assert "the sandbox does not implement GET" in answer.body
