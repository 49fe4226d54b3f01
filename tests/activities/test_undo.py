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
from domain.revision import Manifest
from domain.steps import RevisionRequest, Undo
from domain.traffic import StableRevision, TrafficSplit
from sandbox.faults import LiveFault
from tests.support.platform_world import SandboxWorld
from tests.support.sandbox import eventually
from tests.support.site import SERVICE, Site
from tests.support.world import World

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
    anywhere: World,
) -> None:
    site = anywhere.production
    target, stable, journal = await promoted(anywhere, site)
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


async def test_undone_twice_is_undone_once(anywhere: World) -> None:
    site = anywhere.production
    _, _, journal = await promoted(anywhere, site)
    for compensation in (journal.entry, journal.traffic, journal.retire):
        await undo(site, compensation)
    site.writes()
    again = [await undo(site, one) for one in (journal.entry, journal.traffic, journal.retire)]
    assert [one.outcome for one in again] == [NOTHING] * 3
    assert site.writes() == []


async def test_a_step_that_never_acted_leaves_nothing_to_undo(anywhere: World) -> None:
    site = anywhere.production
    stable = await anywhere.serving(site)
    journal = Journal(site, f"{SERVICE}-0123456789", stable)
    results = [await undo(site, one) for one in (journal.entry, journal.traffic, journal.retire)]
    assert [one.outcome for one in results] == [NOTHING] * 3
    assert site.writes() == []


async def test_a_first_release_is_undone_to_nothing(anywhere: World) -> None:
    site = anywhere.staging
    target = await anywhere.target(site, await anywhere.bundle("v1"))
    await site.serve(target)
    journal = Journal(site, target.revision, None)
    results = [await undo(site, one) for one in (journal.entry, journal.traffic, journal.retire)]
    assert [one.outcome for one in results] == [DONE] * 3
    assert site.object("Service", SERVICE) is None
    assert site.object("HTTPRoute", SERVICE) is None
    assert site.replicas(target.revision) == 0
    assert await site.read_stable() is None


async def test_traffic_that_a_newer_release_moved_is_left_to_it(anywhere: World) -> None:
    site = anywhere.production
    _, _, journal = await promoted(anywhere, site)
    middle = await site.read_stable()
    newer = await anywhere.target(
        site, await anywhere.bundle("v1", retain=2), middle, release="release-album-2"
    )
    await site.serve(newer)
    site.writes()
    assert (await undo(site, journal.traffic)).outcome is SUPERSEDED
    assert (await undo(site, journal.entry)).outcome is NOTHING
    assert site.weights() == {newer.revision: 100}
    assert site.writes() == []


async def test_users_are_not_returned_to_a_revision_that_cannot_take_them(
    anywhere: World,
) -> None:
    site = anywhere.production
    target, stable, journal = await promoted(anywhere, site)
    await anywhere.crash(site, stable.revision)
    with pytest.raises(PermanentFailure, match=f"users cannot return to {stable.revision}"):
        await undo(site, journal.traffic)
    assert site.weights() == {target.revision: 100}


async def test_a_retired_stable_is_brought_up_before_users_return_to_it(anywhere: World) -> None:
    site = anywhere.production
    _, stable, journal = await promoted(anywhere, site)
    await anywhere.idle(site, stable.revision)
    assert (await undo(site, journal.traffic.with_(pods=5))).outcome is DONE
    assert site.weights() == {stable.revision: 100}
    assert site.ready(stable.revision) == 5  # what it served with, by the journal


async def test_a_revision_that_still_serves_is_not_retired(anywhere: World) -> None:
    site = anywhere.production
    target, _, journal = await promoted(anywhere, site)
    with pytest.raises(PermanentFailure, match="still gets 100 %"):
        await undo(site, journal.retire)
    await undo(site, journal.traffic)
    with pytest.raises(PermanentFailure, match=f"Service {SERVICE} still selects"):
        await undo(site, journal.retire)
    assert site.replicas(target.revision) == 4


async def test_nothing_is_retired_while_what_serves_has_no_ready_pod(anywhere: World) -> None:
    site = anywhere.production
    target, stable, journal = await promoted(anywhere, site)
    await undo(site, journal.entry)
    await undo(site, journal.traffic)
    await anywhere.crash(site, stable.revision)
    with pytest.raises(PermanentFailure, match=r"serves 100 % without a ready pod; .* is kept"):
        await undo(site, journal.retire)
    assert site.replicas(target.revision) == 4


