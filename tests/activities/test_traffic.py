from __future__ import annotations

import asyncio
from typing import Any

import pytest

from domain.errors import Conflict, PermanentFailure, TransientFailure
from domain.steps import RevisionRequest, ShiftTraffic
from domain.traffic import StableRevision, TrafficSplit
from tests.support.platform_world import SandboxSite, SandboxWorld
from tests.support.sandbox import eventually
from tests.support.site import SERVICE, Site, shift_request
from tests.support.world import World


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


async def test_weights_rise_step_by_step_and_each_is_read_back(anywhere: World) -> None:
    site = anywhere.production
    target, stable = await beside(anywhere, site, weight=10)
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
    assert site.ready(target.revision) == 4


async def test_users_follow_the_weights(world: SandboxWorld) -> None:
    site = world.production
    target, stable = await beside(world, site, weight=10)
    split = TrafficSplit.all_to(stable.revision)
    for weight in (10, 50, 100):
        split = (await site.shift(target, weight, old=split)).split
        await _users_follow(site, target.revision, weight / 100)
    assert site.users()["failed"] < 0.02 * site.users()["requests"]


async def _users_follow(site: SandboxSite, revision: str, share: float) -> None:
    """Of the next some thousand requests, this share reaches the revision."""
    before = site.users()
    await eventually(lambda: site.users()["requests"] > before["requests"] + 2000, "users come")
    after = site.users()

    def seen(users: dict[str, Any]) -> int:
        return int(users["by_revision"].get(revision, {"requests": 0})["requests"])

    reached = (seen(after) - seen(before)) / (after["requests"] - before["requests"])
    assert reached == pytest.approx(share, abs=0.04)


async def test_a_shift_brings_the_pods_up_before_it_moves_the_route(world: SandboxWorld) -> None:
    site = world.production
    target, stable = await beside(world, site, weight=10)
    await world.fault(site, target.revision, "slow-start=100s")
    shifting = asyncio.create_task(site.shift(target, 100))
    await eventually(lambda: site.replicas(target.revision) == 4, "more pods are asked for")
    assert site.weights() == {stable.revision: 100}
    await shifting
    assert site.weights() == {target.revision: 100}
    assert site.ready(target.revision) == 4


async def test_no_traffic_is_sent_to_a_revision_whose_pods_are_not_ready(
    anywhere: World,
) -> None:
    site = anywhere.production
    target, stable = await beside(anywhere, site, weight=10)
    await anywhere.crash(site, target.revision)
    with pytest.raises(PermanentFailure, match=f"no traffic is sent to {target.revision}.*crash"):
        await site.shift(target, 10)
    with pytest.raises(PermanentFailure, match="no traffic is sent"):
        await site.do("point_entry", target)
    assert site.weights() == {stable.revision: 100}
    assert site.entry() == stable.revision[-10:]


async def test_a_route_that_somebody_else_moved_is_a_conflict(anywhere: World) -> None:
    site = anywhere.production
    target, stable = await beside(anywhere, site)
    site.move_by_hand({stable.revision: 70, target.revision: 30})
    with pytest.raises(Conflict, match=r"70 %.*30 %; expected .*100 %.*Somebody else moved it"):
        await site.shift(target, 50)
    assert site.weights() == {stable.revision: 70, target.revision: 30}


async def test_a_route_moved_between_reading_and_writing_is_a_conflict(anywhere: World) -> None:
    site = anywhere.production
    target, stable = await beside(anywhere, site)
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


async def test_a_route_moved_between_writing_and_reading_back_is_not_reported_as_read_back(
    anywhere: World,
) -> None:
    site = anywhere.production
    target, stable = await beside(anywhere, site)

    def patches() -> int:
        return site.requests("patch", "httproutes")

    before = patches()

    async def interfere() -> None:
        while patches() == before:  # noqa: ASYNC110 - the very next turn is meant
            await asyncio.sleep(0)
        site.move_by_hand({stable.revision: 60, target.revision: 40})

    interfering = asyncio.create_task(interfere())
    with pytest.raises(Conflict, match=r"60 %.* 40 %; .* 10 % was just written"):
        await site.shift(target, 10)
    await interfering
    assert site.weights() == {stable.revision: 60, target.revision: 40}


def route_reads(site: Site) -> int:
    return site.requests("get", "httproutes")


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ("legacy-album", "sends traffic to legacy-album, which is no revision of album"),
        ("album-0123456789", r"has the weights \[999, 1\], which are no whole percentages"),
    ],
)
async def test_a_route_that_is_not_ours_to_move_is_refused(
    anywhere: World, other: str, reason: str
) -> None:
    site = anywhere.production
    target, stable = await beside(anywhere, site)
    site.move_by_hand({stable.revision: 999, other: 1})
    with pytest.raises(PermanentFailure, match=reason):
        await site.shift(target, 10)
    with pytest.raises(PermanentFailure, match=reason):
        await site.read_stable()
    assert site.writes() == []


async def test_a_shift_that_the_gateway_does_not_take_is_said_so(anywhere: World) -> None:
    site = anywhere.production
    target, _ = await beside(anywhere, site, weight=10)
    site.remove("Service", target.revision)
    with pytest.raises(TransientFailure, match="does not take HTTPRoute album: ResolvedRefs"):
        await site.shift(target, 10)


async def test_a_rehearsed_rollback_ends_where_it_began_and_says_how_long_it_took(
    anywhere: World,
) -> None:
    site = anywhere.staging
    target, stable = await beside(anywhere, site)
    await site.shift(target)
    site.writes()
    rehearsal = await site.do("rehearse_rollback", back_and_forth(target, stable))
    assert rehearsal.tried
    assert 0 < rehearsal.seconds < 10
    assert site.weights() == {target.revision: 100}
    assert site.writes() == ["patch httproutes album"] * 2


