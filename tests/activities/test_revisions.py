from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any

import pytest

from activities.fleet import Draining
from domain.errors import PermanentFailure
from domain.revision import Manifest
from domain.steps import RevisionRequest, Settle
from domain.traffic import StableRevision, TrafficSplit
from tests.support.platform_world import SandboxWorld
from tests.support.sandbox import eventually
from tests.support.site import OWN_KINDS, SERVICE, Site
from tests.support.world import World


def settle(target: RevisionRequest, drain_seconds: float = 1) -> Settle:
    return Settle(target=target, drain=timedelta(seconds=drain_seconds), retain=1)


async def second(world: World, site: Site) -> tuple[RevisionRequest, StableRevision]:
    """v2's target beside the serving v1."""
    stable = await world.serving(site)
    return await world.target(site, await world.bundle("v2"), stable), stable


async def test_a_first_release_in_staging_is_read_back_as_stable(anywhere: World) -> None:
    site = anywhere.staging
    assert await site.read_stable() is None
    target = await anywhere.target(site, await anywhere.bundle("v1"))
    created = await site.create(target)
    assert (created.healthy, created.ready_pods, created.adopted) == (True, 2, False)
    assert {kind for kind, _ in site.objects(target.revision)} == set(OWN_KINDS)
    assert site.weights() is None
    assert site.entry() is None

    await site.shift(target)
    assert site.weights() == {target.revision: 100}
    await site.do("point_entry", target)
    assert site.entry() == target.bundle.short

    stable = await site.read_stable()
    assert stable is not None
    assert (stable.revision, stable.bundle) == (target.revision, str(target.bundle))
    assert stable.commit == (await anywhere.archive.load_bundle(target.bundle)).commit
    assert (stable.ready_pods, stable.min_replicas) == (2, 2)


async def test_a_second_revision_edits_nothing_of_the_first(anywhere: World) -> None:
    site = anywhere.production
    target, stable = await second(anywhere, site)
    before = site.objects(stable.revision)
    await site.create(target, weight=10)
    after = site.objects(stable.revision)
    assert after.keys() == before.keys()
    for name, one in before.items():
        assert one["metadata"]["resourceVersion"] == after[name]["metadata"]["resourceVersion"]
    assert not after.keys() & site.objects(target.revision).keys()
    assert {line.split()[0] for line in site.writes()} == {"create"}


@pytest.mark.parametrize(("weight", "ready"), [(10, 3), (10, 12), (50, 5), (100, 10)])
async def test_a_canary_has_a_fifth_more_pods_than_its_share_needs(
    anywhere: World, weight: int, ready: int
) -> None:
    site = anywhere.production
    target, stable = await second(anywhere, site)
    target = target.with_(stable=stable.with_(ready_pods=ready))
    created = await site.create(target, weight=weight)
    wanted = ceil(weight * ready * 1.2 / 100)
    assert created.healthy
    assert site.replicas(target.revision) == site.ready(target.revision) == wanted
    assert site.must("HorizontalPodAutoscaler", target.revision)["spec"]["minReplicas"] == wanted


async def test_a_canary_never_asks_for_more_pods_than_its_autoscaler_allows(
    anywhere: World,
) -> None:
    site = anywhere.production
    target, stable = await second(anywhere, site)
    full = target.with_(stable=stable.with_(ready_pods=12))  # x 1.2 is over maxReplicas: 12
    created = await site.create(full, weight=100)
    assert (created.healthy, site.ready(target.revision)) == (True, 12)
    beyond = target.with_(stable=stable.with_(ready_pods=13))
    with pytest.raises(PermanentFailure, match="raise its maxReplicas"):
        await site.create(beyond, weight=100)


def faulty(fault: str) -> Any:
    def edit(manifest: Manifest) -> None:
        if manifest["kind"] == "Deployment":
            template = manifest["spec"]["template"]["metadata"]
            template["annotations"] = {"sandbox.tidegate.dev/faults": f"staging:{fault}"}
            manifest["spec"]["progressDeadlineSeconds"] = 1

    return edit


