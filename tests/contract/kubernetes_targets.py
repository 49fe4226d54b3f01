"""API servers under contract: the sandbox's, or a real one, each contract in its own namespace."""

from __future__ import annotations

import secrets
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sandbox.kubernetes.cluster import Cluster as Simulated
from tests.cluster.clusters import ADMIN, Cluster
from tests.contract.conversations import Conversation, Question, Step, conversation
from tests.contract.kubernetes_contracts import CONTRACTS, MASKS
from tests.contract.targets import Target

AGENT = "tidegate/contract"
_NOBODY = {"Authorization": "Bearer nobody", "User-Agent": AGENT}
_SPEED = 100.0


@asynccontextmanager
async def simulated() -> AsyncIterator[Target]:
    """The sandbox's API server."""
    cluster = Simulated("staging", speed=_SPEED)
    await cluster.start()
    try:
        headers = {"Authorization": f"Bearer {cluster.token}", "User-Agent": AGENT}
        trust = cluster.client_ssl()
        yield Target(cluster.url, headers, trust, Target(cluster.url, _NOBODY, trust))
    finally:
        await cluster.close()


def real(cluster: Cluster) -> Target:
    """A real API server, as somebody who may do everything."""
    trust = ssl.create_default_context(cafile=str(cluster.authority))
    named = cluster.certificates / ADMIN
    trust.load_cert_chain(named.with_suffix(".crt"), named.with_suffix(".key"))
    plain = ssl.create_default_context(cafile=str(cluster.authority))
    nobody = Target(cluster.server, _NOBODY, plain)
    return Target(cluster.server, {"User-Agent": AGENT}, trust, nobody)


async def speak(contract: str, target: Target) -> list[Step]:
    """Hold the conversation of one contract, in a fresh namespace; its steps."""
    namespace = f"contract-{secrets.token_hex(4)}"
    async with conversation(target, MASKS) as talk:
        talk.names = {namespace: "{namespace}"}
        async with _namespace(talk, namespace):
            await CONTRACTS[contract](talk, namespace)
    return talk.steps


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
