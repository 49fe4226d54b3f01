from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import cast

import pytest

from domain.errors import Conflict, PermanentFailure, TransientFailure
from domain.journal import (
    Compensation,
    RestoreCapacity,
    RestoreEntry,
    RestoreTraffic,
    RetireRevision,
    UndoOutcome,
    UndoResult,
)
from domain.steps import RevisionRequest, Undo
from domain.traffic import StableRevision, TrafficSplit
from tests.support.platform_world import World
from tests.support.sandbox import eventually
from tests.support.site import SERVICE, Site

DONE, NOTHING, SUPERSEDED = UndoOutcome.DONE, UndoOutcome.NOTHING_TO_DO, UndoOutcome.SUPERSEDED


async def undo(site: Site, compensation: Compensation, drain_seconds: float = 1) -> UndoResult:
    request = Undo(
        release_id="release-album-1",
        compensation=compensation,
        drain=timedelta(seconds=drain_seconds),
    )
    return cast(UndoResult, await site.do("undo", request))


class Journal:
    """The compensations of one revision's steps."""

    def __init__(self, site: Site, revision: str, stable: StableRevision | None) -> None:
        where = {"environment": site.environment, "service": SERVICE, "revision": revision}
        previous = stable.revision if stable else None
        self.traffic = RestoreTraffic.model_validate(
            {**where, "split": TrafficSplit.all_to(previous)}
        )
        self.entry = RestoreEntry.model_validate({**where, "previous": previous})
        self.retire = RetireRevision.model_validate(where)


async def promoted(world: World, site: Site) -> tuple[RevisionRequest, StableRevision, Journal]:
    """v2 serves everybody, v1 stands beside it with its pods."""
    stable = await world.serving(site)
    target = await world.target(site, await world.bundle("v2"), stable)
    await site.serve(target)
    site.writes()
    return target, stable, Journal(site, target.revision, stable)


async def test_a_rollback_returns_traffic_callers_and_pods_to_what_they_were(
    world: World,
) -> None:
    site = world.production
    target, stable, journal = await promoted(world, site)
    results = [
        await undo(site, journal.entry),
        await undo(site, journal.traffic),
        await undo(site, journal.retire),
    ]
    assert [one.outcome for one in results] == [DONE] * 3
    assert "read back from gateway public" in results[1].sentence
    assert site.weights() == {stable.revision: 100}
    assert site.entry() == stable.revision[-10:]
    assert site.ready(stable.revision) == 3
    assert site.replicas(target.revision) == 0
    await eventually(lambda: site.ready(target.revision) == 0, "the canary's pods are gone")
    assert site.object("ConfigMap", f"album-config-{target.bundle.short}") is not None


async def test_undone_twice_is_undone_once(world: World) -> None:
    site = world.production
    _, _, journal = await promoted(world, site)
    for compensation in (journal.entry, journal.traffic, journal.retire):
        await undo(site, compensation)
    site.writes()
    again = [await undo(site, one) for one in (journal.entry, journal.traffic, journal.retire)]
    assert [one.outcome for one in again] == [NOTHING] * 3
    assert site.writes() == []


async def test_a_step_that_never_acted_leaves_nothing_to_undo(world: World) -> None:
    site = world.production
    stable = await world.serving(site)
    journal = Journal(site, f"{SERVICE}-0123456789", stable)
    results = [await undo(site, one) for one in (journal.entry, journal.traffic, journal.retire)]
    assert [one.outcome for one in results] == [NOTHING] * 3
    assert site.writes() == []


async def test_a_first_release_is_undone_to_nothing(world: World) -> None:
    site = world.staging
    target = await world.target(site, await world.bundle("v1"))
    await site.serve(target)
    journal = Journal(site, target.revision, None)
    results = [await undo(site, one) for one in (journal.entry, journal.traffic, journal.retire)]
    assert [one.outcome for one in results] == [DONE] * 3
    assert site.object("Service", SERVICE) is None
    assert site.object("HTTPRoute", SERVICE) is None
    assert site.replicas(target.revision) == 0
    assert await site.read_stable() is None


async def test_traffic_that_a_newer_release_moved_is_left_to_it(world: World) -> None:
    site = world.production
    _, _, journal = await promoted(world, site)
    middle = await site.read_stable()
    newer = await world.target(
        site, await world.bundle("v1", retain=2), middle, release="release-album-2"
    )
    await site.serve(newer)
    site.writes()
    assert (await undo(site, journal.traffic)).outcome is SUPERSEDED
    assert (await undo(site, journal.entry)).outcome is NOTHING
    assert site.weights() == {newer.revision: 100}
    assert site.writes() == []