def without_config(manifest: Manifest) -> None:
    if manifest["kind"] == "Deployment":
        container = manifest["spec"]["template"]["spec"]["containers"][0]
        container["envFrom"] = [{"configMapRef": {"name": "nobody-made-this"}}]


@pytest.mark.parametrize(
    ("edit", "image", "reason"),
    [
        (faulty("crash"), "", r"crashed \d+ times \(Error, exit code 1\)"),
        (faulty("unready"), "", "no progress"),
        (None, "sha256:" + "0" * 64, "its image cannot be pulled"),
        (without_config, "", "its configuration cannot be read: .*nobody-made-this"),
    ],
    ids=["crash", "unready", "missing image", "missing ConfigMap"],
)
async def test_a_version_that_does_not_come_up_is_reported_with_its_reason(
    world: SandboxWorld, edit: Any, image: str, reason: str
) -> None:
    repository = f"{world.platform.registry.address}/isa/album"
    bundle = await world.bundle("v1", edit=edit, image=f"{repository}@{image}" if image else None)
    target = await world.target(world.staging, bundle)
    created = await world.staging.create(target)
    assert not created.healthy
    assert created.sentence.startswith(f"{target.revision}: 0 of 2 pods ready")
    assert re.search(reason, created.sentence), created.sentence
    assert world.staging.ready(target.revision) == 0
    assert world.staging.weights() is None


async def test_the_retained_revision_of_the_same_bundle_is_scaled_up_again(anywhere: World) -> None:
    site = anywhere.production
    first = await anywhere.serving(site, "v1")
    newer = await anywhere.target(
        site, await anywhere.bundle("v2"), first, release="release-album-2"
    )
    stable = await site.serve(newer)
    await site.do("settle_release", settle(newer))
    assert site.replicas(first.revision) == 0
    site.writes()

    again = await anywhere.target(
        site, await anywhere.bundle("v1"), stable, release="release-album-3"
    )
    assert again.revision == first.revision
    uid = site.must("Deployment", first.revision)["metadata"]["uid"]
    created = await site.create(again, weight=100)
    assert (created.adopted, created.healthy) == (True, True)
    assert site.must("Deployment", first.revision)["metadata"]["uid"] == uid
    assert site.ready(first.revision) >= 4
    assert [line.split()[0] for line in site.writes()].count("create") == 0


async def test_an_object_of_the_same_name_with_another_content_is_refused(anywhere: World) -> None:
    site = anywhere.staging
    target = await anywhere.target(site, await anywhere.bundle("v1"))
    await site.create(target)
    config = f"album-config-{target.bundle.short}"
    site.edit("ConfigMap", config, lambda one: one["data"].update(ALBUM_PAGE_SIZE="1"))
    with pytest.raises(PermanentFailure, match=f"ConfigMap {config} exists with another content"):
        await site.create(target)

    site.edit("ConfigMap", config, lambda one: one["data"].update(ALBUM_PAGE_SIZE="20"))
    hashed = "tidegate.dev/spec-hash"
    site.edit("Deployment", target.revision, lambda one: one["metadata"]["annotations"].pop(hashed))
    with pytest.raises(PermanentFailure, match=f"Deployment {target.revision} exists with another"):
        await site.create(target)


async def test_a_deployment_that_tidegate_did_not_make_is_not_taken_over(anywhere: World) -> None:
    site = anywhere.staging
    stable = await anywhere.serving(site)
    site.edit(
        "Deployment",
        stable.revision,
        lambda one: one["metadata"]["annotations"].pop("tidegate.dev/bundle"),
    )
    with pytest.raises(PermanentFailure, match="does not say which bundle it is"):
        await site.read_stable()


def egress(manifest: Manifest) -> None:
    if manifest["kind"] == "NetworkPolicy":
        manifest["spec"]["egress"] = []


