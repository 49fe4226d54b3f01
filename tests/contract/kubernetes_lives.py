"""An object's whole life, of any kind, and every way in which a request about it can fail."""

from __future__ import annotations

from functools import partial
from typing import Any

from jsonpatch import JsonPatch

from tests.contract.conversations import Answer, Conversation, Question
from tests.contract.kubernetes_kinds import BY_KIND, JSON_PATCH, SELECTED, Kind, put

_OTHER_UID = "00000000-0000-4000-8000-000000000000"


async def one_kind(kind: Kind, talk: Conversation, namespace: str) -> None:
    """An object's whole life, and every way in which a request about it can fail."""
    await _reading_what_is_not_there(kind, talk, namespace)
    await _creating(kind, talk, namespace)
    uid = await _reading(kind, talk, namespace)
    await _patching(kind, talk, namespace)
    await _deleting(kind, talk, namespace, uid)


async def _reading_what_is_not_there(kind: Kind, talk: Conversation, namespace: str) -> None:
    path = f"{kind.collection(namespace)}/{kind.name}"
    await talk.step("read what is not there", Question("GET", path))
    await talk.step("list nothing", Question("GET", kind.collection(namespace), SELECTED))


async def _creating(kind: Kind, talk: Conversation, namespace: str) -> None:
    collection = kind.collection(namespace)
    for what, change in kind.wrong.items():
        wrong = JsonPatch(change).apply(kind.object())
        await talk.step(f"create with a wrong {what}", Question("POST", collection, body=wrong))
    await prepare(kind, talk, namespace)
    nowhere = kind.collection("there-is-no-such-namespace")
    await talk.step("create nowhere", Question("POST", nowhere, body=kind.object()))
    create = Question("POST", collection, body=kind.object())
    await talk.step("create", create)
    await talk.step("create again", create)


async def _reading(kind: Kind, talk: Conversation, namespace: str) -> str:
    collection = kind.collection(namespace)
    path = f"{collection}/{kind.name}"
    read = await settled(kind, talk, namespace)
    view = partial(compared, kind)
    await talk.step("read", Question("GET", path), view)
    await talk.step("list by labels", Question("GET", collection, SELECTED), view)
    await talk.step("list by other labels", Question("GET", collection, f"{SELECTED}x"), view)
    return str(read.body["metadata"]["uid"])


async def _patching(kind: Kind, talk: Conversation, namespace: str) -> None:
    path = f"{kind.collection(namespace)}/{kind.name}"
    view = partial(compared, kind)
    changed = Question("PATCH", path, body=kind.patch, content_type=JSON_PATCH)
    await talk.step("patch", changed, view)
    await settled(kind, talk, namespace)
    refused = {
        "whose test fails": [
            {"op": "test", "path": "/metadata/labels/app", "value": "other"},
            *put("/metadata/labels/app", "never"),
        ],
        "of a field that is not there": [{"op": "remove", "path": "/metadata/labels/none"}],
        "of an operation that is none": [{"op": "improve", "path": "/metadata", "value": 1}],
        "to another uid": put("/metadata/uid", _OTHER_UID),
        "to an old version": put("/metadata/resourceVersion", "1"),
        **{
            f"to a wrong {what}": change
            for what, change in kind.wrong.items()
            if change[0]["op"] != "test" and change[-1]["path"] != "/metadata/name"
        },
    }
    for what, operations in refused.items():
        question = Question("PATCH", path, body=operations, content_type=JSON_PATCH)
        await talk.step(f"patch {what}", question)
    nothing = Question("PATCH", f"{path}-x", body=kind.patch, content_type=JSON_PATCH)
    await talk.step("patch what is not there", nothing)


async def _deleting(kind: Kind, talk: Conversation, namespace: str, uid: str) -> None:
    path = f"{kind.collection(namespace)}/{kind.name}"
    await talk.step("delete another one", _delete(path, _OTHER_UID))
    await talk.step("delete", _delete(path, uid))
    await talk.step("delete again", _delete(path, uid))
    await talk.step("read after the deletion", Question("GET", path))


def _delete(path: str, uid: str) -> Question:
    options = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": uid},
        "propagationPolicy": "Background",
    }
    return Question("DELETE", path, body=options)


async def prepare(kind: Kind, talk: Conversation, namespace: str) -> None:
    """Create what an object of the kind refers to."""
    for needed in map(BY_KIND.__getitem__, kind.needs):
        await talk.ask(Question("POST", needed.collection(namespace), body=needed.object()))


async def settled(kind: Kind, talk: Conversation, namespace: str) -> Answer:
    """The object once its controller has written the last of its status."""
    question = Question("GET", f"{kind.collection(namespace)}/{kind.name}")
    return await talk.until(question, lambda answer: not kind.settles or _at_rest(answer.body))


def _at_rest(manifest: dict[str, Any]) -> bool:
    status = manifest.get("status") or {}
    if status.get("observedGeneration") != manifest["metadata"]["generation"]:
        return False
    if manifest["kind"] != "Deployment":
        return True
    wanted = manifest["spec"]["replicas"]
    counts = [status.get(name) for name in ("replicas", "readyReplicas", "availableReplicas")]
    return counts == [wanted] * 3 and all(
        condition["status"] == "True" and condition.get("reason") != "ReplicaSetUpdated"
        for condition in status.get("conditions") or ()
    )


def compared(kind: Kind, body: Any) -> Any:
    """Leave out a status that another system's controller writes."""
    if not kind.has_foreign_status or not isinstance(body, dict):
        return body
    without = {key: value for key, value in body.items() if key != "status"}
    if "items" in body:
        without["items"] = [compared(kind, item) for item in body["items"]]
    return without
