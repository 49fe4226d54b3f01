"""What an API server answers to our clients' requests: a contract per kind, and some besides."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from jsonpatch import JsonPatch

from tests.contract.conversations import Answer, Conversation, Question
from tests.contract.kubernetes_answers import ANSWERS, answers
from tests.contract.kubernetes_identities import credentials, forbidden, permissions
from tests.contract.kubernetes_kinds import (
    BY_KIND,
    JSON_PATCH,
    KINDS,
    PORT,
    SELECTED,
    SERVICE,
    Kind,
    put,
)
from tests.contract.kubernetes_watches import watch
from tests.contract.targets import Masks

Contract = Callable[[Conversation, str], Awaitable[None]]
_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
_AGE = "<age>"
# The autoscaler's numbers come from metrics, which a control plane alone has not.
_PLAYED = ("HorizontalPodAutoscaler",)
_OTHER_UID = "00000000-0000-4000-8000-000000000000"
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"
_UID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"

MASKS = Masks(
    values={
        "uid": "uid",
        "resourceVersion": "version",
        "managedFields": "writers",
        "clusterIP": "address",
        "clusterIPs": "addresses",
        "ca.crt": "certificate",
    },
    distinct=frozenset({"causes"}),
    headers=("Content-Type", "Location"),
    texts=(
        (_TIME, "<time>"),
        (_UID, "<uid>"),
        (r"^http://[^/]+/", "http://<server>/"),
        (r"^10\.\d+\.\d+\.\d+$", "<address>"),
        (r"too old resource version: \d+ \(\d+\)", "too old resource version: <version>"),
        (r'ReplicaSet "(\S+)-[a-z0-9]{8,10}"', r'ReplicaSet "\1-<hash>"'),
    ),
)


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
    view = partial(_compared, kind)
    await talk.step("read", Question("GET", path), view)
    await talk.step("list by labels", Question("GET", collection, SELECTED), view)
    await talk.step("list by other labels", Question("GET", collection, f"{SELECTED}x"), view)
    return str(read.body["metadata"]["uid"])


async def _patching(kind: Kind, talk: Conversation, namespace: str) -> None:
    path = f"{kind.collection(namespace)}/{kind.name}"
    view = partial(_compared, kind)
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


def _compared(kind: Kind, body: Any) -> Any:
    """Leave out a status that another system's controller writes."""
    if not kind.has_foreign_status or not isinstance(body, dict):
        return body
    without = {key: value for key, value in body.items() if key != "status"}
    if "items" in body:
        without["items"] = [_compared(kind, item) for item in body["items"]]
    return without


async def lists_of_everything(talk: Conversation, namespace: str) -> None:
    """Lists without a selector."""
    kind = BY_KIND["ConfigMap"]
    collection = kind.collection(namespace)
    await talk.ask(Question("POST", collection, body=kind.object()))
    everything = Question("GET", collection)
    await talk.until(everything, lambda answer: len(answer.body["items"]) == 2)
    await talk.step("list", everything)


async def pods(talk: Conversation, namespace: str) -> None:
    """The pods of a Deployment, as far as our clients read them."""
    kind = BY_KIND["Deployment"]
    await prepare(kind, talk, namespace)
    await talk.ask(Question("POST", kind.collection(namespace), body=kind.object()))
    await settled(kind, talk, namespace)
    collection = f"/api/v1/namespaces/{namespace}/pods"
    await talk.step("list", Question("GET", collection), _pods_as_read)
    await talk.step("list by labels", Question("GET", collection, SELECTED), _pods_as_read)
    other = Question("GET", collection, f"{SELECTED}x")
    await talk.step("list by other labels", other, _pods_as_read)


def _pods_as_read(body: Any) -> Any:
    return {**body, "items": [_pod_as_read(pod) for pod in body["items"]]}


def _pod_as_read(pod: dict[str, Any]) -> dict[str, Any]:
    metadata, spec, status = pod["metadata"], pod["spec"], pod["status"]
    owner = metadata["ownerReferences"][0]
    ready = [one for one in status["conditions"] if one["type"] == "Ready"]
    return {
        "head": sorted(pod),
        "labels": sorted(metadata["labels"]),
        "owner": {key: owner[key] for key in ("apiVersion", "kind", "controller")},
        "named after its owner": metadata["name"].startswith(f"{owner['name']}-"),
        "containers": [{key: one[key] for key in ("name", "image")} for one in spec["containers"]],
        "on a node": bool(spec["nodeName"]),
        "phase": status["phase"],
        "ready": [one["status"] for one in ready],
        "restarts": [one["restartCount"] for one in status["containerStatuses"]],
        "states": [sorted(one["state"]) for one in status["containerStatuses"]],
    }