def hostname(manifest: Manifest) -> None:
    if manifest["kind"] == "HTTPRoute":
        manifest["spec"]["hostnames"] = ["photos.isa.example"]


def port(manifest: Manifest) -> None:
    if manifest["kind"] == "Service":
        manifest["spec"]["ports"][0]["port"] = 80


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (egress, "NetworkPolicy album"),
        (hostname, "HTTPRoute album"),
        (port, "Service album"),
    ],
)
async def test_a_changed_shared_object_is_refused_before_anything_is_created(
    anywhere: World, change: Any, name: str
) -> None:
    site = anywhere.staging
    stable = await anywhere.serving(site)
    target = await anywhere.target(site, await anywhere.bundle("v2", edit=change), stable)
    with pytest.raises(PermanentFailure, match=f"{name} differs from the bundle's"):
        await site.create(target)
    assert site.writes() == []


async def test_stable_keeps_the_pods_it_has_until_the_release_has_settled(anywhere: World) -> None:
    site = anywhere.production
    target, stable = await second(anywhere, site)
    await site.do("hold_capacity", target.with_(stable=stable.with_(ready_pods=7)))
    scaler = site.must("HorizontalPodAutoscaler", stable.revision)
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (7, 12)
    await site.do("hold_capacity", target.with_(stable=stable.with_(ready_pods=50)))
    scaler = site.must("HorizontalPodAutoscaler", stable.revision)
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (12, 12)


async def test_settling_retires_the_old_revision_and_lets_the_new_one_breathe(
    world: SandboxWorld,
) -> None:
    site = world.production
    target, stable = await second(world, site)
    await site.serve(target)
    told = await site.do("settle_release", settle(target))
    assert told == f"{target.revision} has settled; {stable.revision} is kept at zero replicas"
    await eventually(lambda: site.ready(stable.revision) == 0, "the old pods are gone")
    assert site.must("HorizontalPodAutoscaler", target.revision)["spec"]["minReplicas"] == 3
    assert site.object("ConfigMap", f"album-config-{stable.revision[-10:]}") is not None
    assert site.users()["failed"] <= 0.01 * site.users()["requests"]


async def test_settling_keeps_so_many_old_revisions_and_deletes_older_ones(anywhere: World) -> None:
    site = anywhere.production
    stable = await anywhere.serving(site, "v1")
    revisions = [stable.revision]
    for number, version in enumerate(("v2", "v3"), start=2):
        bundle = await anywhere.bundle(version, edit=_without_faults)
        target = await anywhere.target(site, bundle, stable, release=f"release-album-{number}")
        stable = await site.serve(target)
        site.writes()
        told = await site.do("settle_release", settle(target))
        revisions.append(target.revision)
    assert told.endswith(f"{revisions[0]} deleted")
    assert site.objects(revisions[0]) == {}
    assert site.replicas(revisions[1]) == 0
    assert site.ready(revisions[2]) >= 3
    deleted = [line for line in site.writes() if line.startswith("delete")]
    assert len(deleted) == len(OWN_KINDS)
    assert all(line.endswith(revisions[0][-10:]) for line in deleted)


def _without_faults(manifest: Manifest) -> None:
    if manifest["kind"] == "Deployment":
        manifest["spec"]["template"]["metadata"].pop("annotations", None)


async def test_nothing_is_retired_while_the_new_revision_has_no_ready_pod(
    anywhere: World,
) -> None:
    site = anywhere.production
    target, stable = await second(anywhere, site)
    await site.serve(target)
    await anywhere.crash(site, target.revision)
    with pytest.raises(PermanentFailure, match="has no ready pod; nothing is retired"):
        await site.do("settle_release", settle(target))
    assert site.replicas(stable.revision) == 3


