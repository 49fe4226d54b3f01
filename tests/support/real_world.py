"""An organisation on two real API servers, in namespaces of its own; its registry is the sandbox's.

Our activities have the Role of `deployment/` there and nothing else. Nothing runs in the pods: they
are ready at once. Traefik answers in the routes' status; nobody scrapes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import settings as connection
import worker
from clients.registry import Registry
from domain import labels
from domain.environments import Environment
from domain.revision import Manifest
from sandbox.registry import Registry as SandboxRegistry
from tests.cluster.clusters import Cluster, Clusters
from tests.cluster.fixtures import release_namespace
from tests.support.organisation import People, PolicyRepository
from tests.support.real_outside import RealOutside, seen_from_outside
from tests.support.registry import running_registry
from tests.support.sandbox import eventually
from tests.support.site import Site, cluster_activities
from tests.support.world import PRODUCTION, STAGING, Rendered, World, example_plan

# Nobody listens on it: what metrics would say is unknown.
_NO_METRICS = "http://127.0.0.1:1"


class RealSite(Site):
    """One environment on a real API server."""

    outside: RealOutside


@dataclass
class RealWorld(World):
    """Everything there is, with real clusters."""

    staging: RealSite
    production: RealSite

    _registry: SandboxRegistry

    async def crash(self, site: Site, revision: str) -> None:
        short = revision.rpartition("-")[2]
        for pod in site.outside.list("Pod"):
            if pod["metadata"]["labels"].get(labels.REVISION) == short:
                site.outside.edit("Pod", pod["metadata"]["name"], _crashed, part="status")
        await eventually(lambda: site.ready(revision) == 0, f"the pods of {revision} crashed")

    async def lose_metrics(self) -> None:
        """There are none."""

    async def lose_registry(self) -> None:
        self._registry.outage.begin()


@asynccontextmanager
async def running_real_world(
    directory: Path, checkout: Path, rendered: Rendered, clusters: Clusters
) -> AsyncIterator[RealWorld]:
    """Everybody's clients and activities in fresh namespaces, closed at the end."""
    people = People(directory / "keys")
    policy = PolicyRepository(directory / "policy", people)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(running_registry(directory / "registry"))
        settings = _settings(clusters, directory, policy, server.address)
        registry = await stack.enter_async_context(worker._registry(settings))
        staging, production = [
            await stack.enter_async_context(_running_site(one, settings, registry, cluster))
            for one, cluster in ((STAGING, clusters.staging), (PRODUCTION, clusters.production))
        ]
        yield RealWorld(
            settings=settings,
            registry=registry,
            people=people,
            policy=policy,
            rendered=rendered,
            plan=example_plan(checkout),
            staging=staging,
            production=production,
            _registry=server,
        )


@asynccontextmanager
async def _running_site(
    environment: Environment, settings: connection.Settings, registry: Registry, cluster: Cluster
) -> AsyncIterator[RealSite]:
    """One environment's activities in a namespace of its own."""
    async with release_namespace(cluster) as namespace:
        places = settings.environments
        here = {**places, environment: places[environment].with_(namespace=namespace)}
        moved = settings.with_(environments=here)
        with seen_from_outside(cluster, namespace) as outside:
            async with cluster_activities(environment, moved, registry) as methods:
                yield RealSite(environment, outside, methods)


def _crashed(pod: Manifest) -> None:
    """What a kubelet says of a container in CrashLoopBackOff."""
    ended = {"terminated": {"exitCode": 1, "reason": "Error"}}
    for one in pod["status"]["containerStatuses"]:
        waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
        one.update(ready=False, restartCount=3, state=waiting, lastState=ended)
    for condition in pod["status"]["conditions"]:
        if condition["type"] in ("Ready", "ContainersReady"):
            condition["status"] = "False"


def _settings(
    clusters: Clusters, directory: Path, policy: PolicyRepository, registry: str
) -> connection.Settings:
    file = directory / "tidegate.toml"
    file.write_text(
        f"{clusters.connection_sections({one.name: _NO_METRICS for one in clusters})}"
        f'[policy]\nrepository = "{policy.worktree.path}"\n'
        f'[build]\ncache = "{directory / "cache"}"\n'
        f'[registry]\nplain_http = ["{registry}"]\ndefault = "{registry}"\n'
    )
    return connection.load(file)
