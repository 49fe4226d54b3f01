"""What releases need in the hub: connection files, Temporal's server, and the workers."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from domain.environments import BUILD_QUEUE
from domain.errors import TransientFailure
from settings import CONFIG_VARIABLE, TemporalSettings
from starter import sandbox_programs
from starter.children import Program
from starter.sandbox_files import Layout, demo_policy, toml
from tests.cluster import kubeconfigs
from tests.cluster.api import until
from tests.cluster.whole.addons import SCRAPE_SECONDS
from tests.cluster.whole.addresses import REGISTRY
from tests.cluster.whole.cluster import RELEASER, Cluster
from tests.cluster.whole.enclosure import Enclosure

if TYPE_CHECKING:
    from temporalio.client import Client

_HOST = "127.0.0.1"
# Of the hub, whose ports are nobody else's.
_PORTS = {sandbox_programs.TEMPORAL_PORT: 7233, sandbox_programs.UI_PORT: 8233}
_READY_SECONDS = 60.0
PERSON = "operator"
# A window lasts a scrape at least: of half an hour each, they would take most of a release.
_FLOORS = {"soak_window": "6h"}


@dataclass(frozen=True)
class Wishes:
    """What releases are to find: wheels, and the policy (without one, a demo policy is made)."""

    wheelhouse: Path | None = None
    policy: str | None = None


class Releases:
    """Temporal and the workers of one bed, with the files that `tidegate` finds them by."""

    def __init__(self, hub: Enclosure, clusters: Sequence[Cluster], wishes: Wishes) -> None:
        self._hub = hub
        self._clusters = clusters
        self._wishes = wishes
        self._layout = Layout(hub.folder / "releases")
        self.kubeconfig = hub.folder / "kubeconfig"

    @property
    def environment(self) -> dict[str, str]:
        """What `tidegate` and `kubectl` find both clusters by; `tidegate` is on PATH.

        `kubectl` may do everything, `tidegate` what a release does.
        """
        programs = Path(sys.executable).parent
        return {
            "KUBECONFIG": str(self.kubeconfig),
            CONFIG_VARIABLE: str(self._layout.connection),
            "PATH": f"{programs}:{os.environ.get('PATH', os.defpath)}",
        }

    async def client(self) -> Client:
        """Temporal's own client, in the hub's network."""
        from starter.connection import connect  # noqa: PLC0415 - slow, of no use without a bed

        return await connect(TemporalSettings.model_validate(self._temporal()))

    @property
    def keys(self) -> Path:
        """The private keys of the demo policy's people."""
        return self._layout.keys

    async def start(self) -> None:
        """Start everything, and wait until the workers take work; in the hub's network."""
        self._layout.prepare()
        temporal = self._temporal()
        self._start(sandbox_programs.temporal_server(self._layout, _PORTS))
        await self._write(temporal)
        found: list[Any] = []
        await self._until(partial(_connect, temporal, found), "Temporal answers")
        since = datetime.now(UTC)
        for worker in sandbox_programs.workers(self._layout):
            self._start(worker)
        for queue in (*sandbox_programs.CLUSTER_ROLES, BUILD_QUEUE):
            from starter.pollers import is_polled  # noqa: PLC0415 - imports Temporal's client

            await self._until(partial(is_polled, found[0], queue, since), f"worker {queue}")

    def _start(self, program: Program) -> None:
        self._hub.start(program.name, program.command, program.environment)

    async def _until(self, holds: Any, what: str) -> None:
        async def held() -> bool:
            self._hub.refuse_ended()
            return bool(await holds())

        await until(held, what, _READY_SECONDS)

    def _temporal(self) -> dict[str, str]:
        address, ui = (f"{_HOST}:{port}" for port in _PORTS.values())
        return {"address": address, "namespace": "default", "ui": f"http://{ui}"}

    async def _write(self, temporal: Mapping[str, str]) -> None:
        """The connection file of people and of cluster roles, and the one of the build role."""
        policy = {"repository": self._wishes.policy} if self._wishes.policy else None
        shared = {
            "temporal": temporal,
            "policy": policy or await demo_policy(self._layout, floors=_FLOORS),
            "registry": {"default": REGISTRY, "plain_http": [REGISTRY]},
        }
        build = {"cache": str(self._layout.build / "cache")}
        if self._wishes.wheelhouse is not None:
            build["wheelhouse"] = str(self._wishes.wheelhouse.resolve())
        (self._layout.build / "tidegate.toml").write_text(toml({**shared, "build": build}))
        environments = self._environments()
        self._layout.connection.write_text(toml({**shared, "environments": environments}))

    def _environments(self) -> dict[str, dict[str, str]]:
        people = [one.credentials.identity(PERSON) for one in self._clusters]
        kubeconfigs.write(self.kubeconfig, people)
        releasers = [one.credentials.identity(RELEASER, groups=()) for one in self._clusters]
        kubeconfig = kubeconfigs.write(self._layout.connection.with_name("kubeconfig"), releasers)
        return {
            one.environment.value: {
                "kubeconfig": str(kubeconfig),
                "context": one.environment.value,
                "namespace": one.environment.value,
                "prometheus": one.addresses.prometheus,
                "scrape": f"{SCRAPE_SECONDS}s",
            }
            for one in self._clusters
        }


async def _connect(temporal: Mapping[str, str], found: list[Any]) -> bool:
    from starter.connection import connect  # noqa: PLC0415 - slow, and of no use without a bed
    from starter.pollers import is_polled  # noqa: PLC0415

    with contextlib.suppress(TransientFailure):
        found.append(await connect(TemporalSettings.model_validate(temporal)))
        await is_polled(found[-1], BUILD_QUEUE)
        return True
    return False
