"""Contracts about who asks: what credentials allow, and how somebody without rights is refused."""

from __future__ import annotations

from collections.abc import Iterator

from tests.cluster.clusters import STRANGER
from tests.contract.conversations import Conversation, Question, of_another
from tests.contract.kubernetes_kinds import BY_KIND, JSON_PATCH, KINDS, PORT, SELECTED, Kind
from tests.contract.kubernetes_watches import watching

# Shows a token that is nobody's, and shows nothing at all.
NOBODY, ANONYMOUS = "nobody", "anonymous"
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
# A version of a kind that no server has.
_UNKNOWN = "/apis/gateway.networking.k8s.io/v9/namespaces/{}/httproutes"


async def permissions(talk: Conversation, namespace: str) -> None:
    """Asking whether the credentials allow something."""
    await talk.step("may it", _review(namespace))
    await talk.step("may it what", _review(namespace, asks_nothing=True))
    async with of_another(talk, STRANGER) as stranger:
        await stranger.step("may the stranger", _review(namespace))
        await stranger.step("may the stranger what", _review(namespace, asks_nothing=True))
    async with of_another(talk, ANONYMOUS) as anonymous:
        await anonymous.step("may somebody without credentials", _review(namespace))


async def credentials(talk: Conversation, namespace: str) -> None:
    """A token that is nobody's, and no token."""
    listed = Question("GET", BY_KIND["ConfigMap"].collection(namespace))
    for name in (NOBODY, ANONYMOUS):
        async with of_another(talk, name) as other:
            await other.step(f"list as {name}", listed)
            await other.step(f"discovery as {name}", Question("GET", "/apis"))
    async with of_another(talk, NOBODY) as nobody:
        await nobody.step("version as nobody", Question("GET", "/version"))
    async with of_another(talk, ANONYMOUS) as anonymous:
        version = Question("GET", "/version")
        await anonymous.step("version as anonymous", version, lambda body: sorted(body)[:1])


async def forbidden(talk: Conversation, namespace: str) -> None:
    """Every request of our clients by somebody who is known and may do nothing."""
    kept = BY_KIND["ConfigMap"]
    await talk.ask(Question("POST", kept.collection(namespace), body=kept.object()))
    async with of_another(talk, STRANGER) as stranger:
        for kind in KINDS:
            for verb, question in _questions(kind, namespace):
                await stranger.step(f"{verb} {kind.kind}", question)
        for what, question in _other_questions(namespace).items():
            await stranger.step(what, question)
        version = Question("GET", "/version")
        await stranger.step("version", version, lambda body: "gitVersion" in body)
    await talk.step("read what nobody changed", Question("GET", _path(kept, namespace)))


def _questions(kind: Kind, namespace: str) -> Iterator[tuple[str, Question]]:
    collection, path = kind.collection(namespace), _path(kind, namespace)
    yield "list", Question("GET", collection)
    yield "list by labels of", Question("GET", collection, SELECTED)
    yield "get", Question("GET", path)
    yield "create", Question("POST", collection, body=kind.object())
    yield "patch", Question("PATCH", path, body=kind.patch, content_type=JSON_PATCH)
    yield "delete", Question("DELETE", path, body={"apiVersion": "v1", "kind": "DeleteOptions"})
    yield "watch", watching(collection, kind.name, "1")


def _other_questions(namespace: str) -> dict[str, Question]:
    services = BY_KIND["Service"].collection(namespace)
    pods = f"/api/v1/namespaces/{namespace}/pods"
    return {
        "list pods": Question("GET", pods),
        "list pods by labels": Question("GET", pods, SELECTED),
        "service proxy": Question("GET", f"{services}/album:{PORT}/proxy/health"),
        "service proxy of a path": Question("GET", f"{services}/album:{PORT}/proxy/api/v1/albums"),
        "list what the server does not know": Question("GET", _UNKNOWN.format(namespace)),
        "read the namespace": Question("GET", f"/api/v1/namespaces/{namespace}"),
        "list namespaces": Question("GET", "/api/v1/namespaces"),
        "read a page that is none": Question("GET", "/none/such"),
    }


def _path(kind: Kind, namespace: str) -> str:
    return f"{kind.collection(namespace)}/{kind.name}"


def _review(namespace: str, *, asks_nothing: bool = False) -> Question:
    asked = {"namespace": namespace, "verb": "get", "resource": "services", "subresource": "proxy"}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {} if asks_nothing else {"resourceAttributes": asked},
    }
    return Question("POST", _REVIEWS, body=body)
