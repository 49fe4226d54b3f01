"""The whole sandbox in one process: two clusters with users and Prometheus, registry, Slack."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sandbox.connection import SlackEntry, connection_sections, kubeconfig, write_file
from sandbox.control import Control
from sandbox.environment import HOST, Environment
from sandbox.faults import LiveFaults
from sandbox.kubernetes.cluster import Cluster
from sandbox.outage import Outage
from sandbox.registry import Registry
from sandbox.slack import Slack

ENVIRONMENTS = ("staging", "production")
DEFAULT_TRAFFIC = {"staging": 2.0, "production": 20.0}
CHANNEL = "releases"
PORT_NAMES = (
    "control",
    "registry",
    "slack",
    *(f"{name}{part}" for name in ENVIRONMENTS for part in ("", "-gateway", "-prometheus")),
)


class Platform:
    """`async with Platform(directory)`: everything listens inside, nothing does outside."""

    def __init__(
        self,
        state: Path,
        *,
        speed: float = 1.0,
        traffic: Mapping[str, float] | None = None,
        seed: int = 0,
        ports: Mapping[str, int] | None = None,
    ) -> None:
        self.state_path = state.resolve()
        self.state_path.mkdir(parents=True, exist_ok=True)
        self.speed = speed
        self.live_faults = LiveFaults()
        self.registry = Registry(self.state_path / "registry")
        self.slack = Slack((CHANNEL,), token=self._kept_token())
        rates = {**DEFAULT_TRAFFIC, **(traffic or {})}
        self.environments = {
            name: Environment(
                name,
                speed=speed,
                rate=rates[name],
                seed=seed,
                image_exists=self.registry.image_exists,
                live_faults=self.live_faults,
            )
            for name in ENVIRONMENTS
        }
        self._control = Control(self)
        self._ports = dict(ports or {})
        self._running = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Listen everywhere, then write the files; OSError when a port is taken."""
        async with AsyncExitStack() as started:
            for name, server in (
                ("registry", self.registry),
                ("slack", self.slack),
                ("control", self._control),
            ):
                await server.start(HOST, self._ports.get(name, 0))
                started.push_async_callback(server.close)
            for environment in self.environments.values():
                started.push_async_callback(environment.close)
                await environment.start(self._ports)
            self._write_files()
            self._running = started.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop everything; the file that says where it is goes first."""
        self.summary_path.unlink(missing_ok=True)
        await self._running.aclose()

    @property
    def clusters(self) -> dict[str, Cluster]:
        """The clusters by environment."""
        return {name: one.cluster for name, one in self.environments.items()}

    @property
    def prometheus_urls(self) -> dict[str, str]:
        """The Prometheus of each environment."""
        return {name: one.prometheus.url for name, one in self.environments.items()}

    @property
    def registry_url(self) -> str:
        """`http://host:port`; images are named with `registry.address` in front."""
        return self.registry.url

    @property
    def slack_url(self) -> str:
        """The base URL of the Web API, with `/api/` at the end."""
        return self.slack.url

    @property
    def slack_token(self) -> str:
        """The only token Slack takes."""
        return self.slack.token

    @property
    def control_url(self) -> str:
        """Where the sandbox itself is asked and told."""
        return self._control.url

    @property
    def kubeconfig_path(self) -> Path:
        """A kubeconfig with a context per environment."""
        return self.state_path / "kubeconfig"

    @property
    def slack_token_path(self) -> Path:
        """The file that holds the Slack token."""
        return self.state_path / "slack-token"

    @property
    def connection_path(self) -> Path:
        """The connection sections, without `[temporal]` and `[policy]`."""
        return self.state_path / "tidegate.toml"

    @property
    def summary_path(self) -> Path:
        """`sandbox.json`: urls and pid; there only while the sandbox is ready."""
        return self.state_path / "sandbox.json"

    def connection_sections(self) -> str:
        """TOML of a connection file but for `[temporal]` and `[policy]`."""
        return connection_sections(
            registry=self.registry.address,
            slack=SlackEntry(self.slack_url, CHANNEL, self.slack_token_path),
            kubeconfig_file=self.kubeconfig_path,
            prometheus=self.prometheus_urls,
            scrape_seconds=next(iter(self.environments.values())).scrape_seconds,
        )

    def urls(self) -> dict[str, Any]:
        """Every address of the sandbox."""
        return {
            "control": self.control_url,
            "registry": self.registry_url,
            "base_image": self.registry.base_image,
            "slack": self.slack_url,
            "slack_messages": self.slack.messages_url,
            "kubernetes": {name: one.url for name, one in self.clusters.items()},
            "gateway": {name: one.gateway_url for name, one in self.clusters.items()},
            "prometheus": self.prometheus_urls,
        }

    def state(self) -> dict[str, Any]:
        """Everything a person wants to see, as JSON."""
        return {
            "speed": self.speed,
            "urls": self.urls(),
            "faults": self.live_faults.records(),
            "outages": self.outages(),
            "environments": {name: one.state() for name, one in self.environments.items()},
        }

    def outages_of(self, system: str, environment: str = "") -> list[Outage]:
        """The switches of a system, of one environment or of all; none when it is unknown."""
        chosen = [one for name, one in self.environments.items() if environment in ("", name)]
        return {
            "registry": [self.registry.outage],
            "slack": [self.slack.outage],
            "prometheus": [one.prometheus.outage for one in chosen],
            "kubernetes": [one.cluster.outage for one in chosen],
        }.get(system, [])

    def all_outages(self) -> list[Outage]:
        """Every switch."""
        systems = ("registry", "slack", "prometheus", "kubernetes")
        return [outage for system in systems for outage in self.outages_of(system)]

    def outages(self) -> list[str]:
        """What is down now, by name."""
        return [one.system for one in self.all_outages() if one.active]

    def _write_files(self) -> None:
        clusters = [one.kubeconfig() for one in self.clusters.values()]
        write_file(self.kubeconfig_path, kubeconfig(clusters), private=True)
        write_file(self.slack_token_path, f"{self.slack_token}\n", private=True)
        write_file(self.connection_path, self.connection_sections())
        summary = {"urls": self.urls(), "pid": os.getpid()}
        write_file(self.summary_path, json.dumps(summary, indent=2) + "\n")

    def _kept_token(self) -> str:
        path = self.slack_token_path
        return path.read_text().strip() if path.is_file() else ""