async def test_nothing_is_retired_while_what_serves_has_fewer_pods_than_its_traffic_needs(
    world: SandboxWorld,
) -> None:
    site = world.production
    target, stable, journal = await promoted(world, site)
    await undo(site, journal.entry)
    await undo(site, journal.traffic)

    def break_most(deployment: Manifest) -> None:
        """Somebody's edit whose new pods never get ready takes two old ones."""
        pace = {"maxUnavailable": 2, "maxSurge": 0}
        deployment["spec"]["strategy"] = {"type": "RollingUpdate", "rollingUpdate": pace}
        annotations = {"sandbox.tidegate.dev/faults": "production:unready"}
        deployment["spec"]["template"]["metadata"]["annotations"] = annotations

    site.edit("Deployment", stable.revision, break_most)
    await eventually(lambda: site.ready(stable.revision) == 1, "all but one old pod are gone")
    with pytest.raises(PermanentFailure, match=r"with 1 of the 3 ready pods .* is kept"):
        await undo(site, journal.retire)
    assert site.replicas(target.revision) == 4


async def test_a_revision_that_gets_traffic_again_while_it_drains_is_not_retired(
    anywhere: World,
) -> None:
    site = anywhere.production
    target, _, journal = await promoted(anywhere, site)
    await undo(site, journal.entry)
    await undo(site, journal.traffic)
    await anywhere.lose_metrics()  # so that it waits for the drain
    site.heartbeats.clear()
    retiring = asyncio.create_task(undo(site, journal.retire, drain_seconds=2))
    await eventually(lambda: bool(site.heartbeats), "it drains")
    site.move_by_hand({target.revision: 100})
    with pytest.raises(PermanentFailure, match="still gets 100 %"):
        await retiring
    assert site.replicas(target.revision) == 4


async def test_an_autoscaler_that_is_faster_does_not_keep_a_revision_from_being_retired(
    anywhere: World,
) -> None:
    site = anywhere.production
    target, _, journal = await promoted(anywhere, site)
    await undo(site, journal.entry)
    await undo(site, journal.traffic)
    reads = deployment_reads(site, target.revision)

    async def scale() -> None:
        """After the last look at the Deployment, before the patch arrives."""
        while deployment_reads(site, target.revision) < reads + 4:  # noqa: ASYNC110 - the next turn
            await asyncio.sleep(0)
        site.edit("Deployment", target.revision, lambda one: one["spec"].update(replicas=5))

    racing = asyncio.create_task(scale())
    with pytest.raises(TransientFailure, match="/spec/replicas is 5, expected 4"):
        await undo(site, journal.retire)
    await racing
    assert (await undo(site, journal.retire)).outcome is DONE
    assert site.replicas(target.revision) == 0


def deployment_reads(site: Site, revision: str) -> int:
    return site.requests("get", "deployments", revision)


async def test_the_raised_autoscaler_of_stable_is_lowered_again(anywhere: World) -> None:
    site = anywhere.production
    stable = await anywhere.serving(site)
    target = await anywhere.target(site, await anywhere.bundle("v2"), stable)
    await site.do("hold_capacity", target.with_(stable=stable.with_(ready_pods=6)))
    capacity = RestoreCapacity(
        environment=site.environment, service=SERVICE, revision=stable.revision, min_replicas=3
    )
    assert (await undo(site, capacity)).outcome is DONE
    assert site.must("HorizontalPodAutoscaler", stable.revision)["spec"]["minReplicas"] == 3
    assert (await undo(site, capacity)).outcome is NOTHING


async def test_a_route_that_a_first_release_shares_by_now_is_not_deleted(anywhere: World) -> None:
    site = anywhere.staging
    target = await anywhere.target(site, await anywhere.bundle("v1"))
    await site.serve(target)
    site.move_by_hand({target.revision: 50, f"{SERVICE}-0123456789": 50})
    with pytest.raises(Conflict, match="no longer belongs to"):
        await undo(site, Journal(site, target.revision, None).traffic)
    assert site.object("HTTPRoute", SERVICE) is not None


async def test_a_retired_stable_gets_the_pods_that_the_load_of_now_takes(anywhere: World) -> None:
    site = anywhere.production
    target, stable, journal = await promoted(anywhere, site)
    await anywhere.idle(site, stable.revision)
    await anywhere.grow(site, target.revision, 8)  # with the fifth to spare: the load of six
    await undo(site, journal.traffic.with_(pods=3))
    assert site.ready(stable.revision) == 6


async def test_no_more_pods_are_waited_for_than_the_autoscaler_allows(anywhere: World) -> None:
    site = anywhere.production
    _, stable, journal = await promoted(anywhere, site)
    await undo(site, journal.traffic.with_(pods=50))
    assert site.weights() == {stable.revision: 100}
    assert site.ready(stable.revision) == 12


async def test_a_retired_stable_is_brought_up_before_callers_return_to_it(anywhere: World) -> None:
    site = anywhere.production
    _, stable, journal = await promoted(anywhere, site)
    await anywhere.idle(site, stable.revision)
    assert (await undo(site, journal.entry)).outcome is DONE
    assert site.entry() == stable.revision[-10:]
    assert site.ready(stable.revision) >= 3