async def test_the_entry_service_follows_and_is_left_alone_when_somebody_else_moved_it(
    anywhere: World,
) -> None:
    site = anywhere.staging
    target, stable = await beside(anywhere, site)
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


async def test_a_shift_needs_the_pods_of_todays_load_not_of_the_night_of_the_approval(
    anywhere: World,
) -> None:
    site = anywhere.production
    target, stable = await beside(anywhere, site, weight=10)
    assert stable.ready_pods == 3
    await anywhere.grow(site, stable.revision, 6)
    await site.shift(target, 100)
    assert site.ready(target.revision) == 8
    scaler = site.must("HorizontalPodAutoscaler", stable.revision)
    assert scaler["spec"]["minReplicas"] == 6  # so that all of them can come back


async def test_load_that_grew_while_pods_started_is_carried_before_the_route_moves(
    world: SandboxWorld,
) -> None:
    site = world.production
    target, stable = await beside(world, site, weight=10)
    await world.fault(site, target.revision, "slow-start=100s")
    shifting = asyncio.create_task(site.shift(target, 100))
    await eventually(lambda: site.replicas(target.revision) == 4, "pods of the night")
    await world.grow(site, stable.revision, 6)
    await eventually(lambda: site.replicas(target.revision) == 8, "pods of noon")
    assert site.weights() == {stable.revision: 100}
    await shifting
    assert site.ready(target.revision) == 8


async def test_a_weight_that_the_approved_plan_does_not_have_is_not_shifted(
    anywhere: World,
) -> None:
    site = anywhere.production
    target, stable = await beside(anywhere, site)
    for weight in (1, 0, 99):
        with pytest.raises(PermanentFailure, match=rf"^{weight} % is no step of album's plan"):
            await site.shift(target, weight)
    assert site.weights() == {stable.revision: 100}
    assert site.writes() == []


async def test_a_first_release_is_shifted_at_once_or_not_at_all(anywhere: World) -> None:
    site = anywhere.production
    target = await anywhere.target(site, await anywhere.bundle("v1"))
    await site.create(target)
    with pytest.raises(PermanentFailure, match=r"10 % is no step of album's plan \(100 %\)"):
        await site.shift(target, 10)
    assert site.weights() is None


async def test_users_are_sent_only_to_the_approved_bundle_at_the_approved_weight(
    anywhere: World,
) -> None:
    site = anywhere.production
    target, stable = await beside(anywhere, site)
    unapproved = f"{SERVICE}-0123456789"
    for new in (
        TrafficSplit.all_to(unapproved),
        TrafficSplit.all_to(target.revision),
        TrafficSplit.step(10, unapproved, stable.revision),
    ):
        request = shift_request(target, 10).with_(new=new)
        with pytest.raises(PermanentFailure, match=f"is {stable.revision} 90 %, .* 10 %, not"):
            await site.do("shift_traffic", request)
    assert site.weights() == {stable.revision: 100}
    assert site.writes() == []


async def test_users_of_a_revision_that_the_release_does_not_replace_are_left_there(
    anywhere: World,
) -> None:
    site = anywhere.production
    target, _ = await beside(anywhere, site)
    newer = f"{SERVICE}-0123456789"
    site.move_by_hand({newer: 100})
    with pytest.raises(PermanentFailure, match=f"may not take users from {newer}"):
        await site.shift(target, 10, old=TrafficSplit.all_to(newer))
    assert site.weights() == {newer: 100}


def back_and_forth(target: RevisionRequest, stable: StableRevision) -> ShiftTraffic:
    return shift_request(target, 100).with_(
        old=TrafficSplit.all_to(target.revision), new=TrafficSplit.all_to(stable.revision)
    )


async def test_a_rehearsal_that_was_cut_off_half_way_is_timed_anew(anywhere: World) -> None:
    site = anywhere.staging
    target, stable = await beside(anywhere, site)
    await site.shift(target)
    site.move_by_hand({stable.revision: 100})  # where an attempt before this one was lost
    site.writes()
    await site.do("rehearse_rollback", back_and_forth(target, stable), attempt=2)
    assert site.writes() == ["patch httproutes album"] * 3  # forward, back (timed), forward
    assert site.weights() == {target.revision: 100}


async def test_a_rollback_is_never_rehearsed_on_productions_users(anywhere: World) -> None:
    site = anywhere.production
    target, stable = await beside(anywhere, site)
    with pytest.raises(PermanentFailure, match="rehearsed in staging"):
        await site.do("rehearse_rollback", back_and_forth(target, stable))
    assert site.weights() == {stable.revision: 100}


async def test_a_rehearsal_goes_only_to_what_the_release_replaces(anywhere: World) -> None:
    site = anywhere.staging
    target, stable = await beside(anywhere, site)
    await site.shift(target)
    astray = back_and_forth(target, stable).with_(new=TrafficSplit.all_to("album-0123456789"))
    with pytest.raises(PermanentFailure, match="and back again, not from"):
        await site.do("rehearse_rollback", astray)
    assert site.weights() == {target.revision: 100}


async def test_callers_inside_the_cluster_are_not_sent_where_users_are_not_yet(
    anywhere: World,
) -> None:
    site = anywhere.production
    target, stable = await beside(anywhere, site)
    await site.shift(target, 10)
    with pytest.raises(PermanentFailure, match=r"follow its users: those are with .* 90 %"):
        await site.do("point_entry", target)
    assert site.entry() == stable.revision[-10:]
