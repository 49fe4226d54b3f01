from __future__ import annotations

import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from sandbox.kubernetes.routing import is_ready
from tests.support.sandbox_kubernetes import (
    NAMESPACE,
    Api,
    config_map,
    deployment,
    path_of,
    running_cluster,
    until,
)

KNOWN_IMAGES = {"registry.example/album:v1"}


async def exists(image: str) -> bool:
    return image in KNOWN_IMAGES


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running_cluster(speed=100, image_exists=exists) as running:
        yield running


def pod(api: Api) -> dict[str, Any]:
    return next(iter(api.cluster.store.list("pods", NAMESPACE)), {})


def container(api: Api) -> dict[str, Any]:
    states = pod(api).get("status", {}).get("containerStatuses") or [{}]
    return dict(states[0])


def waits_for(api: Api, reason: str) -> bool:
    waiting = container(api).get("state", {}).get("waiting") or {}
    return bool(waiting.get("reason") == reason)


def first_is_ready(api: Api) -> bool:
    return bool(pod(api)) and is_ready(pod(api))


def event_reasons(api: Api) -> set[str]:
    return {event["reason"] for event in api.cluster.store.list("events", NAMESPACE)}


async def test_a_started_pod_reports_image_id_node_and_address(api: Api) -> None:
    await api.create(deployment(replicas=1))
    await until(api.cluster, partial(first_is_ready, api))
    assert container(api)["image"] == "registry.example/album:v1"
    assert container(api)["imageID"].startswith("registry.example/album@sha256:")
    assert container(api)["restartCount"] == 0
    assert pod(api)["spec"]["nodeName"] in ("node-1", "node-2", "node-3")
    assert pod(api)["status"]["podIP"].startswith("10.244.")
    assert pod(api)["status"]["phase"] == "Running"


async def test_start_up_time_is_divided_by_the_speed() -> None:
    elapsed: list[float] = []
    for speed in (1.5, 250):
        async with running_cluster(speed=speed) as api:
            begin = time.monotonic()
            await api.create(deployment(replicas=1))
            await until(api.cluster, partial(first_is_ready, api))
            elapsed.append(time.monotonic() - begin)
    assert elapsed[1] < 1.0 < elapsed[0]


async def test_a_missing_image_backs_off(api: Api) -> None:
    await api.create(deployment(replicas=1, image="registry.example/nothing:v1"))
    seen: list[str] = []
    stop = api.cluster.store.subscribe(
        lambda _: seen.append(
            (container(api).get("state", {}).get("waiting") or {}).get("reason", "")
        )
    )
    await until(api.cluster, lambda: waits_for(api, "ImagePullBackOff"))
    stop()
    assert "ErrImagePull" in seen
    assert not is_ready(pod(api))
    assert {"Failed", "BackOff"} <= event_reasons(api)


async def test_an_image_that_appears_later_is_pulled_at_the_next_try(api: Api) -> None:
    await api.create(deployment(replicas=1, image="registry.example/late:v1"))
    await until(api.cluster, lambda: waits_for(api, "ImagePullBackOff"))
    KNOWN_IMAGES.add("registry.example/late:v1")
    await until(api.cluster, lambda: is_ready(pod(api)))


async def test_a_crashing_version_is_restarted_ever_later(api: Api) -> None:
    backing_off: dict[str, int] = {}

    def note(_: object) -> None:
        if waits_for(api, "CrashLoopBackOff"):
            waiting = container(api)["state"]["waiting"]
            backing_off[waiting["message"]] = container(api)["restartCount"]

    stop = api.cluster.store.subscribe(note)
    await api.create(deployment(replicas=1, faults="production:crash"))
    await until(api.cluster, lambda: len(backing_off) == 3)
    stop()
    assert backing_off == {
        "back-off 10s restarting failed container=main": 1,
        "back-off 20s restarting failed container=main": 2,
        "back-off 40s restarting failed container=main": 3,
    }
    assert container(api)["lastState"]["terminated"]["exitCode"] == 1
    assert not is_ready(pod(api))