async def test_a_revision_is_not_retired_while_users_or_callers_still_reach_it(
    anywhere: World,
) -> None:
    site = anywhere.production
    target, stable = await second(anywhere, site)
    await site.create(target, weight=100)
    await site.shift(target, 50)
    with pytest.raises(PermanentFailure, match=r"gets 50 % of album's traffic; only the bundle"):
        await site.do("settle_release", settle(target))
    split = TrafficSplit.step(50, target.revision, stable.revision)
    await site.shift(target, 100, old=split)
    with pytest.raises(PermanentFailure, match=f"Service {SERVICE} still selects"):
        await site.do("settle_release", settle(target))
    assert site.replicas(stable.revision) == 3


async def test_retiring_waits_for_silence_or_for_the_drain_deadline(world: SandboxWorld) -> None:
    site = world.production
    target, stable = await second(world, site)
    await site.serve(target)
    site.heartbeats.clear()
    await site.do(
        "settle_release", settle(target, drain_seconds=60)
    )  # silence ends it, not the minute
    (wait,) = {beat[0] for beat in site.heartbeats if isinstance(beat[0], Draining)}
    assert wait.revision == stable.revision
    assert datetime.now(UTC) < wait.deadline
    assert site.replicas(stable.revision) == 0


async def test_without_metrics_retiring_waits_until_the_drain_deadline(anywhere: World) -> None:
    site = anywhere.production
    target, stable = await second(anywhere, site)
    await site.serve(target)
    await anywhere.lose_metrics()
    begun = datetime.now(UTC)
    await site.do("settle_release", settle(target, drain_seconds=1.5))
    assert datetime.now(UTC) - begun >= timedelta(seconds=1.5)  # it did not believe silence
    assert site.replicas(stable.revision) == 0


async def test_stable_keeps_the_pods_of_now_when_the_load_has_grown_since_the_approval(
    anywhere: World,
) -> None:
    site = anywhere.production
    target, stable = await second(anywhere, site)
    await anywhere.grow(site, stable.revision, 6)
    await site.do("hold_capacity", target)
    scaler = site.must("HorizontalPodAutoscaler", stable.revision)
    assert scaler["spec"]["minReplicas"] == 6


async def test_a_canary_is_created_with_the_pods_for_its_share_of_the_load_of_now(
    anywhere: World,
) -> None:
    site = anywhere.production
    target, stable = await second(anywhere, site)
    await anywhere.grow(site, stable.revision, 6)
    created = await site.create(target, weight=50)
    assert (created.healthy, site.ready(target.revision)) == (True, 4)


async def test_settling_needs_no_approval_any_more_once_everybody_is_served(
    anywhere: World,
) -> None:
    site = anywhere.production
    target, stable = await second(anywhere, site)
    await site.serve(target)
    anywhere.policy.change(people=())  # who approved has left
    told = await site.do("settle_release", settle(target.with_(proof=None)))
    assert told == f"{target.revision} has settled; {stable.revision} is kept at zero replicas"


async def test_settling_needs_no_policy(anywhere: World) -> None:
    site = anywhere.production
    target, stable = await second(anywhere, site)
    await site.serve(target)
    anywhere.lose_policy()
    await site.do("settle_release", settle(target))
    assert site.replicas(stable.revision) == 0


async def test_a_bundle_that_does_not_serve_is_not_settled(anywhere: World) -> None:
    site = anywhere.production
    target, stable = await second(anywhere, site)
    await site.create(target)
    site.writes()
    with pytest.raises(PermanentFailure, match="gets 0 % of album's traffic; only the bundle"):
        await site.do("settle_release", settle(target))
    assert site.writes() == []
    assert site.ready(stable.revision) == 3


async def test_a_lost_route_is_no_first_release_while_callers_reach_a_revision(
    anywhere: World,
) -> None:
    site = anywhere.production
    stable = await anywhere.serving(site)
    site.remove("HTTPRoute", SERVICE)
    with pytest.raises(
        PermanentFailure, match=f"selects {stable.revision}, but HTTPRoute album is gone"
    ):
        await site.read_stable()
