"""What an API server answers to our clients' requests: a contract per kind, and some besides."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from tests.contract.conversations import Conversation, Question
from tests.contract.kubernetes_answers import ANSWERS, answers
from tests.contract.kubernetes_identities import credentials, forbidden, permissions
from tests.contract.kubernetes_kinds import BY_KIND, KINDS
from tests.contract.kubernetes_lives import compared, one_kind
from tests.contract.kubernetes_pods import pods, service_proxy
from tests.contract.kubernetes_tables import tables
from tests.contract.kubernetes_watches import watch
from tests.contract.targets import Masks

_NOT_OLDER = "resourceVersionMatch=NotOlderThan"
Contract = Callable[[Conversation, str], Awaitable[None]]
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
        (r"(Too large resource version: \d+, current:) \d+", r"\1 <version>"),
        (r"too old resource version: \d+ \(\d+\)", "too old resource version: <version>"),
        (r'ReplicaSet "(\S+)-[a-z0-9]{8,10}"', r'ReplicaSet "\1-<hash>"'),
    ),
)


async def lists_of_everything(talk: Conversation, namespace: str) -> None:
    """Lists without a selector."""
    kind = BY_KIND["ConfigMap"]
    collection = kind.collection(namespace)
    await talk.ask(Question("POST", collection, body=kind.object()))
    everything = Question("GET", collection)
    await talk.until(everything, lambda answer: len(answer.body["items"]) == 2)
    await talk.step("list", everything)
    routes = BY_KIND["HTTPRoute"]
    everything = Question("GET", routes.collection(namespace))
    await talk.step("list no routes", everything)
    await talk.ask(Question("POST", routes.collection(namespace), body=routes.object()))
    await talk.step("list routes", everything, partial(compared, routes))


async def namespaces(talk: Conversation, namespace: str) -> None:
    """Whether a namespace is there."""
    path = "/api/v1/namespaces"
    await talk.step("read", Question("GET", f"{path}/{namespace}"))
    await talk.step("read what is not there", Question("GET", f"{path}/there-is-none-such"))


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


async def versions(talk: Conversation, namespace: str) -> None:
    """What nobody has written yet: the one refusal of a healthy server that says when to retry."""
    kind = BY_KIND["ConfigMap"]
    await talk.ask(Question("POST", kind.collection(namespace), body=kind.object()))
    collection, ahead = kind.collection(namespace), f"resourceVersion={10**9}"
    await talk.step("list", Question("GET", collection, f"{ahead}&{_NOT_OLDER}"))
    await talk.step("read", Question("GET", f"{collection}/{kind.name}", ahead))


CONTRACTS: dict[str, Contract] = {
    **{f"kubernetes/{kind.kind.lower()}": partial(one_kind, kind) for kind in KINDS},
    **{
        f"kubernetes/watch-{name.lower()}": partial(watch, BY_KIND[name])
        for name in ("ConfigMap", "Deployment", "HTTPRoute")
    },
    "kubernetes/namespaces": namespaces,
    "kubernetes/lists": lists_of_everything,
    "kubernetes/pods": pods,
    "kubernetes/proxy": service_proxy,
    ANSWERS: answers,
    "kubernetes/unknown-kinds": unknown_kinds,
    "kubernetes/tables": tables,
    "kubernetes/version": version,
    "kubernetes/versions": versions,
    "kubernetes/permissions": permissions,
    "kubernetes/credentials": credentials,
    "kubernetes/forbidden": forbidden,
}
