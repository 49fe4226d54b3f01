"""What an observation asks is believed only as far as the approved bundle's plan says it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from activities import plan_check
from domain.canary import known_of_stable
from domain.errors import PermanentFailure
from domain.judge.known import LastKnown
from domain.judge.verdict import Reason, Verdict
from domain.metrics.plan import MetricsPlan
from domain.steps import ObserveStep
from domain.traffic import TrafficSplit
from tests.activities.test_canary import (
    beats,
    canary_at,
    observed,
    recomputed,
    seldom_wrong,
    step,
)
from tests.support.platform_world import SandboxWorld
from tests.support.sandbox import eventually

SHORT = timedelta(seconds=3)
# For a promotion, on a machine that is busy with other tests.
ENOUGH = timedelta(seconds=10)
UNVERIFIED = (Verdict.HOLD, Reason.plan_unverified)


async def test_rules_that_are_not_the_plans_are_refused_and_each_is_named(
    world: SandboxWorld,
) -> None:
    """By these a canary that fails 20 % would never be rolled back."""
    target = await canary_at(world, 10)
    await world.fault(world.production, target.revision, "errors=20%")
    asked = step(world, target, 10, watch=True)
    blind = {"alpha": 1e-300, "limits": {"errors": 0.9, "slow": 0.9}}
    forged = asked.with_(
        rules=asked.rules.model_copy(update=blind),
        slow_above=timedelta(hours=1),
        block=timedelta(seconds=1),
        metrics=MetricsPlan(slow=False),
    )
    with pytest.raises(PermanentFailure) as refused:
        await observed(world, forged)
    for name in ("alpha: given 1e-300", "limits: given", "slow_above: given 1:00:00", "metrics:"):
        assert name in str(refused.value)
    assert "block: given 0:00:01, the plan says 0:00:00.1" in str(refused.value)
    assert f"the plan of {target.bundle} says" in str(refused.value)


async def test_a_lax_plan_of_another_bundle_helps_nobody(world: SandboxWorld) -> None:
    """Approved was the bundle that the evidence names."""
    target = await canary_at(world, 10)
    lax = await world.bundle("v2", limits=world.plan.limits.with_(errors=0.9))
    observation = await observed(world, step(world, target.with_(bundle=lax), 10, length=SHORT))
    assert observation.judgement.verdict is Verdict.HOLD


class Away:
    """The policy's repository, moved away and back."""

    def __init__(self, world: SandboxWorld) -> None:
        self._path: Path = world.policy.worktree.path
        self._there = self._path.with_name("moved-away")
        world.lose_policy()

    def back(self) -> None:
        self._there.rename(self._path)


