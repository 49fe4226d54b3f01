"""The bed: a hub with a registry, and the clusters `staging` and `production` joined to it."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import yaml

from clients.registry import Registry
from domain.environments import Environment
from domain.errors import PermanentFailure, ReleaseError
from tests.cluster import cache, manifests
from tests.cluster.api import until
from tests.cluster.programs import built, program
from tests.cluster.traefik import traefik
from tests.cluster.whole import debian, images, namespaces, records
from tests.cluster.whole.addresses import ADDRESSES, REGISTRY
from tests.cluster.whole.cluster import Cluster
from tests.cluster.whole.enclosure import Enclosure
from tests.cluster.whole.machine import refuse_unfit
from tests.cluster.whole.records import HUB, KEPT, Record
from tests.cluster.whole.releases import Releases, Wishes

_PROJECT = Path(__file__).resolve().parents[3]
_STOP_SECONDS = 60.0
_PROGRAMS = (
    *("kube-apiserver", "kubelet", "containerd", "coredns"),
    *("prometheus", "kube-state-metrics", "registry", "pause"),
)


@dataclass
class Bed:
    """A running bed; `hub` is the network namespace from which everything is reached."""

    record: Record
    hub: Enclosure
    clusters: Mapping[Environment, Cluster]
    releases: Releases
    base_image: str = ""
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.record.folder

    async def start(self, report: cache.Report) -> None:
        """Start everything but the releases' part; in the hub's network."""
        began = time.monotonic()

        async def timed(name: str, cluster: Cluster) -> None:
            await cluster.start()
            self.seconds[name] = time.monotonic() - began
            report(f"{name}: ready after {self.seconds[name]:.1f} s")

        async with asyncio.TaskGroup() as group:
            group.create_task(self._start_registry())
            for environment, cluster in self.clusters.items():
                group.create_task(timed(environment.value, cluster))

    async def _start_registry(self) -> None:
        settings = {
            "version": 0.1,
            "log": {"level": "warn"},
            "storage": {
                "filesystem": {"rootdirectory": str(self.folder / "registry")},
                "delete": {"enabled": True},
            },
            "http": {"addr": REGISTRY},
        }
        file = self.hub.folder / "registry.yaml"
        file.write_text(yaml.safe_dump(settings))
        quiet = {"OTEL_TRACES_EXPORTER": "none"}
        self.hub.start("registry", [program("registry"), "serve", file], quiet)
        await until(self._registry_answers, "the registry answers")
        async with Registry(plain_http=[REGISTRY]) as registry:
            await images.pause().push(registry, f"{REGISTRY}/{images.PAUSE}", "1")
            base = f"{REGISTRY}/{images.PYTHON}"
            digest = await images.python_base().push(registry, base, "3")
        self.base_image = f"{base}@{digest}"

    async def _registry_answers(self) -> bool:
        self.hub.refuse_ended()
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{REGISTRY}/v2/") as answer,
        ):
            return answer.status == 200


def prepare(report: cache.Report = cache.silent) -> None:
    """Make everything a bed is made of, once: minutes the first time, nothing afterwards."""
    for name in _PROGRAMS:
        program(name, report)
    manifests.fetch()
    debian.unpacked(debian.NODE, report)
    traefik()
    images.pause(report)
    images.python_base(report)


def missing() -> list[str]:
    """What `prepare` would have to make first."""
    programs = [name for name in _PROGRAMS if built(name) is None]
    packages = [one.name for one in (debian.NODE, debian.PYTHON) if not one.place.exists()]
    definitions = [] if manifests.fetched() else ["Gateway API"]
    return [*programs, *definitions, *packages]


def start(
    wishes: Wishes | None = None, *, kept: bool = False, report: cache.Report = cache.silent
) -> RunningBed:
    """Start a bed; with wishes also Temporal and workers in its hub.

    `kept`: it stays when this process ends, else it ends with it, however that ends.

    Raises PermanentFailure or NotFound with the remedy, or naming what did not become ready and
    where its logs are; nothing else is left then.
    """
    refuse_unfit()
    prepare(report)
    for left in records.remove_left_over():
        report(f"removed what the killed run {left} had left")
    record = Record(KEPT if kept else secrets.token_hex(3))
    record.write()
    ending = _Ending(record)
    try:
        bed = _laid_out(record, wishes or Wishes())
        with bed.hub.namespace.entered():
            _run(bed.start(report))
            if wishes is not None:
                _run(bed.releases.start())
                report("Temporal and workers: ready")
    except (ReleaseError, TimeoutError) as problem:
        logs = _keep_logs(record)
        ending.now()
        raise PermanentFailure(f"{problem}; all logs are kept in {logs}") from problem
    except BaseException:
        ending.now()
        raise
    if kept:
        record.keep()
        ending.never()
    return RunningBed(bed, ending)


@dataclass(frozen=True)
class RunningBed:
    """A bed that serves, and how to end it."""

    bed: Bed
    ending: _Ending

    def stop(self) -> None:
        """End it and remove everything it made."""
        self.ending.now()
        for one in (self.bed.hub, *(each.enclosure for each in self.bed.clusters.values())):
            one.await_end()


class _Ending:
    """A process beside us that removes the bed when we are gone: one way to end, always used."""

    def __init__(self, record: Record) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.cluster.whole", "remove-after", record.bed],
            stdin=subprocess.PIPE,
            cwd=_PROJECT,
            start_new_session=True,
        )

    def now(self) -> None:
        """Remove the bed, and know that it is removed."""
        self._process.communicate(timeout=_STOP_SECONDS)
        if self._process.returncode:
            raise PermanentFailure("the bed was not removed (see above); make cluster-down")

    def never(self) -> None:
        """Leave the bed to whoever calls `down`."""
        self._process.communicate(b"keep", timeout=_STOP_SECONDS)


def _keep_logs(record: Record) -> Path:
    """What the programs of a bed that did not start said, and how they were configured."""
    place = cache.folder() / "last-failure"
    shutil.rmtree(place, ignore_errors=True)
    for log in record.folder.glob("*/*.*"):
        if log.suffix in (".log", ".yaml"):
            kept = place / log.relative_to(record.folder)
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(log, kept)
    return place


def _laid_out(record: Record, wishes: Wishes) -> Bed:
    network = record.namespace(HUB)
    namespaces.make_hub(network)
    clusters = {}
    for environment, addresses in ADDRESSES.items():
        name = environment.value
        namespace = record.namespace(name)
        namespaces.join(network, namespace, name, addresses)
        enclosure = Enclosure(namespace, record.tree(name), record.folder / name)
        clusters[environment] = Cluster.of(environment, addresses, enclosure, record.group(name))
    hub = Enclosure(network, record.tree(HUB), record.folder / HUB)
    return Bed(record, hub, clusters, Releases(hub, list(clusters.values()), wishes))


def _run(starting: Coroutine[None, None, None]) -> None:
    # Not asyncio.run: that would take the loop away from the tests that share this thread.
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(starting)
    except* Exception as several:
        # One reason is told; what else failed was only stopped by it.
        raise several.exceptions[0] from None
    finally:
        loop.close()
