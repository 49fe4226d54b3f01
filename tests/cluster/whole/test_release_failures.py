"""Versions that cannot run at all: each ends in staging, with the reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from domain.environments import Environment
from domain.phases import Outcome, Phase
from tests.cluster.whole.addresses import REGISTRY
from tests.cluster.whole.bed import Bed
from tests.cluster.whole.repository import SERVICE, RefusedError, Repository

pytestmark = pytest.mark.timeout(300)
DEPLOYMENT = "deployment/k8s/base/deployments/album.yaml"
MISSING = f"{REGISTRY}/isa/album@sha256:{'0' * 64}"
MAIN = "microservices/album/main.py"
START = '    """Serve until SIGTERM."""\n'


@dataclass(frozen=True)
class Failure:
    """What is wrong with a version, and what must be read of it."""

    file: str
    change: Callable[[str], str]
    reason: str


FAILURES = {
    "crashes at start": Failure(
        MAIN,
        lambda text: text.replace(START, f'{START}    raise SystemExit("no such table: albums")\n'),
        "(Error, exit code 1)",
    ),
    "takes more memory than it may": Failure(
        MAIN,
        lambda text: text.replace(
            START, f"{START}    held = [bytes([1]) * 2**20 for _ in range(2000)]\n"
        ),
        "(OOMKilled, exit code 137)",
    ),
    "never becomes ready": Failure(
        DEPLOYMENT,
        lambda text: text.replace("path: /ready", "path: /not-ready").replace(
            "  replicas: 2\n", "  replicas: 2\n  progressDeadlineSeconds: 15\n"
        ),
        "no progress",
    ),
    "needs an image that does not exist": Failure(
        DEPLOYMENT,
        lambda text: f"{text}        - name: sidecar\n          image: {MISSING}\n",
        "its image cannot be pulled",
    ),
}


# Of the reasons why pods do not come up, test_workloads.py has all; these take a release each.
LONG = ("takes more memory than it may", "needs an image that does not exist")


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=pytest.mark.long if one in LONG else ()) for one in FAILURES]
)
async def test_a_version_that(hub: Bed, repository: Repository, name: str) -> None:
    failure = FAILURES[name]
    repository.take("v2")
    before = await serving(hub, Environment.STAGING)
    repository.edit(failure.file, failure.change)
    repository.commit(f"album that {name}")
    ended = await repository.release()
    assert ended.outcome is Outcome.FAILED, ended.sentence
    assert failure.reason in ended.sentence
    assert Phase.CANARY not in {stage.phase for stage in ended.stages}
    assert await revisions(hub, Environment.PRODUCTION, ended.revision) == []
    assert await serving(hub, Environment.STAGING) == before


async def test_a_release_of_an_image_that_does_not_exist_does_not_begin(
    hub: Bed, repository: Repository
) -> None:
    with pytest.raises(RefusedError, match="does not exist"):
        await repository.release("--image", MISSING)


async def serving(bed: Bed, environment: Environment) -> dict[str, Any]:
    """Who gets traffic there, and which Deployments want pods."""
    namespace = f"namespaces/{environment.value}"
    async with bed.clusters[environment].api() as api:
        routes = (await api.get(f"apis/gateway.networking.k8s.io/v1/{namespace}/httproutes")).ok()
        found = (await api.get(f"apis/apps/v1/{namespace}/deployments")).ok()
    refs = [rule["backendRefs"] for one in routes["items"] for rule in one["spec"]["rules"]]
    wanted = {one["metadata"]["name"]: one["spec"]["replicas"] for one in found["items"]}
    return {
        "route": [{ref["name"]: ref.get("weight", 1) for ref in one} for one in refs],
        "pods": {name: replicas for name, replicas in wanted.items() if replicas},
    }


async def revisions(bed: Bed, environment: Environment, name: str) -> list[str]:
    """Which Deployments of that name a cluster has."""
    place = f"apis/apps/v1/namespaces/{environment.value}/deployments"
    async with bed.clusters[environment].api() as api:
        found = (await api.get(place)).ok()["items"]
    names = [str(one["metadata"]["name"]) for one in found]
    return [one for one in names if one.startswith(f"{SERVICE}-") and one == name]