async def test_users_are_not_returned_to_a_revision_that_cannot_take_them(world: World) -> None:
    site = world.production
    target, stable, journal = await promoted(world, site)
    await world.fault(site, stable.revision, "crash")
    await eventually(lambda: site.ready(stable.revision) == 0, "the old pods fell ill")
    with pytest.raises(PermanentFailure, match=f"users cannot return to {stable.revision}"):
        await undo(site, journal.traffic)
    assert site.weights() == {target.revision: 100}


async def test_a_retired_stable_is_brought_up_before_users_return_to_it(world: World) -> None:
    site = world.production
    _, stable, journal = await promoted(world, site)
    site.edit("Deployment", stable.revision, lambda one: one["spec"].update(replicas=0))
    await eventually(lambda: site.ready(stable.revision) == 0, "the old pods are gone")
    assert (await undo(site, journal.traffic)).outcome is DONE
    assert site.weights() == {stable.revision: 100}
    assert site.ready(stable.revision) >= 1


async def test_a_revision_that_still_serves_is_not_retired(world: World) -> None:
    site = world.production
    target, _, journal = await promoted(world, site)
    with pytest.raises(PermanentFailure, match="still gets 100 %"):
        await undo(site, journal.retire)
    await undo(site, journal.traffic)
    with pytest.raises(PermanentFailure, match=f"Service {SERVICE} still selects"):
        await undo(site, journal.retire)
    assert site.replicas(target.revision) == 4


async def test_nothing_is_retired_while_what_serves_has_no_ready_pod(world: World) -> None:
    site = world.production
    target, stable, journal = await promoted(world, site)
    await undo(site, journal.entry)
    await undo(site, journal.traffic)
    await world.fault(site, stable.revision, "crash")
    await eventually(lambda: site.ready(stable.revision) == 0, "the old pods fell ill")
    with pytest.raises(PermanentFailure, match=r"serves 100 % without a ready pod; .* is kept"):
        await undo(site, journal.retire)
    assert site.replicas(target.revision) == 4


async def test_a_revision_that_gets_traffic_again_while_it_drains_is_not_retired(
    world: World,
) -> None:
    site = world.production
    target, _, journal = await promoted(world, site)
    await undo(site, journal.entry)
    await undo(site, journal.traffic)
    await world.tell("POST", "outage", {"system": "prometheus"})  # so that it waits for the drain
    site.heartbeats.clear()
    retiring = asyncio.create_task(undo(site, journal.retire, drain_seconds=2))
    await eventually(lambda: bool(site.heartbeats), "it drains")
    site.move_by_hand({target.revision: 100})
    with pytest.raises(PermanentFailure, match="still gets 100 %"):
        await retiring
    assert site.replicas(target.revision) == 4


async def test_an_autoscaler_that_is_faster_does_not_keep_a_revision_from_being_retired(
    world: World,
) -> None:
    site = world.production
    target, _, journal = await promoted(world, site)
    await undo(site, journal.entry)
    await undo(site, journal.traffic)
    reads = deployment_reads(site, target.revision)

    async def scale() -> None:
        """After the last look at the Deployment, before the patch arrives."""
        while deployment_reads(site, target.revision) < reads + 2:  # noqa: ASYNC110 - the next turn
            await asyncio.sleep(0)
        site.edit("Deployment", target.revision, lambda one: one["spec"].update(replicas=5))

    racing = asyncio.create_task(scale())
    with pytest.raises(TransientFailure, match="/spec/replicas is 5, expected 4"):
        await undo(site, journal.retire)
    await racing
    assert (await undo(site, journal.retire)).outcome is DONE
    assert site.replicas(target.revision) == 0


def deployment_reads(site: Site, revision: str) -> int:
    return sum(
        (one.verb, one.resource, one.name) == ("get", "deployments", revision)
        for one in site.cluster.requests.records
    )


async def test_the_raised_autoscaler_of_stable_is_lowered_again(world: World) -> None:
    site = world.production
    stable = await world.serving(site)
    target = await world.target(site, await world.bundle("v2"), stable)
    await site.do("hold_capacity", target.with_(stable=stable.with_(ready_pods=6)))
    capacity = RestoreCapacity(
        environment=site.environment, service=SERVICE, revision=stable.revision, min_replicas=3
    )
    assert (await undo(site, capacity)).outcome is DONE
    assert site.must("HorizontalPodAutoscaler", stable.revision)["spec"]["minReplicas"] == 3
    assert (await undo(site, capacity)).outcome is NOTHING


async def test_a_route_that_a_first_release_shares_by_now_is_not_deleted(world: World) -> None:
    site = world.staging
    target = await world.target(site, await world.bundle("v1"))
    await site.serve(target)
    site.move_by_hand({target.revision: 50, f"{SERVICE}-0123456789": 50})
    with pytest.raises(Conflict, match="no longer belongs to"):
        await undo(site, Journal(site, target.revision, None).traffic)
    assert site.object("HTTPRoute", SERVICE) is not None
