"""The pods of a Deployment, and what the API server says when it cannot reach one."""

from __future__ import annotations

from typing import Any

from tests.contract.conversations import Conversation, Question
from tests.contract.kubernetes_kinds import BY_KIND, PORT, SELECTED
from tests.contract.kubernetes_lives import prepare, settled


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
