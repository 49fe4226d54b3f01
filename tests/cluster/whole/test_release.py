"""The demo's releases on real parts: images really run, traffic really splits, judged."""

from __future__ import annotations

import json
from typing import Any

import pytest

from domain.environments import Environment
from domain.phases import Outcome
from domain.release import ReleaseState
from tests.cluster.audit import Entry, entries
from tests.cluster.whole.bed import Bed
from tests.cluster.whole.cluster import RELEASER, Cluster
from tests.cluster.whole.repository import HOST, PATH, SERVICE, Repository
from tests.cluster.whole.traffic import Observed, Users, observed, users
from tests.cluster.whole.workload import WHEELHOUSE

PER_SECOND = 100.0
# What was measured last, for who wants to see it.
FIGURES = WHEELHOUSE.with_name("cluster-release.json")
pytestmark = pytest.mark.timeout(600)


async def weights(cluster: Cluster) -> dict[str, int]:
    """The route's, as the API has them."""
    place = f"namespaces/{cluster.environment.value}/httproutes/{SERVICE}"
    async with cluster.api() as api:
        route = (await api.get(f"apis/gateway.networking.k8s.io/v1/{place}")).ok()
    return {ref["name"]: ref["weight"] for ref in route["spec"]["rules"][0]["backendRefs"]}


async def test_a_good_version_reaches_everybody_and_a_bad_one_is_rolled_back(
    hub: Bed, repository: Repository
) -> None:
    production = hub.clusters[Environment.PRODUCTION]
    repository.take("v1")
    told = {}
    async with (
        users(hub.clusters[Environment.STAGING], HOST, PATH, PER_SECOND / 5),
        users(production, HOST, PATH, PER_SECOND) as everybody,
    ):
        first = await repository.release()
        assert first.outcome is Outcome.RELEASED, first.sentence
        assert await weights(production) == {first.revision: 100}

        repository.take("v2")
        count = len(everybody.answers)
        async with observed(production, SERVICE) as gateway:
            good = await repository.release()
        assert good.outcome is Outcome.RELEASED, good.sentence
        assert await weights(production) == {good.revision: 100}
        assert everybody.since(count).failed == 0
        told["good"] = report(gateway, everybody.since(count), good, first.revision)

        repository.take("v3")
        count = len(everybody.answers)
        async with observed(production, SERVICE) as gateway:
            bad = await repository.release()
        assert bad.outcome is Outcome.ROLLED_BACK, bad.sentence
        assert await weights(production) == {good.revision: 100}
        told["bad"] = report(gateway, everybody.since(count), bad, good.revision)
        assert gateway.seconds_from_first_bad_answer_to_none(bad.revision) is not None
    for cluster in hub.clusters.values():
        assert [one for one in asked_of(cluster) if one.code == 403] == []
    FIGURES.write_text(json.dumps(told, indent=2))


def asked_of(cluster: Cluster) -> list[Entry]:
    """What Tidegate asked of a cluster, by the API server's own audit log."""
    found = [one for one in entries(cluster.control_plane.audit_log) if one.user == RELEASER]
    assert found
    return found


def report(gateway: Observed, asked: Users, ended: ReleaseState, stable: str) -> dict[str, Any]:
    """What the issue asks to be shown, from the gateway's own counters."""
    canary = ended.revision
    return {
        "canary requests by its weight": gateway.requests_by_step(canary),
        "stable requests by its weight": gateway.requests_by_step(stable),
        "requests": len(asked.answers),
        "failed": asked.failed,
        "seconds from first bad answer to no canary request": (
            gateway.seconds_from_first_bad_answer_to_none(canary)
        ),
        "verdicts": [verdict.sentence for verdict in ended.verdicts],
        "ended": ended.sentence,
    }
