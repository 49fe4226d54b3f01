"""Every contract by name, and the running system on which it is spoken."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

from tests.cluster.clusters import Cluster
from tests.contract import (
    kubernetes_contracts,
    kubernetes_targets,
    prometheus_contracts,
    prometheus_targets,
    registry_contracts,
    registry_targets,
    slack_contracts,
    slack_targets,
)
from tests.contract.conversations import Step
from tests.contract.expectations import shapes_of
from tests.contract.kubernetes_answers import ANSWERS
from tests.contract.targets import Target

# Not spoken with the sandbox, which has what this is the lack of.
ONLY_REAL = (registry_contracts.NO_REFERRERS,)
# Spoken with the pods of a whole cluster, by its own tests (`make test-cluster`).
WITH_PODS = (ANSWERS,)
# Not spoken with a real one: distribution has no referrers, Slack is nobody's to start.
ONLY_SANDBOX = ("registry/referrers", *slack_contracts.CONTRACTS, *WITH_PODS)
CONTRACTS = (
    *kubernetes_contracts.CONTRACTS,
    *registry_contracts.CONTRACTS,
    *prometheus_contracts.CONTRACTS,
    *slack_contracts.CONTRACTS,
)
OF_SANDBOX = tuple(name for name in CONTRACTS if name not in ONLY_REAL)
OF_REAL = tuple(name for name in CONTRACTS if name not in ONLY_SANDBOX)


def system_of(contract: str) -> str:
    """`kubernetes`, `registry`, `prometheus` or `slack`; a locked registry is one of its own."""
    if contract == registry_contracts.LOGIN:
        return "locked registry"
    return contract.partition("/")[0]


def program_of(system: str) -> str | None:
    """The program that a real system is, when it is started for each contract."""
    return {"locked registry": "registry"}.get(system, system) if system != "kubernetes" else None


def contract_for(shape: str) -> str | None:
    """A contract, spoken with the sandbox, that expects answers to a shape of request."""
    return next((name for name in OF_SANDBOX if shape in shapes_of(name)), None)


async def speak(contract: str, target: Target) -> list[Step]:
    """Hold the conversation of one contract with a running system; its steps."""
    speakers = {
        "kubernetes": kubernetes_targets.speak,
        "registry": registry_targets.speak,
        "locked registry": registry_targets.speak,
        "prometheus": prometheus_targets.speak,
        "slack": slack_targets.speak,
    }
    return await speakers[system_of(contract)](contract, target)


@asynccontextmanager
async def simulated(system: str, directory: Path) -> AsyncIterator[Target]:
    """The sandbox's part of that name, in this process."""
    running: dict[str, Callable[[], AbstractAsyncContextManager[Target]]] = {
        "kubernetes": kubernetes_targets.simulated,
        "registry": partial(registry_targets.simulated, directory),
        "locked registry": partial(registry_targets.simulated_locked, directory),
        "prometheus": prometheus_targets.simulated,
        "slack": slack_targets.simulated,
    }
    async with running[system]() as target:
        yield target


@asynccontextmanager
async def real(system: str, directory: Path, cluster: Cluster) -> AsyncIterator[Target]:
    """The real one; the cluster runs already, the others are started."""
    if system == "kubernetes":
        yield kubernetes_targets.real(cluster)
        return
    starts = {
        "registry": registry_targets.real,
        "locked registry": registry_targets.real_locked,
        "prometheus": prometheus_targets.real,
    }
    async with starts[system](directory) as target:
        yield target
