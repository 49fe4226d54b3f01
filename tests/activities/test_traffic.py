from __future__ import annotations

import asyncio
from typing import Any

import pytest

from domain.errors import Conflict, PermanentFailure, TransientFailure
from domain.steps import RevisionRequest
from domain.traffic import StableRevision, TrafficSplit
from tests.support.platform_world import World
from tests.support.sandbox import eventually
from tests.support.site import SERVICE, Site, shift_request


async def beside(
    world: World, site: Site, weight: int = 100
) -> tuple[RevisionRequest, StableRevision]:
    """v2 with pods for a weight, beside the serving v1."""
    stable = await world.serving(site)
    target = await world.target(site, await world.bundle("v2"), stable)
    created = await site.create(target, weight)
    assert created.healthy
    site.writes()
    return target, stable


async def test_weights_rise_step_by_step_and_users_follow(world: World) -> None:
    site = world.production
    target, stable = await beside(world, site, weight=10)
    split = TrafficSplit.all_to(stable.revision)
    for weight in (10, 50, 100):
        shifted = await site.shift(target, weight, old=split)
        split = shifted.split
        wanted = {stable.revision: 100 - weight, target.revision: weight}
        assert site.weights() == {name: share for name, share in wanted.items() if share}
        assert "read back from gateway public" in shifted.sentence
        route = site.must("HTTPRoute", SERVICE)
        accepted = route["status"]["parents"][0]["conditions"][0]
        assert accepted["observedGeneration"] == route["metadata"]["generation"]
        assert route["metadata"]["annotations"]["tidegate.dev/release"] == target.release_id
        await _users_follow(site, target.revision, weight / 100)
    assert site.ready(target.revision) == 4
    assert site.users()["failed"] < 0.02 * site.users()["requests"]


async def _users_follow(site: Site, revision: str, share: float) -> None:
    """Of the next some thousand requests, this share reaches the revision."""
    before = site.users()
    await eventually(lambda: site.users()["requests"] > before["requests"] + 2000, "users come")
    after = site.users()

    def seen(users: dict[str, Any]) -> int:
        return int(users["by_revision"].get(revision, {"requests": 0})["requests"])

    reached = (seen(after) - seen(before)) / (after["requests"] - before["requests"])
    assert reached == pytest.approx(share, abs=0.04)


async def test_a_shift_brings_the_pods_up_before_it_moves_the_route(world: World) -> None:
    site = world.production
    target, stable = await beside(world, site, weight=10)
    await world.fault(site, target.revision, "slow-start=100s")
    shifting = asyncio.create_task(site.shift(target, 100))
    await eventually(lambda: site.replicas(target.revision) == 4, "more pods are asked for")
    assert site.weights() == {stable.revision: 100}
    await shifting
    assert site.weights() == {target.revision: 100}
    assert site.ready(target.revision) == 4


async def test_no_traffic_is_sent_to_a_revision_whose_pods_are_not_ready(world: World) -> None:
    site = world.production
    target, stable = await beside(world, site, weight=10)
    await world.fault(site, target.revision, "crash")
    with pytest.raises(PermanentFailure, match=f"no traffic is sent to {target.revision}.*crash"):
        await site.shift(target, 10)
    with pytest.raises(PermanentFailure, match="no traffic is sent"):
        await site.do("point_entry", target)
    assert site.weights() == {stable.revision: 100}
    assert site.entry() == stable.revision[-10:]


async def test_a_route_that_somebody_else_moved_is_a_conflict(world: World) -> None:
    site = world.production
    target, stable = await beside(world, site)
    site.move_by_hand({stable.revision: 70, target.revision: 30})
    with pytest.raises(Conflict, match=r"70 %.*30 %; expected .*100 %.*Somebody else moved it"):
        await site.shift(target, 50)
    assert site.weights() == {stable.revision: 70, target.revision: 30}


async def test_a_route_moved_between_reading_and_writing_is_a_conflict(world: World) -> None:
    site = world.production
    target, stable = await beside(world, site)
    other = f"{SERVICE}-0123456789"
    read_before = route_reads(site)

    async def be_faster() -> None:
        """After the last look at the route, before the patch arrives."""
        while route_reads(site) < read_before + 2:  # noqa: ASYNC110 - the very next turn is meant
            await asyncio.sleep(0)
        site.move_by_hand({stable.revision: 60, other: 40})

    racing = asyncio.create_task(be_faster())
    with pytest.raises(Conflict, match=r"/spec/rules/0/backendRefs is .*somebody else changed it"):
        await site.shift(target, 10)
    await racing
    assert site.weights() == {stable.revision: 60, other: 40}
    assert site.writes() == []


def route_reads(site: Site) -> int:
    return sum(
        (one.verb, one.resource) == ("get", "httproutes") for one in site.cluster.requests.records
    )


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ("legacy-album", "sends traffic to legacy-album, which is no revision of album"),
        ("album-0123456789", r"has the weights \[999, 1\], which are no whole percentages"),
    ],
)
async def test_a_route_that_is_not_ours_to_move_is_refused(
    world: World, other: str, reason: str
) -> None:
    site = world.production
    target, stable = await beside(world, site)
    site.move_by_hand({stable.revision: 999, other: 1})
    with pytest.raises(PermanentFailure, match=reason):
        await site.shift(target, 10)
    with pytest.raises(PermanentFailure, match=reason):
        await site.read_stable()
    assert site.writes() == []


async def test_a_shift_that_the_gateway_does_not_take_is_said_so(world: World) -> None:
    site = world.production
    target, _ = await beside(world, site, weight=10)
    site.cluster.store.remove("services", "production", target.revision)
    with pytest.raises(TransientFailure, match="does not take HTTPRoute album: ResolvedRefs"):
        await site.shift(target, 10)


async def test_a_rehearsed_rollback_ends_where_it_began_and_says_how_long_it_took(
    world: World,
) -> None:
    site = world.staging
    target, stable = await beside(world, site)
    await site.shift(target)
    site.writes()
    back = shift_request(target, 100).with_(
        old=TrafficSplit.all_to(target.revision), new=TrafficSplit.all_to(stable.revision)
    )
    rehearsal = await site.do("rehearse_rollback", back)
    assert rehearsal.tried
    assert 0 < rehearsal.seconds < 10
    assert site.weights() == {target.revision: 100}
    assert site.writes() == ["patch httproutes album"] * 2


async def test_the_entry_service_follows_and_is_left_alone_when_somebody_else_moved_it(
    world: World,
) -> None:
    site = world.staging
    target, stable = await beside(world, site)
    await site.shift(target)
    await site.do("point_entry", target)
    assert site.entry() == target.bundle.short
    assert site.must("Service", SERVICE)["spec"]["selector"]["app"] == SERVICE

    site.edit(
        "Service",
        SERVICE,
        lambda one: one["spec"]["selector"].update({"tidegate.dev/revision": "0123456789"}),
    )
    with pytest.raises(Conflict, match=f"selects revision 0123456789, expected {stable.revision}"):
        await site.do("point_entry", target)
    assert site.entry() == "0123456789"
