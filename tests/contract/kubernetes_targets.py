"""API servers under contract: the sandbox's, or a real one, each contract in its own namespace."""

from __future__ import annotations

import secrets
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sandbox.kubernetes.cluster import Cluster as Simulated
from tests.cluster.clusters import ADMIN, STRANGER, Cluster
from tests.contract.conversations import Conversation, Question, Step, conversation
from tests.contract.kubernetes_contracts import CONTRACTS, MASKS
from tests.contract.kubernetes_identities import ANONYMOUS, NOBODY
from tests.contract.targets import Target

AGENT = "tidegate/contract"
_ANONYMOUS = {"User-Agent": AGENT}
_NOBODY = {"Authorization": "Bearer nobody", **_ANONYMOUS}
_SPEED = 100.0


@asynccontextmanager
async def simulated() -> AsyncIterator[Target]:
    """The sandbox's API server."""
    cluster = Simulated("staging", speed=_SPEED)
    await cluster.start()
    try:
        headers = {"Authorization": f"Bearer {cluster.token}", "User-Agent": AGENT}
        trust = cluster.client_ssl()
        known = {"Authorization": f"Bearer {cluster.token_of(STRANGER)}", "User-Agent": AGENT}
        others = {
            STRANGER: Target(cluster.url, known, trust),
            NOBODY: Target(cluster.url, _NOBODY, trust),
            ANONYMOUS: Target(cluster.url, _ANONYMOUS, trust),
        }
        yield Target(cluster.url, headers, trust, others)
    finally:
        await cluster.close()


def real(cluster: Cluster) -> Target:
    """A real API server, as somebody who may do everything."""
    plain = ssl.create_default_context(cafile=str(cluster.authority))
    others = {
        STRANGER: Target(cluster.server, _ANONYMOUS, _named(cluster, STRANGER)),
        NOBODY: Target(cluster.server, _NOBODY, plain),
        ANONYMOUS: Target(cluster.server, _ANONYMOUS, plain),
    }
    return Target(cluster.server, {"User-Agent": AGENT}, _named(cluster, ADMIN), others)


def _named(cluster: Cluster, user: str) -> ssl.SSLContext:
    """Who connects is in the certificate."""
    trust = ssl.create_default_context(cafile=str(cluster.authority))
    pair = cluster.certificates / user
    trust.load_cert_chain(pair.with_suffix(".crt"), pair.with_suffix(".key"))
    return trust


async def speak(contract: str, target: Target, steps: list[Step]) -> None:
    """Hold the conversation of one contract, in a fresh namespace; each of its steps is added."""
    namespace = f"contract-{secrets.token_hex(4)}"
    async with conversation(target, MASKS) as talk:
        talk.steps = steps
        talk.names = {namespace: "{namespace}"}
        async with _namespace(talk, namespace):
            await CONTRACTS[contract](talk, namespace)


@asynccontextmanager
async def _namespace(talk: Conversation, name: str) -> AsyncIterator[None]:
    namespaces = "/api/v1/namespaces"
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    await talk.ask(Question("POST", namespaces, body=manifest))
    inside = f"{namespaces}/{name}"
    for path in ("serviceaccounts/default", "configmaps/kube-root-ca.crt"):
        await talk.until(Question("GET", f"{inside}/{path}"), lambda answer: answer.status == 200)
    try:
        yield
    finally:
        await talk.ask(Question("DELETE", inside))
