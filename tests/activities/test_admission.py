"""What the API server refuses beyond our own requests: pods that it lets nobody create."""

from __future__ import annotations

import pytest

from domain.revision import Manifest
from tests.support.real_world import RealWorld

pytestmark = pytest.mark.real


async def test_pods_over_the_quota_are_reported_with_the_quota(real_world: RealWorld) -> None:
    site = real_world.staging
    site.outside.add("ResourceQuota", "small", {"hard": {"pods": "1"}})
    bundle = await real_world.bundle("v1", edit=impatient)
    created = await site.create(await real_world.target(site, bundle))
    assert not created.healthy
    assert "exceeded quota: small" in created.sentence


async def test_pods_that_the_namespaces_security_forbids_are_reported_with_the_reason(
    real_world: RealWorld,
) -> None:
    site = real_world.staging
    site.outside.label({"pod-security.kubernetes.io/enforce": "restricted"})
    bundle = await real_world.bundle("v1", edit=as_root)
    created = await site.create(await real_world.target(site, bundle))
    assert not created.healthy
    assert 'violates PodSecurity "restricted' in created.sentence


def impatient(manifest: Manifest) -> None:
    if manifest["kind"] == "Deployment":
        manifest["spec"]["progressDeadlineSeconds"] = 1


def as_root(manifest: Manifest) -> None:
    impatient(manifest)
    if manifest["kind"] == "Deployment":
        manifest["spec"]["template"]["spec"]["securityContext"] = {"runAsUser": 0}
