"""The declared load of a quiet canary: who is asked, how often, and when it stops."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, cast

import pytest

from domain.errors import PermanentFailure
from domain.load import LoadReport, SendLoad, Tally
from domain.plan import CanaryPlan
from domain.steps import RevisionRequest
from tests.support.platform_world import SandboxWorld
from tests.support.sandbox import eventually

# All but the last requests of a load of 60 were sent by a worker that is lost.
BEFORE = LoadReport(canary=Tally(sent=20), stable=Tally(sent=20))


async def quiet_canary(world: SandboxWorld, weight: int = 50, **load: Any) -> RevisionRequest:
    """v2 with this share beside v1, and a plan that declares a load for it; nobody comes."""
    await world.tell("POST", "traffic", {"production": 0})
    declared = {"path": "/api/v1/albums", "rate": 10, **load}
    canary = {"on_quiet": "synthetic", "load": declared}
    world.plan = world.plan.with_(canary=CanaryPlan.model_validate(canary))
    stable = await world.serving(world.production)
    target = await world.target(world.production, await world.bundle("v2"), stable)
    await world.production.create(target, weight)
    await world.production.shift(target, weight)
    return target


async def sent(
    world: SandboxWorld, target: RevisionRequest, weight: int = 50, **named: Any
) -> LoadReport:
    request = SendLoad(target=target, weight=weight)
    return cast(LoadReport, await world.production.do("send_load", request, **named))


def asked(world: SandboxWorld) -> Counter[str]:
    """How often each Service was asked through the API server."""
    return Counter(
        one.name.partition(":")[0]
        for one in world.production.outside.asked()
        if one.resource == "services/proxy"
    )


async def test_both_arms_are_asked_as_users_are_and_a_lost_workers_part_is_not_sent_again(
    world: SandboxWorld,
) -> None:
    target = await quiet_canary(world)
    assert target.stable is not None
    before, beats = asked(world), len(world.production.heartbeats)
    begun = asyncio.get_running_loop().time()
    report = await sent(world, target, details=[BEFORE])
    assert asyncio.get_running_loop().time() - begun >= 20 / 10
    assert (report.canary.sent, report.stable.sent, report.sent) == (30, 30, 60)
    assert (report.canary.unexpected, report.stable.unexpected) == (0, 0)
    fresh = asked(world) - before
    assert fresh == {target.revision: 10, target.stable.revision: 10}
    assert len(world.production.heartbeats) > beats


async def test_a_canary_that_has_everybody_is_asked_alone(world: SandboxWorld) -> None:
    target = await quiet_canary(world, 100)
    before = asked(world)
    alone = LoadReport(canary=Tally(sent=55))
    assert (await sent(world, target, 100, details=[alone])).canary.sent == 60
    assert asked(world) - before == {target.revision: 5}


async def test_nothing_is_sent_without_an_approval_or_a_declaration(world: SandboxWorld) -> None:
    target = await quiet_canary(world)
    before = asked(world)
    with pytest.raises(PermanentFailure, match="shows no approval for production"):
        await sent(world, target.with_(proof=None))
    world.plan = world.plan.with_(canary=CanaryPlan())
    silent = await world.target(world.production, await world.bundle("v3"), target.stable)
    with pytest.raises(PermanentFailure, match=r"declares no canary\.load"):
        await sent(world, silent)
    assert asked(world) == before


async def test_a_load_that_is_answered_otherwise_is_stopped_and_told(world: SandboxWorld) -> None:
    target = await quiet_canary(world, status=404)
    before = asked(world)
    with pytest.raises(PermanentFailure, match=r"0 of 7 answered as declared, last: answered 200"):
        await sent(world, target)
    assert (asked(world) - before).total() <= 14


async def test_a_cancelled_load_sends_no_more(world: SandboxWorld) -> None:
    target = await quiet_canary(world)
    before = asked(world)
    sending = asyncio.create_task(sent(world, target))
    await eventually(lambda: bool(asked(world) - before), "the load has begun")
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    after = asked(world)
    await asyncio.sleep(0.3)
    assert asked(world) == after
