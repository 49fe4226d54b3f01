"""A rollout that Tidegate has nothing to do with: two Deployments and a route, in a sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from domain import labels
from sandbox.metrics import Matcher, SeriesStore
from sandbox.platform import Platform
from tests.support.cluster_client import kubeconfig
from tests.support.sandbox import create, eventually, revision, route, running_platform

SPEED = 100.0
CANARY, STABLE = "app=album,version=album-v2", "app=album,version=album-v1"
PLAN = """\
version: 1
services:
  album:
    path: .
    port: 8219
    image: isa/album
    manifests: .
    rehearsal: {canary: 100s = 1s}
"""


@asynccontextmanager
async def running_rollout(
    directory: Path, *, names: tuple[str, str] = ("v1", "v2"), managed: bool = False
) -> AsyncIterator[Platform]:
    """Three pods of the first version with 90 % of users, one of the second, all ready.

    `managed`: with the labels of Tidegate's revisions.
    """
    async with running_platform(
        directory, speed=SPEED, traffic={"production": 80.0, "staging": 0.0}
    ) as platform:
        cluster = platform.clusters["production"]
        for name, replicas in zip(names, (3, 1), strict=True):
            deployment, service = revision(
                f"album-{name}", platform.registry.base_image, replicas=replicas
            )
            if managed:
                _as_revision(deployment, name)
            await create(cluster, deployment, service)
        await create(cluster, route("album", **dict(zip(names, (90, 10), strict=True))))
        store = platform.environments["production"].scraper.store
        await eventually(
            lambda: all(_is_counted(store, f"album-{name}") for name in names),
            "both serve users, and are scraped",
        )
        yield platform


def environment(platform: Platform, directory: Path, **changes: object) -> dict[str, Any]:
    """The sandbox's production as a section of the connection file."""
    place = platform.environments["production"]
    return {
        "kubeconfig": str(kubeconfig(directory, place.cluster)),
        "context": "production",
        "namespace": "production",
        "prometheus": place.prometheus.url,
        "scrape": f"{1000 * place.scrape_seconds:g}ms",
        **changes,
    }


async def told(platform: Platform, method: str, what: str, **body: object) -> None:
    """Say something to the sandbox's control port."""
    url = f"{platform.control_url}/sandbox/{what}"
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        await session.request(method, url, json=body)


def _is_counted(store: SeriesStore, deployment: str) -> bool:
    counted = Matcher("__name__", "=", "http_server_request_duration_seconds_count")
    return bool(store.select([counted, Matcher("pod", "=~", f"{deployment}-.*")]))


def _as_revision(deployment: dict[str, Any], name: str) -> None:
    metadata, template = deployment["metadata"], deployment["spec"]["template"]["metadata"]
    metadata["labels"] = {labels.SERVICE: "album", labels.REVISION: name}
    metadata["annotations"] = {labels.BUNDLE: "sha256:" + 64 * "0", labels.COMMIT: 40 * "c"}
    template["labels"] |= {labels.REVISION: name}