async def test_a_version_that_crashes_elsewhere_runs_here(api: Api) -> None:
    await api.create(deployment(replicas=1, faults="staging:crash,staging:unready"))
    await until(api.cluster, partial(first_is_ready, api))


async def test_a_version_out_of_memory_serves_until_it_is_killed(api: Api) -> None:
    await api.create(deployment(replicas=1, faults="production:oom"))
    await until(api.cluster, partial(first_is_ready, api))
    await until(api.cluster, lambda: container(api)["restartCount"] >= 1)
    killed = container(api)["lastState"]["terminated"]
    assert (killed["reason"], killed["exitCode"]) == ("OOMKilled", 137)


async def test_an_unready_version_runs_and_never_becomes_ready(api: Api) -> None:
    await api.create(deployment(replicas=1, faults="production:unready"))
    await until(api.cluster, lambda: "Unhealthy" in event_reasons(api))
    assert "running" in container(api)["state"]
    assert not is_ready(pod(api))


async def test_a_missing_config_map_holds_the_container_until_it_exists(api: Api) -> None:
    container_needs = {"envFrom": [{"configMapRef": {"name": "settings"}}]}
    await api.create(deployment(replicas=1, container=container_needs))
    await until(api.cluster, lambda: waits_for(api, "CreateContainerConfigError"))
    message = container(api)["state"]["waiting"]["message"]
    assert message == 'configmap "settings" not found'
    await api.create(config_map("settings"))
    await until(api.cluster, lambda: is_ready(pod(api)))


async def test_a_missing_key_of_a_secret_holds_the_container(api: Api) -> None:
    reference = {"secretKeyRef": {"name": "credentials", "key": "password"}}
    needs = {"env": [{"name": "PASSWORD", "valueFrom": reference}]}
    await api.create(deployment(replicas=1, container=needs))
    await until(api.cluster, lambda: waits_for(api, "CreateContainerConfigError"))
    secret = {"kind": "Secret", "metadata": {"name": "credentials"}, "stringData": {"other": "x"}}
    path = f"/api/v1/namespaces/{NAMESPACE}/secrets"
    await api.send("POST", path, secret)
    wrong_key = "couldn't find key password in secret production/credentials"
    await until(api.cluster, lambda: container(api)["state"]["waiting"]["message"] == wrong_key)


async def test_a_missing_volume_keeps_the_container_being_created(api: Api) -> None:
    volumes = {"volumes": [{"name": "files", "configMap": {"name": "settings"}}]}
    await api.create(deployment(replicas=1, pod_spec=volumes))
    await until(api.cluster, lambda: "FailedMount" in event_reasons(api))
    assert container(api)["state"]["waiting"]["reason"] == "ContainerCreating"
    await api.create(config_map("settings"))
    await until(api.cluster, lambda: is_ready(pod(api)))


async def test_a_deleted_pod_terminates_before_it_is_gone(api: Api) -> None:
    await api.create(deployment(replicas=1))
    await until(api.cluster, partial(first_is_ready, api))
    name = pod(api)["metadata"]["name"]
    answer = await api.send("DELETE", path_of("Pod", name))
    assert answer.body["metadata"]["deletionGracePeriodSeconds"] == 30
    marked = api.cluster.store.get("pods", NAMESPACE, name)
    assert marked is None or not is_ready(marked)
    await until(api.cluster, lambda: not api.cluster.store.get("pods", NAMESPACE, name))


async def test_a_pod_deleted_by_force_is_gone_at_once(api: Api) -> None:
    bare = {
        "kind": "Pod",
        "metadata": {"name": "bare"},
        "spec": {"containers": [{"name": "main", "image": "registry.example/album:v1"}]},
    }
    await api.create(bare)
    await api.send("DELETE", path_of("Pod", "bare"), {"gracePeriodSeconds": 0})
    assert api.cluster.store.get("pods", NAMESPACE, "bare") is None
