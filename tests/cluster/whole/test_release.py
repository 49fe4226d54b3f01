"""The demo's releases on real parts: images really run, traffic really splits, judged."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from domain.environments import Environment
from domain.phases import Outcome
from domain.release import ReleaseState
from tests.cluster.api import until
from tests.cluster.audit import Entry, entries
from tests.cluster.whole.bed import Bed
from tests.cluster.whole.cluster import RELEASER, Cluster
from tests.cluster.whole.repository import HOST, PATH, SERVICE, Repository
from tests.cluster.whole.traffic import Observed, Users, observed, users
from tests.cluster.whole.workload import WHEELHOUSE

PER_SECOND = 100.0
# The rehearsed canary's deadline is 5 s a step, the judge sees a scrape a second.
LONGEST_HARM_SECONDS = 30.0
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
    async with (
        users(hub.clusters[Environment.STAGING], HOST, PATH, PER_SECOND / 5),
        users(production, HOST, PATH, PER_SECOND) as everybody,
    ):
        first = await repository.release()
        assert first.outcome is Outcome.RELEASED, first.sentence
        assert await weights(production) == {first.revision: 100}
        good, of_good = await a_good_version_reaches_everybody(
            production, repository, everybody, first.revision
        )
        of_bad = await a_bad_one_is_rolled_back(production, repository, everybody, good)
    FIGURES.write_text(json.dumps({"good": of_good, "bad": of_bad}, indent=2))
    for cluster in hub.clusters.values():
        assert [one for one in asked_of(cluster) if one.code == 403] == []


async def a_good_version_reaches_everybody(
    production: Cluster, repository: Repository, everybody: Users, stable: str
) -> tuple[str, dict[str, Any]]:
    repository.take("v2")
    count = len(everybody.answers)
    async with observed(production, SERVICE) as gateway:
        good = await repository.release()
    assert good.outcome is Outcome.RELEASED, good.sentence
    assert await weights(production) == {good.revision: 100}
    assert everybody.since(count).failed == 0
    for weight in (10, 50):
        assert gateway.share_at(good.revision, weight) == pytest.approx(weight / 100, rel=0.25)
    return good.revision, report(gateway, everybody.since(count), good, stable)


async def a_bad_one_is_rolled_back(
    production: Cluster, repository: Repository, everybody: Users, stable: str
) -> dict[str, Any]:
    repository.take("v3")
    count = len(everybody.answers)
    async with observed(production, SERVICE) as gateway:
        bad = await repository.release()
    assert bad.outcome is Outcome.ROLLED_BACK, bad.sentence
    assert await weights(production) == {stable: 100}
    harmed = everybody.since(count)
    seconds = gateway.seconds_from_first_bad_answer_to_none(bad.revision)
    assert seconds is not None
    assert seconds < LONGEST_HARM_SECONDS
    # 5 % of a canary's requests, for so long at most, whatever its weight.
    assert 0 < harmed.failed <= 0.05 * PER_SECOND * LONGEST_HARM_SECONDS
    count = len(everybody.answers)
    await until(partial(have_asked, everybody, count + 200), "users ask on", 30)
    assert everybody.since(count).failed == 0
    return report(gateway, harmed, bad, stable)


async def have_asked(everybody: Users, answers: int) -> bool:
    return len(everybody.answers) >= answers


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
