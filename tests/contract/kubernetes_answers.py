"""What comes back through the service proxy from pods that really run, not from the API server.

A control plane alone has no such pods: the real side is `tests/cluster/whole`.
"""

from __future__ import annotations

from typing import Any

from sandbox.kubernetes.answering import PATHS
from tests.contract.conversations import Conversation, Question
from tests.contract.kubernetes_kinds import BY_KIND, PORT, SERVICE

ANSWERS = "kubernetes/answers"


async def converse(talk: Conversation, service: str) -> None:
    """Ask the example's album through the proxy of a Service, by the path of the Service."""

    async def ask(what: str, path: str, **rest: Any) -> None:
        place, _, query = path.partition("?")
        await talk.step(what, Question("GET", f"{service}:{PORT}/proxy{place}", query), **rest)

    await ask("liveness", "/health")
    await ask("readiness", "/ready")
    await ask("business", "/api/v1/albums", view=_as_checked)
    await ask("business with a query", "/api/v1/albums?page=1", view=_as_checked)
    await ask("a path that the pod does not have", "/none/such")
    await ask("a path below", "/none/such/below?page=1")
    await ask("a path that has moved", "/api/v1/albums/")
    await ask("a path that has moved, with a query", "/api/v1/albums/?page=1&owner=a%20b")


async def answers(talk: Conversation, namespace: str) -> None:
    """The same in the sandbox, whose pods answer by what their manifests say of the version."""
    workload, service = BY_KIND["Deployment"], BY_KIND["Service"]
    deployment = workload.object()
    template = deployment["spec"]["template"]
    template["metadata"]["annotations"] = {PATHS: "/api/v1/albums"}
    for kind, manifest in (
        (BY_KIND["ConfigMap"], BY_KIND["ConfigMap"].object()),
        (workload, deployment),
        (service, service.object()),
    ):
        created = await talk.ask(Question("POST", kind.collection(namespace), body=manifest))
        assert created.status == 201, created.body
    path = f"{service.collection(namespace)}/{SERVICE}"
    ready = Question("GET", f"{path}:{PORT}/proxy/ready")
    await talk.until(ready, lambda answer: answer.status == 200)
    await converse(talk, path)


def _as_checked(body: Any) -> Any:
    """Checks look for texts in a body; which albums there are is the service's affair."""
    return {"service": body["service"]} if isinstance(body, dict) else body
