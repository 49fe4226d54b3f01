from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, cast

import pytest

from domain.checks import ChecksReport, HttpCheck
from domain.errors import PermanentFailure, TransientFailure
from domain.steps import CheckRevision, RevisionRequest
from tests.support.platform_world import SandboxWorld
from tests.support.sandbox import eventually

HEALTH, ALBUMS = HttpCheck(path="/health"), HttpCheck(path="/api/v1/albums", contains="album")


async def created(world: SandboxWorld) -> RevisionRequest:
    """v1 is up in staging, without a route."""
    target = await world.target(world.staging, await world.bundle("v1"))
    await world.staging.create(target)
    return target


async def checked(
    world: SandboxWorld, target: RevisionRequest, *checks: HttpCheck, attempt: int = 1
) -> ChecksReport:
    request = CheckRevision(target=target, suite="smoke", checks=checks)
    answer = await world.staging.do("check_revision", request, attempt=attempt)
    return cast(ChecksReport, answer)


async def test_a_revision_answers_through_its_own_service_before_any_user_comes(
    world: SandboxWorld,
) -> None:
    target = await created(world)
    report = await checked(world, target, HEALTH, ALBUMS)
    assert report.passed
    assert report.sentence.startswith("2 smoke checks passed, slowest ")
    proxied = [one for one in world.staging.outside.asked() if one.resource == "services/proxy"]
    assert {one.name for one in proxied} == {f"{target.revision}:8219"}
    assert world.staging.users()["requests"] == 0


async def test_the_revision_asked_is_the_one_that_answers_with_its_own_configuration(
    world: SandboxWorld,
) -> None:
    stable = await world.serving(world.staging)
    target = await world.target(world.staging, await world.bundle("v2"), stable)
    await world.staging.create(target)
    mine = HttpCheck(path="/api/v1/albums", contains='"ALBUM_PAGE_SIZE": "50"')
    assert (await checked(world, target, mine)).passed
    theirs = HttpCheck(path="/api/v1/albums", contains='"ALBUM_PAGE_SIZE": "20"')
    assert not (await checked(world, target, theirs)).passed


@pytest.mark.parametrize(
    ("check", "problem"),
    [
        ({"path": "/health", "status": 418}, "/health answered 200, expected 418"),
        ({"path": "/health", "contains": "moon"}, "/health body does not contain 'moon'"),
        ({"path": "/health", "within": "1ms"}, r"/health took \d+.*ms, limit 1ms"),
    ],
)
async def test_what_differs_is_named(world: SandboxWorld, check: Any, problem: str) -> None:
    report = await checked(world, await created(world), HEALTH, HttpCheck.model_validate(check))
    assert not report.passed
    assert re.fullmatch(f"smoke: {problem}", report.sentence), report.sentence


async def test_an_error_of_the_version_fails_the_check(world: SandboxWorld) -> None:
    target = await created(world)
    await world.fault(world.staging, target.revision, "errors=100%")
    report = await checked(world, target, HEALTH, ALBUMS)
    assert report.sentence == "smoke: /api/v1/albums answered 500, expected 200"


async def test_a_revision_without_a_ready_pod_is_asked_again_before_it_fails(
    world: SandboxWorld,
) -> None:
    target = await created(world)
    await world.fault(world.staging, target.revision, "unready")
    await eventually(lambda: world.staging.ready(target.revision) == 0, "nobody is ready")
    with pytest.raises(TransientFailure):
        await checked(world, target, HEALTH)
    with pytest.raises(TransientFailure):
        await checked(world, target, HEALTH, attempt=2)
    report = await checked(world, target, HEALTH, attempt=3)
    assert report.sentence == "smoke: /health did not answer"
    assert report.results[0].elapsed == timedelta(seconds=1)


async def test_a_revision_that_does_not_exist_cannot_be_checked(world: SandboxWorld) -> None:
    target = await world.target(world.staging, await world.bundle("v1"))
    with pytest.raises(PermanentFailure, match=f"Service {target.revision} does not exist"):
        await checked(world, target, HEALTH)


async def test_nothing_to_check_has_passed(world: SandboxWorld) -> None:
    assert (await checked(world, await created(world))).passed
