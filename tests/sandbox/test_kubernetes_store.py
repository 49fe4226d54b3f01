from __future__ import annotations

import copy
from typing import Any

import pytest

from sandbox.kubernetes.deletion import DeleteOptions, GarbageCollector, delete
from sandbox.kubernetes.status import StatusError
from sandbox.kubernetes.store import Event, Store


def config(name: str, namespace: str = "default", **rest: Any) -> dict[str, Any]:
    return {"kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, **rest}


def changed(manifest: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**copy.deepcopy(manifest), **fields}


def test_every_write_gets_a_higher_version_and_an_equal_one_gets_none() -> None:
    store = Store()
    first = store.create("configmaps", config("a"))
    second = store.update("configmaps", changed(first, data={"k": "v"}))
    same = store.update("configmaps", changed(second))
    assert int(second["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])
    assert same["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]


def test_update_of_an_old_version_is_a_conflict() -> None:
    store = Store()
    first = store.create("configmaps", config("a"))
    store.update("configmaps", changed(first, data={"k": "1"}))
    with pytest.raises(StatusError) as error:
        store.update("configmaps", changed(first, data={"k": "2"}))
    assert (error.value.code, error.value.reason) == (409, "Conflict")


def test_creating_an_existing_name_is_refused_as_already_existing() -> None:
    store = Store()
    store.create("configmaps", config("a"))
    store.create("configmaps", config("a", namespace="other"))
    with pytest.raises(StatusError) as error:
        store.create("configmaps", config("a"))
    assert (error.value.code, error.value.reason) == (409, "AlreadyExists")


def test_generation_rises_with_the_spec_and_not_with_labels_or_status() -> None:
    store = Store()
    made = store.create("httproutes", config("r", spec={"hostnames": ["a"]}))
    labelled = copy.deepcopy(made)
    labelled["metadata"]["labels"] = {"x": "y"}
    same = store.update("httproutes", changed(labelled, status={"parents": []}))
    other = store.update("httproutes", changed(same, spec={"hostnames": ["b"]}))
    generations = [m["metadata"]["generation"] for m in (made, same, other)]
    assert generations == [1, 1, 2]


def test_events_of_a_forgotten_version_are_gone() -> None:
    store = Store(log_length=3)
    first = store.create("configmaps", config("a"))
    for number in range(5):
        store.create("configmaps", config(f"b{number}"))
    with pytest.raises(StatusError) as error:
        store.events_since("configmaps", int(first["metadata"]["resourceVersion"]))
    assert error.value.code == 410


def test_listeners_hear_events_in_order_even_when_one_of_them_writes() -> None:
    store = Store()
    heard: list[int] = []

    def write_once(event: Event) -> None:
        if event.object["metadata"]["name"] == "a":
            store.create("configmaps", config("b"))

    store.subscribe(write_once)
    store.subscribe(lambda event: heard.append(event.version))
    store.create("configmaps", config("a"))
    assert heard == sorted(heard)
    assert len(heard) == 2


def test_unsubscribed_listeners_hear_nothing() -> None:
    store = Store()
    heard: list[Event] = []
    store.subscribe(heard.append)()
    store.create("configmaps", config("a"))
    assert heard == []


def owned_by(owner: dict[str, Any]) -> list[dict[str, str]]:
    metadata = owner["metadata"]
    return [{"kind": "ConfigMap", "name": metadata["name"], "uid": metadata["uid"]}]


def family(store: Store) -> None:
    GarbageCollector(store)
    owner = store.create("configmaps", config("owner"))
    child = config("child")
    child["metadata"]["ownerReferences"] = owned_by(owner)
    grandchild = config("grandchild")
    grandchild["metadata"]["ownerReferences"] = owned_by(store.create("configmaps", child))
    store.create("configmaps", grandchild)


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
def test_deleting_an_owner_deletes_what_it_owns_at_any_depth(propagation: str) -> None:
    store = Store()
    family(store)
    delete(store, "configmaps", "default", "owner", DeleteOptions(propagation=propagation))
    assert store.list("configmaps") == []


def test_foreground_deletion_removes_the_owner_last() -> None:
    store = Store()
    family(store)
    gone: list[str] = []
    store.subscribe(
        lambda e: gone.append(e.object["metadata"]["name"]) if e.type == "DELETED" else None
    )
    delete(store, "configmaps", "default", "owner", DeleteOptions(propagation="Foreground"))
    assert gone == ["grandchild", "child", "owner"]


def test_orphaning_deletion_keeps_what_was_owned() -> None:
    store = Store()
    family(store)
    delete(store, "configmaps", "default", "owner", DeleteOptions(propagation="Orphan"))
    assert [m["metadata"]["name"] for m in store.list("configmaps")] == ["child", "grandchild"]


def test_finalizers_keep_a_deleted_object_until_they_are_removed() -> None:
    store = Store()
    held = config("held")
    held["metadata"]["finalizers"] = ["example.dev/hold"]
    store.create("configmaps", held)
    delete(store, "configmaps", "default", "held", DeleteOptions())
    kept = store.require("configmaps", "default", "held")
    assert "deletionTimestamp" in kept["metadata"]
    released = copy.deepcopy(kept)
    released["metadata"]["finalizers"] = []
    store.update("configmaps", released)
    assert store.get("configmaps", "default", "held") is None


@pytest.mark.parametrize("field", ["uid", "resourceVersion"])
def test_a_failed_precondition_stops_a_deletion(field: str) -> None:
    store = Store()
    store.create("configmaps", config("a"))
    with pytest.raises(StatusError) as error:
        delete(store, "configmaps", "default", "a", DeleteOptions(preconditions={field: "other"}))
    assert error.value.code == 409
    assert store.get("configmaps", "default", "a") is not None
