from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from activities.failures import NotYet
from domain.errors import TransientFailure
from domain.soak import SoakWindow
from domain.steps import EarnWindow, RevisionRequest
from tests.support.platform_world import SandboxWorld, running_site
from tests.support.sandbox import eventually
from tests.support.site import Site
from tests.support.world import PRODUCTION, STAGING

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
LENGTH = timedelta(seconds=1)
SHORTLY = timedelta(milliseconds=300)


async def soaking(world: SandboxWorld) -> RevisionRequest:
    """v1 serves staging."""
    target = await world.target(world.staging, await world.bundle("v1"))
    await world.staging.serve(target)
    return target


def window(
    world: SandboxWorld,
    target: RevisionRequest,
    starts_at: datetime | None = None,
    length: timedelta = LENGTH,
) -> EarnWindow:
    return EarnWindow(
        target=target, starts_at=starts_at or datetime.now(UTC), length=length, plan=world.plan
    )


async def earned(world: SandboxWorld, request: EarnWindow) -> SoakWindow:
    """The window's answer, asked again when the activity says so, as Temporal does."""
    while True:
        try:
            return cast(SoakWindow, await world.staging.do("earn_window", request))
        except NotYet:
            """Its delays are those of a scrape at most."""


async def test_a_healthy_window_is_earned(world: SandboxWorld) -> None:
    target = await soaking(world)
    before = world.staging.users()["requests"]
    answer = await earned(world, window(world, target))
    assert answer == SoakWindow(length=LENGTH, healthy=True, sentence="healthy")
    assert world.staging.users()["requests"] > before


async def test_a_window_that_lasts_is_asked_for_again_when_it_ends(world: SandboxWorld) -> None:
    target = await soaking(world)
    with pytest.raises(NotYet, match="the window ends in 59m") as later:
        await world.staging.do("earn_window", window(world, target, length=HOUR))
    assert timedelta(minutes=59) < later.value.delay <= HOUR


async def errors(world: SandboxWorld, target: RevisionRequest) -> None:
    await world.tell("POST", "traffic", {"staging": 20})
    await world.fault(world.staging, target.revision, "errors=20%")


async def slowness(world: SandboxWorld, target: RevisionRequest) -> None:
    await world.tell("POST", "traffic", {"staging": 20})
    await world.fault(world.staging, target.revision, "latency=10x")


async def crashes(world: SandboxWorld, target: RevisionRequest) -> None:
    await world.fault(world.staging, target.revision, "crash")
    await eventually(lambda: world.staging.ready(target.revision) == 0, "the pods crash")


async def disappearance(world: SandboxWorld, target: RevisionRequest) -> None:
    world.staging.remove("Deployment", target.revision)


@pytest.mark.parametrize(
    ("misfortune", "sentence"),
    [
        (errors, r"\d+ of \d+ requests errors \(\d+.*%, limit 1%\)"),
        (slowness, r"\d+ of \d+ requests slow \(\d+.*%, limit 5%\)"),
        (crashes, r"album-[0-9a-f]+: (pod .* crashed \d+ times|0 of 2 pods ready)"),
        (disappearance, r"album-[0-9a-f]+ is gone from staging"),
    ],
)
async def test_an_unhealthy_window_is_not_earned_and_says_why(
    world: SandboxWorld,
    misfortune: Callable[[SandboxWorld, RevisionRequest], Awaitable[None]],
    sentence: str,
) -> None:
    target = await soaking(world)
    await misfortune(world, target)
    answer = await earned(world, window(world, target))
    assert not answer.healthy
    assert re.search(sentence, answer.sentence), answer.sentence


async def test_a_restart_in_the_window_counts_although_the_pod_is_ready_again(
    world: SandboxWorld,
) -> None:
    site = world.staging
    target = await soaking(world)
    request = window(world, target, datetime.now(UTC) - SHORTLY)  # scraped once since it began
    pod = site.outside.list("Pod")[0]["metadata"]["name"]
    site.edit("Pod", pod, lambda one: one["status"]["containerStatuses"][0].update(restartCount=1))
    answer = await earned(world, request)
    assert site.ready(target.revision) == 2
    assert answer == SoakWindow(length=LENGTH, healthy=False, sentence="1 container restarts")


async def test_a_quiet_hour_counts(world: SandboxWorld) -> None:
    target = await soaking(world)
    await world.tell("POST", "traffic", {"staging": 0})
    assert (await earned(world, window(world, target))).healthy


@asynccontextmanager
async def misconfigured(world: SandboxWorld) -> AsyncIterator[Site]:
    """Staging's activities beside a Prometheus that does not know staging's pods."""
    production = world.settings.cluster(PRODUCTION).prometheus
    places = world.settings.environments
    wrong = {**places, STAGING: places[STAGING].with_(prometheus=production)}
    async with running_site(
        STAGING, world.settings.with_(environments=wrong), world.registry, world.platform
    ) as site:
        yield site


async def test_a_window_without_any_metrics_is_waited_for_and_then_not_earned(
    world: SandboxWorld,
) -> None:
    target = await soaking(world)
    just_over = window(world, target, datetime.now(UTC) - HOUR, HOUR)
    long_over = window(world, target, datetime.now(UTC) - HOUR - 2 * MINUTE, HOUR)
    async with misconfigured(world) as site:
        with pytest.raises(NotYet, match=f"no metrics of {target.revision} yet"):
            await site.do("earn_window", just_over)
        answer = await site.do("earn_window", long_over)
    assert not answer.healthy
    assert answer.sentence.startswith(f"no metrics of {target.revision}")


async def test_prometheus_out_of_reach_is_waited_for(world: SandboxWorld) -> None:
    target = await soaking(world)
    await world.tell("POST", "outage", {"system": "prometheus"})
    request = window(world, target, datetime.now(UTC) - MINUTE, MINUTE)
    with pytest.raises(TransientFailure, match="503"):
        await world.staging.do("earn_window", request)
    await world.tell("DELETE", "outage")
    assert (await earned(world, request)).healthy