async def service_proxy(talk: Conversation, namespace: str) -> None:
    """What the API server itself says when it cannot pass a request on to a pod."""
    kind = BY_KIND["Service"]
    services = kind.collection(namespace)
    await talk.step("no Service", Question("GET", f"{services}/none:{PORT}/proxy/health"))
    await _service_without_slice(talk, services)
    await talk.ask(Question("POST", services, body=kind.object()))
    asked = Question("GET", f"{services}/{kind.name}:{PORT}/proxy/health")
    await talk.until(asked, lambda answer: answer.status != 404)
    for what, port in {"no ready pod": PORT, "no such port": PORT + 1}.items():
        path = f"{services}/{kind.name}:{port}/proxy/api/v1/albums"
        await talk.step(what, Question("GET", path))


async def _service_without_slice(talk: Conversation, services: str) -> None:
    """Every Service is like this until a controller has seen it, one without selector for ever."""
    body = BY_KIND["Service"].object()
    body["metadata"]["name"] = "bare"
    body["spec"].pop("selector")
    await talk.ask(Question("POST", services, body=body))
    for what, port in {"no slice": PORT, "no slice and no such port": PORT + 1}.items():
        await talk.step(what, Question("GET", f"{services}/bare:{port}/proxy/health"))


async def version(talk: Conversation, namespace: str) -> None:
    """What the server says of itself: only which fields there are, and whose."""

    def view(body: Any) -> Any:
        return {key: "<text>" if body[key] else "" for key in ("major", "minor", "gitVersion")}

    await talk.step("version", Question("GET", "/version"), view)


async def unknown_kinds(talk: Conversation, namespace: str) -> None:
    """A kind that the server does not have: its CRD is not installed."""
    path = f"/apis/gateway.networking.k8s.io/v9/namespaces/{namespace}/httproutes"
    await talk.step("list", Question("GET", path))
    await talk.step("read", Question("GET", f"{path}/album"))


async def tables(talk: Conversation, namespace: str) -> None:
    """What `kubectl get` prints: columns and cells as the server writes them."""
    for kind in KINDS:
        await talk.ask(Question("POST", kind.collection(namespace), body=kind.object()))
    for kind in KINDS:
        await settled(kind, talk, namespace)
        query = f"labelSelector=app%3D{SERVICE}"
        asked = Question("GET", kind.collection(namespace), query, accept=_TABLE)
        view = partial(_table, kind.kind not in _PLAYED)
        await talk.step(f"{kind.kind} as a table", asked, view)


def _table(has_comparable_cells: bool, body: Any) -> Any:
    columns = [
        {key: column[key] for key in ("name", "type", "format", "priority")}
        for column in body["columnDefinitions"]
    ]
    ages = [at for at, column in enumerate(columns) if column["name"] == "Age"]
    rows = [
        [_AGE if at in ages else cell for at, cell in enumerate(row["cells"])]
        for row in body["rows"]
    ]
    heads = [sorted(row["object"]) for row in body["rows"]]
    shown = {**body, "columnDefinitions": columns, "rows": [heads]}
    return {**shown, "rows": [heads, rows]} if has_comparable_cells else shown


CONTRACTS: dict[str, Contract] = {
    **{f"kubernetes/{kind.kind.lower()}": partial(one_kind, kind) for kind in KINDS},
    **{
        f"kubernetes/watch-{name.lower()}": partial(watch, BY_KIND[name])
        for name in ("ConfigMap", "Deployment", "HTTPRoute")
    },
    "kubernetes/lists": lists_of_everything,
    "kubernetes/pods": pods,
    "kubernetes/proxy": service_proxy,
    ANSWERS: answers,
    "kubernetes/unknown-kinds": unknown_kinds,
    "kubernetes/tables": tables,
    "kubernetes/version": version,
    "kubernetes/permissions": permissions,
    "kubernetes/credentials": credentials,
    "kubernetes/forbidden": forbidden,
}
