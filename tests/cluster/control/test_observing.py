"""Observe mode on a real API server: with the smallest of rights, and no write in its audit log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cluster.clusters import STRANGER, Clusters
from tests.cluster.fixtures import Namespaces
from tests.cluster.rights import OBSERVE, role_and_binding
from tests.support.cli import Cli
from tests.support.prometheus_double import PrometheusDouble, prometheus_double
from tests.support.rollouts import PLAN


@pytest.fixture
async def source() -> AsyncIterator[PrometheusDouble]:
    """Metrics that know nothing of the pods."""
    async with prometheus_double() as double:
        yield double


def pod(track: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"album-{track}", "labels": {"app": "album", "track": track}},
        "spec": {"containers": [{"name": "album", "image": "album"}]},
    }


async def test_who_may_only_list_pods_observes_a_rollout_and_nothing_is_written(
    control_planes: Clusters, namespace: Namespaces, source: PrometheusDouble, tmp_path: Path
) -> None:
    cluster = control_planes.production
    async with namespace(cluster) as name, cluster.api() as api:
        for path, manifest in role_and_binding(name, STRANGER, file=OBSERVE):
            (await api.post(path, manifest)).ok()
        for track in ("canary", "stable"):
            (await api.post(f"/api/v1/namespaces/{name}/pods", pod(track))).ok()
        person = Cli(tmp_path, tmp_path / "tidegate.toml")
        place = {"context": "production", "namespace": name, "prometheus": source.url}
        kubeconfig = str(cluster.kubeconfig(STRANGER))
        person.connect(environments={"production": {"kubeconfig": kubeconfig, **place}})
        (tmp_path / "plan.yaml").write_text(PLAN)
        arms = ("--canary", "track=canary", "--stable", "track=stable", "--for", "1s")
        done = await person.run(
            "judge", "observe", *arms, "--plan", "plan.yaml", "--service", "album"
        )
    assert done.code == 17, done
    asked = [one for one in cluster.audited(STRANGER) if one.namespace == name]
    assert {(one.verb, one.resource, one.code) for one in asked} == {("list", "pods", 200)}
    assert len(asked) >= 4
    assert source.queries
