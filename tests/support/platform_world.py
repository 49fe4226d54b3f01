"""An organisation in a sandbox: users come, metrics are scraped, things fail on purpose."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp

import settings as connection
import worker
from clients.registry import Registry
from domain.environments import Environment
from sandbox.platform import Platform
from tests.support.organisation import People, PolicyRepository
from tests.support.outside import SandboxOutside
from tests.support.sandbox import eventually, running_platform
from tests.support.site import SERVICE, Site, cluster_activities
from tests.support.world import PRODUCTION, SPEED, STAGING, Rendered, World, example_plan

TRAFFIC = {"staging": 5.0, "production": 80.0}


class SandboxSite(Site):
    """One environment of the sandbox, with users."""

    def __init__(
        self, environment: Environment, platform: Platform, methods: Sequence[Callable[..., Any]]
    ) -> None:
        outside = SandboxOutside(platform.clusters[environment], environment.value)
        super().__init__(environment, outside, methods)
        self._platform = platform

    def users(self) -> dict[str, Any]:
        """What users got so far."""
        return self._platform.environments[self.environment].traffic.users.of(SERVICE)


@dataclass
class SandboxWorld(World):
    """Everything there is, in one sandbox."""

    staging: SandboxSite
    production: SandboxSite
    platform: Platform

    async def fault(self, site: Site, revision: str, fault: str) -> None:
        """A running revision falls ill."""
        body = {"environment": site.environment.value, "revision": revision, "fault": fault}
        await self.tell("POST", "faults", body)

    async def crash(self, site: Site, revision: str) -> None:
        await self.fault(site, revision, "crash")
        await eventually(lambda: site.ready(revision) == 0, f"the pods of {revision} crashed")

    async def lose_metrics(self) -> None:
        await self.tell("POST", "outage", {"system": "prometheus"})

    async def lose_registry(self) -> None:
        await self.tell("POST", "outage", {"system": "registry"})

    async def tell(self, method: str, what: str, body: dict[str, Any] | None = None) -> None:
        """Say something to the sandbox's control port."""
        url = f"{self.platform.control_url}/sandbox/{what}"
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            await session.request(method, url, json=body)


@asynccontextmanager
async def running_world(
    directory: Path, checkout: Path, rendered: Rendered, *, speed: float = SPEED
) -> AsyncIterator[SandboxWorld]:
    """The platform with everybody's clients and activities, closed at the end."""
    people = People(directory / "keys")
    policy = PolicyRepository(directory / "policy", people)
    async with AsyncExitStack() as stack:
        platform = await stack.enter_async_context(
            running_platform(directory / "platform", speed=speed, traffic=TRAFFIC)
        )
        settings = _settings(platform, directory, policy)
        registry = await stack.enter_async_context(worker._registry(settings))
        staging, production = [
            await stack.enter_async_context(running_site(one, settings, registry, platform))
            for one in (STAGING, PRODUCTION)
        ]
        yield SandboxWorld(
            platform=platform,
            settings=settings,
            registry=registry,
            people=people,
            policy=policy,
            rendered=rendered,
            plan=example_plan(checkout),
            staging=staging,
            production=production,
        )


@asynccontextmanager
async def running_site(
    environment: Environment, settings: connection.Settings, registry: Registry, platform: Platform
) -> AsyncIterator[SandboxSite]:
    """One environment's activities by these settings, and its cluster in the sandbox."""
    async with cluster_activities(environment, settings, registry) as methods:
        yield SandboxSite(environment, platform, methods)


def _settings(platform: Platform, directory: Path, policy: PolicyRepository) -> connection.Settings:
    file = directory / "tidegate.toml"
    file.write_text(
        f'{platform.connection_sections()}\n[policy]\nrepository = "{policy.worktree.path}"\n'
        f'[build]\ncache = "{directory / "cache"}"\nwheelhouse = "{directory / "wheels"}"\n'
    )
    loaded = connection.load(file)
    clusters = {
        name: place.with_(scrape=timedelta(seconds=platform.environments[name].scrape_seconds))
        for name, place in loaded.environments.items()
    }
    registry = loaded.registry.with_(default=platform.registry.address)
    return loaded.with_(environments=clusters, registry=registry)