async def test_callers_are_not_returned_to_a_revision_that_cannot_take_them(
    anywhere: World,
) -> None:
    site = anywhere.production
    target, stable, journal = await promoted(anywhere, site)
    await anywhere.crash(site, stable.revision)
    with pytest.raises(PermanentFailure, match=f"users cannot return to {stable.revision}"):
        await undo(site, journal.entry)
    assert site.entry() == target.bundle.short


async def canary(world: World, weight: int) -> tuple[RevisionRequest, StableRevision, Journal]:
    """v2 with a share of the users beside v1."""
    site = world.production
    stable = await world.serving(site)
    target = await world.target(site, await world.bundle("v2"), stable)
    await site.create(target, weight)
    await site.shift(target, weight)
    site.writes()
    return target, stable, Journal(site, target.revision, stable)


async def test_a_stable_that_serves_nearly_everybody_takes_the_few_others_at_once(
    world: SandboxWorld,
) -> None:
    site = world.production
    _, stable, journal = await canary(world, 10)
    slow = LiveFault("production", "slow-start=100000s", revision=stable.revision)
    world.platform.live_faults.add(slow)  # for pods to come; those that serve are left alone
    assert (await undo(site, journal.traffic.with_(pods=6))).outcome is DONE
    assert site.weights() == {stable.revision: 100}
    assert (site.ready(stable.revision), site.replicas(stable.revision)) == (3, 6)


async def test_pods_that_will_not_come_hold_no_users_where_fewer_would_do(
    world: SandboxWorld,
) -> None:
    site = world.production
    _, stable, journal = await canary(world, 50)
    site.remove("ConfigMap", f"album-config-{stable.revision[-10:]}")
    assert (await undo(site, journal.traffic.with_(pods=6))).outcome is DONE
    assert site.weights() == {stable.revision: 100}
    assert site.ready(stable.revision) == 3


async def test_users_are_not_returned_to_fewer_pods_than_their_load_takes(
    world: SandboxWorld,
) -> None:
    site = world.production
    target, stable, journal = await promoted(world, site)
    await world.grow(site, target.revision, 8)
    site.remove("ConfigMap", f"album-config-{stable.revision[-10:]}")
    with pytest.raises(PermanentFailure, match=r"cannot return to .*: 3 of 6 pods ready; pod"):
        await undo(site, journal.traffic)
    assert site.weights() == {target.revision: 100}


async def test_a_rollback_needs_neither_registry_nor_policy_nor_proof(anywhere: World) -> None:
    site = anywhere.production
    target, stable, journal = await promoted(anywhere, site)
    anywhere.lose_policy()
    await anywhere.lose_registry()
    for compensation in (journal.entry, journal.traffic, journal.retire):
        assert (await undo(site, compensation)).outcome is DONE
    assert site.weights() == {stable.revision: 100}
    assert site.replicas(target.revision) == 0


@pytest.mark.parametrize("weight", [10, 100])
async def test_a_rollback_sends_users_to_nobody_but_whom_they_came_from(
    anywhere: World, weight: int
) -> None:
    site = anywhere.production
    target, stable, journal = await canary(anywhere, weight)
    forged = [
        journal.traffic.with_(split=TrafficSplit.all_to(f"{SERVICE}-0123456789")),
        journal.traffic.with_(split=TrafficSplit.step(50, target.revision, stable.revision)),
        journal.traffic.with_(split=TrafficSplit()),
    ]
    if weight < 100:  # the stable "rolled back" to its canary
        split = TrafficSplit.all_to(target.revision)
        forged.append(journal.traffic.with_(revision=stable.revision, split=split))
    before = site.weights()
    for one in forged:
        with pytest.raises(PermanentFailure, match=f"{stable.revision} served album"):
            await undo(site, one)
    assert site.weights() == before
    assert site.writes() == []


async def test_callers_return_to_nobody_but_whom_they_came_from(anywhere: World) -> None:
    site = anywhere.production
    target, stable, journal = await promoted(anywhere, site)
    for previous in (f"{SERVICE}-0123456789", None):
        with pytest.raises(PermanentFailure, match=f"{stable.revision} served album"):
            await undo(site, journal.entry.with_(previous=previous))
    assert site.entry() == target.bundle.short


async def test_whoever_loses_the_routes_note_still_gets_back_by_the_entry_service(
    anywhere: World,
) -> None:
    site = anywhere.production
    _, stable, journal = await promoted(anywhere, site)
    note = "tidegate.dev/previous"
    site.edit("HTTPRoute", SERVICE, lambda one: one["metadata"]["annotations"].pop(note))
    assert (await undo(site, journal.entry)).outcome is DONE
    assert (await undo(site, journal.traffic)).outcome is DONE
    assert site.weights() == {stable.revision: 100}
    assert site.entry() == stable.revision[-10:]
