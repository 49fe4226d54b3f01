"""The API server stores some values in another form; they still are what the bundle says."""

from __future__ import annotations

import pytest

from domain.errors import PermanentFailure
from domain.revision import Manifest
from tests.support.outside import Edit
from tests.support.world import World

# As kustomize writes binary files: lines of 70 characters.
BINARY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEy\nMzQ1Njc=\n"


def nothing_goes_out(manifest: Manifest) -> None:
    """Stored without the empty list."""
    if manifest["kind"] == "NetworkPolicy":
        manifest["spec"]["egress"] = []


def rules_for_everybody(manifest: Manifest) -> None:
    """A rule's empty list is left out as well."""
    if manifest["kind"] == "NetworkPolicy":
        manifest["spec"]["ingress"] = [{"from": []}]


def chosen_by_no_label(manifest: Manifest) -> None:
    """All pods, said in words that are not stored."""
    if manifest["kind"] == "NetworkPolicy":
        manifest["spec"]["podSelector"] = {"matchLabels": {}, "matchExpressions": []}


def written_out_defaults(manifest: Manifest) -> None:
    """An exported Service: what is empty or false is left out, or filled in."""
    if manifest["kind"] == "Service":
        manifest["spec"] |= {"publishNotReadyAddresses": False, "clusterIP": "", "externalIPs": []}


def binary_file(manifest: Manifest) -> None:
    """Stored in one line."""
    if manifest["kind"] == "ConfigMap":
        manifest["binaryData"] = {"icon": BINARY}


@pytest.mark.parametrize(
    "edit",
    [
        nothing_goes_out,
        rules_for_everybody,
        chosen_by_no_label,
        written_out_defaults,
        binary_file,
    ],
)
async def test_what_is_stored_in_another_form_is_found_to_be_the_same(
    anywhere: World, edit: Edit
) -> None:
    site = anywhere.staging
    target = await anywhere.target(site, await anywhere.bundle("v1", edit=edit))
    await site.serve(target)
    site.writes()
    again = await site.create(target)
    assert again.healthy
    assert site.writes() == []


async def test_another_binary_file_is_another_content(anywhere: World) -> None:
    site = anywhere.staging
    target = await anywhere.target(site, await anywhere.bundle("v1", edit=binary_file))
    await site.create(target)
    config = f"album-config-{target.bundle.short}"
    site.edit("ConfigMap", config, lambda one: one["binaryData"].update(icon="AAEC"))
    with pytest.raises(PermanentFailure, match=f"ConfigMap {config} exists with another content"):
        await site.create(target)


async def test_a_network_policy_that_somebody_opened_is_another_one(anywhere: World) -> None:
    site = anywhere.staging
    target = await anywhere.target(site, await anywhere.bundle("v1", edit=nothing_goes_out))
    await site.create(target)
    site.edit("NetworkPolicy", "album", lambda one: one["spec"].update(egress=[{}]))
    with pytest.raises(PermanentFailure, match="NetworkPolicy album differs from the bundle's"):
        await site.create(target)


async def test_all_namespaces_are_not_the_own_one(anywhere: World) -> None:
    site = anywhere.staging
    stable = await anywhere.serving(site)

    def widened(manifest: Manifest) -> None:
        if manifest["kind"] == "NetworkPolicy":
            manifest["spec"]["ingress"][0]["from"][0]["namespaceSelector"] = {}

    target = await anywhere.target(site, await anywhere.bundle("v2", edit=widened), stable)
    with pytest.raises(PermanentFailure, match="NetworkPolicy album differs from the bundle's"):
        await site.create(target)


async def test_what_is_empty_is_left_out_and_what_is_chosen_filled_in(anywhere: World) -> None:
    site = anywhere.staging

    def edit(manifest: Manifest) -> None:
        for one in (nothing_goes_out, chosen_by_no_label, written_out_defaults, binary_file):
            one(manifest)
        if manifest["kind"] == "NetworkPolicy":
            del manifest["spec"]["policyTypes"]

    target = await anywhere.target(site, await anywhere.bundle("v1", edit=edit))
    await site.serve(target)
    policy = site.must("NetworkPolicy", "album")["spec"]
    assert (policy["podSelector"], policy["policyTypes"]) == ({}, ["Ingress"])
    assert "egress" not in policy
    service = site.must("Service", "album")["spec"]
    assert service["clusterIP"]
    assert not service.keys() & {"publishNotReadyAddresses", "externalIPs"}
    config = site.must("ConfigMap", f"album-config-{target.bundle.short}")
    assert config["binaryData"] == {"icon": BINARY.replace("\n", "")}