class TestPlanThatCannotBeRead:
    """It is looked on by the given rules: they may roll back, they never promote."""

    async def test_a_good_canary_is_held_people_are_told_why_and_it_goes_on_afterwards(
        self, world: SandboxWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(plan_check, "LONGEST_PAUSE", timedelta(milliseconds=500))
        target = await canary_at(world, 10)
        policy = Away(world)
        asked = step(world, target, 10).with_(tells=True)
        held = await observed(world, asked)
        assert ((held.judgement.verdict, held.judgement.reason), held.early) == (UNVERIFIED, True)
        why = f"Holding: the plan of {target.bundle} cannot be verified: there is no repository at"
        assert held.judgement.sentence.startswith(why)
        assert "the judge would else say: Promoted" in held.judgement.sentence
        assert await recomputed(world, target, held) == held.judgement

        # Nothing is told twice, and the same look goes on when the plan can be read again.
        known = asked.with_(told=Reason.plan_unverified, state=held.state)
        observing = asyncio.create_task(observed(world, known))
        seen = len(beats(world))
        await eventually(lambda: len(beats(world)) > seen + 10, "it looks on")
        assert not observing.done()
        policy.back()
        assert (await observing).judgement.verdict is Verdict.PROMOTE

    async def test_who_does_not_ask_hears_it_at_the_end(self, world: SandboxWorld) -> None:
        target = await canary_at(world, 10)
        world.lose_policy()
        asked = step(world, target, 10, length=ENOUGH)
        judgement = (await observed(world, asked)).judgement
        assert (judgement.verdict, judgement.reason) == UNVERIFIED

    async def test_a_bad_canary_is_rolled_back(self, world: SandboxWorld) -> None:
        target = await canary_at(world, 10)
        world.lose_policy()
        await world.fault(world.production, target.revision, "errors=20%")
        judgement = (await observed(world, step(world, target, 10))).judgement
        assert judgement.verdict is Verdict.ROLL_BACK

    async def test_one_that_never_answers_is_given_up_for_now_and_told(
        self, world: SandboxWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(plan_check, "READ_WITHIN", timedelta(milliseconds=1))
        target = await canary_at(world, 10)
        held = await observed(world, step(world, target, 10).with_(tells=True))
        assert (held.judgement.verdict, held.judgement.reason) == UNVERIFIED
        assert "cannot be verified: no answer within 0.001 s" in held.judgement.sentence


async def test_at_100_percent_the_clusters_word_is_enough_whoever_approved_is_gone(
    world: SandboxWorld,
) -> None:
    seldom_wrong(world)
    target = await world.target(world.production, await world.bundle("v2"))
    await world.production.serve(target)
    people = tuple(one for one in world.policy.policy.people if one.principal != "ben")
    world.policy.change(people=people)
    judgement = (await observed(world, step(world, target, 100))).judgement
    assert judgement.verdict is Verdict.PROMOTE
    # Of another bundle the cluster says no such thing.
    other = target.with_(bundle=await world.bundle("v1"))
    held = (await observed(world, step(world, other, 100, length=SHORT))).judgement
    assert held.verdict is Verdict.HOLD


async def test_below_100_percent_an_approval_that_counts_no_more_holds(
    world: SandboxWorld,
) -> None:
    target = await canary_at(world, 10)
    people = tuple(one for one in world.policy.policy.people if one.principal != "ben")
    world.policy.change(people=people)
    held = (await observed(world, step(world, target, 10, length=ENOUGH))).judgement
    assert (held.verdict, held.reason) == UNVERIFIED
    assert "the SSH signature was made by the unknown key" in held.sentence


async def test_the_plan_is_read_once_however_often_is_looked(world: SandboxWorld) -> None:
    target = await canary_at(world, 10)
    requests, plan = world.platform.registry.requests, f"/manifests/{target.bundle.digest}"
    before = requests.count("GET", plan)
    await observed(world, step(world, target, 10, watch=True, length=SHORT))
    assert len(beats(world)) > 10
    # Once for the rules, once where the verdict is put beside it.
    assert requests.count("GET", plan) == before + 2


async def test_in_the_watch_a_raised_bar_is_believed_by_a_stored_verdict_alone(
    world: SandboxWorld,
) -> None:
    """Stable was over the limit: then so may the new revision be, as far as it is known."""
    target = await canary_at(world, 50)
    assert target.stable is not None
    old = TrafficSplit.step(50, target.revision, target.stable.revision)
    for revision in (target.revision, target.stable.revision):
        await world.fault(world.production, revision, "errors=40%")
    beside = (await observed(world, step(world, target, 50, length=SHORT))).state
    known = known_of_stable(beside)
    assert known["errors"].over
    await world.production.shift(target, 100, old)
    await world.production.do("point_entry", target)
    step_100 = by_known(step(world, target, 100, length=SHORT, state=beside), known)
    watch = by_known(step(world, target, 100, length=SHORT, watch=True), known)
    with pytest.raises(PermanentFailure, match="no stored verdict of release-album-1 counted that"):
        await observed(world, watch)
    assert (await observed(world, step_100)).judgement.reason is Reason.as_before
    again = by_known(step(world, target, 100, length=SHORT, watch=True), known)
    assert (await observed(world, again)).judgement.reason is Reason.as_before


def by_known(asked: ObserveStep, known: dict[str, LastKnown]) -> ObserveStep:
    return asked.with_(rules=asked.rules.model_copy(update={"last_known": known}))
