from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.support.sandbox_kubernetes import (
    Api,
    collection,
    config_map,
    path_of,
    running_cluster,
    until,
)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running_cluster() as running:
        yield running


def watch_path(query: str) -> str:
    return f"{collection('ConfigMap')}?watch=true&{query}"


async def lines(response: aiohttp.ClientResponse, count: int) -> list[dict[str, Any]]:
    return [json.loads(await response.content.readline()) for _ in range(count)]


def seen(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(event["type"], event["object"]["metadata"]["name"]) for event in events]


async def version(api: Api) -> str:
    listed = await api.get(collection("ConfigMap"))
    return str(listed.body["metadata"]["resourceVersion"])


async def test_a_watch_tells_every_change_after_the_version_it_names(api: Api) -> None:
    await until(api.cluster, lambda: api.cluster.store.list("configmaps"))
    await api.create(config_map("before"))
    since = await version(api)
    await api.create(config_map("missed", a="1"))
    async with api.session.get(watch_path(f"resourceVersion={since}")) as response:
        await api.patch(path_of("ConfigMap", "missed"), {"data": {"a": "2"}}, "merge-patch")
        await api.send("DELETE", path_of("ConfigMap", "missed"))
        events = await lines(response, 3)
    assert seen(events) == [("ADDED", "missed"), ("MODIFIED", "missed"), ("DELETED", "missed")]
    assert events[1]["object"]["data"] == {"a": "2"}


async def test_an_object_that_leaves_the_selection_is_deleted_for_its_watcher(api: Api) -> None:
    since = await version(api)
    async with api.session.get(
        watch_path(f"resourceVersion={since}&labelSelector=a=b")
    ) as response:
        await api.create({**config_map("x"), "metadata": {"name": "x", "labels": {"a": "b"}}})
        unlabel = {"metadata": {"labels": {"a": "c"}}}
        await api.patch(path_of("ConfigMap", "x"), unlabel, "merge-patch")
        events = await lines(response, 2)
    assert seen(events) == [("ADDED", "x"), ("DELETED", "x")]


async def test_a_watch_without_version_begins_with_what_is_there(api: Api) -> None:
    await api.create(config_map("there"))
    query = "fieldSelector=metadata.name=there&timeoutSeconds=1"
    async with api.session.get(watch_path(query)) as response:
        events = await lines(response, 1)
    assert seen(events) == [("ADDED", "there")]


async def test_initial_events_end_with_an_annotated_bookmark(api: Api) -> None:
    await api.create(config_map("there"))
    query = (
        "fieldSelector=metadata.name=there&sendInitialEvents=true&allowWatchBookmarks=true"
        "&resourceVersionMatch=NotOlderThan"
    )
    async with api.session.get(watch_path(query)) as response:
        events = await lines(response, 2)
    assert events[1]["type"] == "BOOKMARK"
    annotations = events[1]["object"]["metadata"]["annotations"]
    assert annotations == {"k8s.io/initial-events-end": "true"}


async def test_a_watch_ends_at_its_timeout_with_a_bookmark(api: Api) -> None:
    since = await version(api)
    query = f"resourceVersion={since}&timeoutSeconds=1&allowWatchBookmarks=true"
    async with api.session.get(watch_path(query)) as response:
        text = await response.text()
    assert [json.loads(line)["type"] for line in text.splitlines()][-1] == "BOOKMARK"


async def test_a_version_that_the_log_forgot_is_told_to_list_again(api: Api) -> None:
    api.cluster.store._forgotten = 100
    async with api.session.get(watch_path("resourceVersion=5")) as response:
        events = await lines(response, 1)
    assert (events[0]["type"], events[0]["object"]["code"]) == ("ERROR", 410)


async def test_a_watcher_that_leaves_is_forgotten(api: Api) -> None:
    listeners = len(api.cluster.store._listeners)
    since = await version(api)
    async with api.session.get(watch_path(f"resourceVersion={since}")):
        assert len(api.cluster.store._listeners) == listeners + 1
    while len(api.cluster.store._listeners) > listeners:
        await api.create({**config_map(""), "metadata": {"generateName": "poke-"}})


async def test_closing_the_cluster_ends_its_watches(api: Api) -> None:
    since = await version(api)
    async with api.session.get(watch_path(f"resourceVersion={since}")) as response:
        await api.cluster.close()
        assert await response.text() == ""
