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
    registry_tokens,
    slack_contracts,
    slack_targets,
)
from tests.contract.conversations import Step
from tests.contract.expectations import answered_by
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
    *registry_tokens.CONTRACTS,
    *prometheus_contracts.CONTRACTS,
    *slack_contracts.CONTRACTS,
)
OF_SANDBOX = tuple(name for name in CONTRACTS if name not in ONLY_REAL)
OF_REAL = tuple(name for name in CONTRACTS if name not in ONLY_SANDBOX)


# Registries with a system of their own, by their contract.
_REGISTRIES = {
    registry_contracts.LOGIN: "locked registry",
    registry_tokens.TOKENS: "registry with tokens",
}


def system_of(contract: str) -> str:
    """`kubernetes`, `registry` (plain, locked or with tokens), `prometheus` or `slack`."""
    return _REGISTRIES.get(contract, contract.partition("/")[0])


def program_of(system: str) -> str | None:
    """The program that a real system is, when it is started for each contract."""
    if system == "kubernetes":
        return None
    return "registry" if system in _REGISTRIES.values() else system


def contract_for(shape: str) -> str | None:
    """A contract, spoken with the sandbox, in which a shape of request is not only refused."""
    return next((name for name in OF_SANDBOX if shape in answered_by(name)), None)


async def speak(contract: str, target: Target, steps: list[Step] | None = None) -> list[Step]:
    """Hold the conversation of one contract with a running system; its steps.

    They are added to `steps` as they come: there they are also when the conversation breaks off.
    """
    spoken = [] if steps is None else steps
    speakers = {
        "kubernetes": kubernetes_targets.speak,
        "registry": registry_targets.speak,
        "locked registry": registry_targets.speak,
        "registry with tokens": registry_targets.speak,
        "prometheus": prometheus_targets.speak,
        "slack": slack_targets.speak,
    }
    await speakers[system_of(contract)](contract, target, spoken)
    return spoken


@asynccontextmanager
async def simulated(system: str, directory: Path) -> AsyncIterator[Target]:
    """The sandbox's part of that name, in this process."""
    running: dict[str, Callable[[], AbstractAsyncContextManager[Target]]] = {
        "kubernetes": kubernetes_targets.simulated,
        "registry": partial(registry_targets.simulated, directory),
        "locked registry": partial(registry_targets.simulated_locked, directory),
        "registry with tokens": partial(registry_targets.simulated_with_tokens, directory),
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
        "registry with tokens": registry_targets.real_with_tokens,
        "prometheus": prometheus_targets.real,
    }
    async with starts[system](directory) as target:
        yield target
