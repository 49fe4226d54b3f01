"""What runs in staging must still be the bundle; what releases and servers do is no drift."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from activities.failures import NotYet
from domain.errors import TransientFailure
from domain.revision import Manifest
from domain.soak import SoakProgress, SoakWindow
from domain.steps import EarnWindow, RevisionRequest
from tests.activities.test_stored_forms import (
    binary_file,
    chosen_by_no_label,
    nothing_goes_out,
    written_out_defaults,
)
from tests.support.platform_world import SandboxWorld
from tests.support.world import World

HOUR = timedelta(hours=1)


async def soaking(world: World) -> RevisionRequest:
    """v1 serves staging."""
    target = await world.target(world.staging, await world.bundle("v1"))
    await world.staging.serve(target)
    return target


async def looked_at(world: World, target: RevisionRequest) -> SoakWindow | None:
    """What the window says at its first look; None when it goes on."""
    request = EarnWindow(target=target, starts_at=datetime.now(UTC), length=HOUR, plan=world.plan)
    try:
        return cast(SoakWindow, await world.staging.do("earn_window", request))
    except NotYet:
        return None


async def drifted(world: World, target: RevisionRequest) -> str:
    """How it has drifted; controllers may need a moment to notice an edit."""
    for _ in range(100):
        window = await looked_at(world, target)
        if window is not None:
            assert not window.healthy
            assert window.sentence == f"drift: {window.drift}"
            return window.drift
        await asyncio.sleep(0.05)
    raise AssertionError("no drift was seen")


async def test_what_a_release_and_its_server_do_to_a_revision_is_no_drift(anywhere: World) -> None:
    site = anywhere.staging

    def in_another_form(manifest: Manifest) -> None:
        for edit in (nothing_goes_out, chosen_by_no_label, written_out_defaults, binary_file):
            edit(manifest)
        if manifest["kind"] == "Deployment":
            container = manifest["spec"]["template"]["spec"]["containers"][0]
            container["resources"]["limits"] = {"cpu": 0.5, "memory": "1024Mi"}
            container["env"] = [{"name": "NOTHING", "value": ""}]
            manifest["spec"]["template"]["metadata"]["annotations"] = {}
            manifest["spec"]["template"]["spec"]["hostNetwork"] = False

    target = await anywhere.target(site, await anywhere.bundle("v1", edit=in_another_form))
    await site.serve(target)
    assert await looked_at(anywhere, target) is None
    site.edit("Deployment", target.revision, lambda one: one["spec"].update(replicas=3))
    site.edit(
        "Deployment",
        target.revision,
        lambda one: one["metadata"]["annotations"].update({"tidegate.dev/retired-at": "once"}),
    )
    scaler = f"album-{target.bundle.short}"
    site.edit("HorizontalPodAutoscaler", scaler, lambda one: one["spec"].update(minReplicas=1))
    assert await looked_at(anywhere, target) is None


def image(one: Manifest) -> None:
    one["spec"]["template"]["spec"]["containers"][0]["image"] = "album:latest"


def variable(one: Manifest) -> None:
    one["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "DEBUG", "value": "1"}]


def node(one: Manifest) -> None:
    """Nothing that the bundle speaks of."""
    one["spec"]["template"]["spec"]["nodeSelector"] = {"disk": "fast"}


def value(one: Manifest) -> None:
    one["data"][sorted(one["data"])[0]] = "tampered"


def key(one: Manifest) -> None:
    one["data"]["DEBUG"] = "1"


def maximum(one: Manifest) -> None:
    one["spec"]["maxReplicas"] = 2


def selection(one: Manifest) -> None:
    one["spec"]["selector"]["also"] = "this"


def port(one: Manifest) -> None:
    one["spec"]["ports"][0]["targetPort"] = 9999


def provenance(one: Manifest) -> None:
    one["metadata"]["annotations"]["tidegate.dev/bundle"] = "another"


@pytest.mark.parametrize(
    ("kind", "edit", "told"),
    [
        (
            "Deployment",
            image,
            "Deployment {}: spec.template.spec.containers[album].image is 'album:latest', the "
            "bundle says '",
        ),
        ("Deployment", variable, "Deployment {}: its pod template was edited after it was created"),
        ("Deployment", node, "Deployment {}: its pod template was edited after it was created"),
        ("Deployment", provenance, "Deployment {}: metadata.annotations.tidegate.dev/bundle is"),
        ("ConfigMap", value, "ConfigMap {}: data."),
        ("ConfigMap", key, "ConfigMap {}: data.DEBUG is '1', the bundle says absent"),
        ("HorizontalPodAutoscaler", maximum, "HorizontalPodAutoscaler {}: spec.maxReplicas is 2"),
        ("Service", selection, "Service {}: spec.selector.also is 'this', the bundle says absent"),
        ("Service", port, "Service {}: spec.ports[http].targetPort is 9999, the bundle says "),
    ],
)
async def test_drift_is_told_by_object_and_field(
    anywhere: World, kind: str, edit: Callable[[Manifest], None], told: str
) -> None:
    target = await soaking(anywhere)
    config = f"album-config-{target.bundle.short}"
    name = config if kind == "ConfigMap" else target.revision
    anywhere.staging.edit(kind, name, edit)
    assert (await drifted(anywhere, target)).startswith(told.format(name))


async def test_an_edit_that_was_taken_back_is_drift_as_well(anywhere: World) -> None:
    target = await soaking(anywhere)
    anywhere.staging.edit("Deployment", target.revision, node)
    await drifted(anywhere, target)

    def taken_back(one: Manifest) -> None:
        del one["spec"]["template"]["spec"]["nodeSelector"]

    anywhere.staging.edit("Deployment", target.revision, taken_back)
    assert "its pod template was edited" in await drifted(anywhere, target)


async def test_who_is_gone_or_serves_nobody_does_not_soak(anywhere: World) -> None:
    site = anywhere.staging
    old = await anywhere.serving(site, "v1")
    target = await anywhere.target(site, await anywhere.bundle("v2"), old)
    await site.serve(target)
    assert await looked_at(anywhere, target) is None
    site.move_by_hand({old.revision: 10, target.revision: 90})
    assert await drifted(anywhere, target) == (
        f"HTTPRoute album sends 90 % to {target.revision}, not everybody"
    )
    site.move_by_hand({target.revision: 100})
    site.edit(
        "Service",
        "album",
        lambda one: one["spec"]["selector"].update(
            {"tidegate.dev/revision": old.revision.rpartition("-")[2]}
        ),
    )
    assert (await drifted(anywhere, target)).startswith("Service album selects revision ")
    site.remove("HorizontalPodAutoscaler", target.revision)
    assert await drifted(anywhere, target) == (f"HorizontalPodAutoscaler {target.revision} is gone")


async def test_a_registry_that_is_away_is_needed_only_once(world: SandboxWorld) -> None:
    target = await soaking(world)
    assert await looked_at(world, target) is None
    await world.lose_registry()
    assert await looked_at(world, target) is None
    other = await world.target(world.staging, target.bundle.with_(digest="sha256:" + "0" * 64))
    with pytest.raises(TransientFailure):
        await looked_at(world, other)


def test_drift_leaves_nothing_of_what_was_earned() -> None:
    progress = SoakProgress(goal=24 * HOUR, earned=23 * HOUR, bundle="album@sha256:1")
    window = SoakWindow(length=HOUR, healthy=False, sentence="drift: x", drift="x")
    assert progress.add(window, "pause").earned == timedelta(0)
    assert progress.add(window, "pause").drift == "x"
