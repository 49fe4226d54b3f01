from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from activities import canary
from activities.canary import Progress
from clients.registry import Registry
from domain.canary import RESTARTS, judge_rules, known_of_stable
from domain.commands import AcceptedCommand, CommandName, Statement
from domain.errors import PermanentFailure, TransientFailure
from domain.holds import Hold
from domain.judge.counts import Block
from domain.judge.decision import judge
from domain.judge.rules import Control
from domain.judge.state import JudgeState
from domain.judge.verdict import Judgement, Reason, Verdict
from domain.metrics.plan import MetricsPlan
from domain.observed import BlockChunk, ObservedBlocks, begin, recompute
from domain.phases import Phase
from domain.steps import (
    Observation,
    ObserveStep,
    PersonsPromotion,
    RefusedPromotion,
    RevisionRequest,
)
from domain.traffic import TrafficSplit
from tests.support.live_counters import LiveCounters, live_counters
from tests.support.platform_world import SandboxSite, SandboxWorld, running_site
from tests.support.registry import Front, answering
from tests.support.release_records import NOON
from tests.support.sandbox import eventually
from tests.support.world import PRODUCTION, SPEED

LONG = timedelta(seconds=30)
TRAEFIK_REQUESTS = "traefik_service_requests_total"


def seldom_wrong(world: SandboxWorld, **sections: Any) -> None:
    """The judge's false alarms are its own tests' business: here there are next to none."""
    world.policy.tighten(alpha=1e-6, deadline=timedelta(seconds=1))
    quiet = world.plan.canary.with_(alpha=1e-6)
    world.plan = world.plan.with_(**{"canary": quiet, **sections})


async def canary_at(world: SandboxWorld, weight: int, **sections: Any) -> RevisionRequest:
    """v2 with this share beside v1."""
    seldom_wrong(world, **sections)
    stable = await world.serving(world.production)
    target = await world.target(world.production, await world.bundle("v2"), stable)
    await world.production.create(target, weight)
    await world.production.shift(target, weight)
    return target


def step(
    world: SandboxWorld,
    target: RevisionRequest,
    weight: int,
    *,
    length: timedelta = LONG,
    state: JudgeState | None = None,
    watch: bool = False,
) -> ObserveStep:
    now = datetime.now(UTC)
    return ObserveStep(
        target=target,
        weight=weight,
        rules=judge_rules(world.plan, weight, has_stable=target.stable is not None),
        since=now,
        ends_at=now + length,
        block=world.plan.pace.block,
        slow_above=world.plan.limits.p95,
        metrics=world.plan.metrics,
        state=state,
        watch=watch,
    )


async def observed(world: SandboxWorld, request: ObserveStep, *details: Progress) -> Observation:
    answer = await world.production.do("observe_step", request, details=details)
    return cast(Observation, answer)


def beats(world: SandboxWorld) -> list[Progress]:
    """What the heartbeats of observing carried."""
    return [beat[0] for beat in world.production.heartbeats if isinstance(beat[0], Progress)]


async def recorded(
    world: SandboxWorld, target: RevisionRequest, record: ObservedBlocks
) -> tuple[Block, ...]:
    """Every block of a record, those of its chunks first."""
    chunks = [
        await world.archive.load_record(target.bundle, one, BlockChunk) for one in record.earlier
    ]
    return (*(block for chunk in chunks for block in chunk.blocks), *record.blocks)


async def recomputed(
    world: SandboxWorld, target: RevisionRequest, observation: Observation
) -> Judgement:
    """What an auditor gets from the stored record alone."""
    assert observation.record is not None
    record = await world.archive.load_record(target.bundle, observation.record, ObservedBlocks)
    chunks = [
        await world.archive.load_record(target.bundle, one, BlockChunk) for one in record.earlier
    ]
    again = recompute(record, (block for chunk in chunks for block in chunk.blocks))
    assert again.differences == ()
    assert again.state == observation.state
    return again.judgement


async def test_a_metric_that_appears_at_a_later_step_does_not_begin_the_evidence_anew(
    world: SandboxWorld,
) -> None:
    target = await canary_at(world, 10)
    first = await observed(world, step(world, target, 10))
    kept = {name: one for name, one in first.state.metrics.items() if name != RESTARTS}
    uncounted = first.state.model_copy(update={"metrics": kept})
    second = await observed(world, step(world, target, 10, state=uncounted))
    assert second.state.rollout_blocks > first.state.rollout_blocks
    assert set(second.state.metrics) == set(kept)
    assert await recomputed(world, target, second) == second.judgement


async def test_a_good_canary_is_promoted_by_evidence(world: SandboxWorld) -> None:
    target = await canary_at(world, 10)
    observation = await observed(world, step(world, target, 10))
    judgement = observation.judgement
    assert judgement.verdict is Verdict.PROMOTE
    assert judgement.reason in (Reason.relative, Reason.within_limit)
    counts = judgement.counts["errors"]
    share = counts.canary_requests / (counts.canary_requests + counts.stable_requests)
    assert share == pytest.approx(0.1, abs=0.04)  # by Prometheus, as the route says
    assert counts.stable_requests < world.production.users()["requests"]


async def test_a_canary_with_five_percent_errors_is_rolled_back(world: SandboxWorld) -> None:
    target = await canary_at(world, 10)
    await world.fault(world.production, target.revision, "errors=5%")
    observation = await observed(world, step(world, target, 10))
    judgement = observation.judgement
    assert (judgement.verdict, judgement.reason) == (Verdict.ROLL_BACK, Reason.worse)
    assert judgement.metric == "errors"
    users = world.production.users()["by_revision"][target.revision]
    counts = judgement.counts["errors"]
    assert 0 < counts.canary_bad <= users["failed"]


async def test_a_canary_three_times_as_slow_as_the_limit_is_rolled_back(
    world: SandboxWorld,
) -> None:
    target = await canary_at(world, 10)
    await world.fault(world.production, target.revision, "latency=10x")
    judgement = (await observed(world, step(world, target, 10))).judgement
    assert (judgement.verdict, judgement.metric) == (Verdict.ROLL_BACK, "slow")


async def test_a_first_release_is_judged_by_the_limits_alone(world: SandboxWorld) -> None:
    seldom_wrong(world)
    site = world.production
    target = await world.target(site, await world.bundle("v2"))
    await site.serve(target)
    judgement = (await observed(world, step(world, target, 100))).judgement
    assert (judgement.verdict, judgement.reason) == (Verdict.PROMOTE, Reason.within_limit)
    assert judgement.counts["errors"].stable_requests == 0


async def test_the_stored_record_recomputes_to_the_same_judgement(world: SandboxWorld) -> None:
    target = await canary_at(world, 10)
    first = await observed(world, step(world, target, 10))
    assert await recomputed(world, target, first) == first.judgement
    # And for the next step, which carries the rollout's evidence on.
    stable = target.stable.revision if target.stable else None
    await world.production.shift(target, 50, TrafficSplit.step(10, target.revision, stable))
    second = await observed(world, step(world, target, 50, state=first.state))
    assert second.judgement.verdict is Verdict.PROMOTE
    assert await recomputed(world, target, second) == second.judgement


async def test_an_outage_of_prometheus_holds_and_observing_goes_on_after_it(
    world: SandboxWorld,
) -> None:
    target = await canary_at(world, 10)
    await world.tell("POST", "outage", {"system": "prometheus", "environment": "production"})
    request = step(world, target, 10)
    observing = asyncio.create_task(observed(world, request))
    silent = request.rules.silent_after
    await eventually(lambda: datetime.now(UTC) > request.since + 1.5 * silent, "it is silent")
    last = beats(world)[-1]
    assert last.blocks == ()
    held = judge(last.state, request.rules, 1.5 * silent)
    assert (held.verdict, held.reason) == (Verdict.HOLD, Reason.no_data)
    assert not observing.done()
    await world.tell("DELETE", "outage")
    assert (await observing).judgement.verdict is Verdict.PROMOTE


async def test_without_data_until_the_end_it_holds_and_its_record_recomputes(
    world: SandboxWorld,
) -> None:
    target = await canary_at(world, 10)
    await world.tell("POST", "outage", {"system": "prometheus"})
    short = step(world, target, 10, length=timedelta(seconds=2))
    observation = await observed(world, short)
    assert observation.judgement.verdict is Verdict.HOLD
    assert observation.judgement.reason is Reason.no_data
    assert "could not be used: Prometheus at http" in observation.judgement.sentence
    assert await recomputed(world, target, observation) == observation.judgement


async def test_a_long_watch_keeps_its_heartbeat_small_and_every_block_as_evidence(
    world: SandboxWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canary, "CHUNK_BLOCKS", 5)
    target = await canary_at(world, 10)
    request = step(world, target, 10, watch=True, length=timedelta(seconds=5))
    observation = await observed(world, request)
    assert max(len(beat.blocks) for beat in beats(world)) < 3 * 5
    assert observation.record is not None
    record = await world.archive.load_record(target.bundle, observation.record, ObservedBlocks)
    assert len(record.earlier) >= 3
    blocks = await recorded(world, target, record)
    assert len(blocks) >= 20
    assert [b.start for b in blocks[1:]] == [b.end for b in blocks[:-1]]
    assert await recomputed(world, target, observation) == observation.judgement


async def test_blocks_wait_in_the_heartbeat_while_the_registry_is_away(
    world: SandboxWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canary, "CHUNK_BLOCKS", 5)
    target = await canary_at(world, 10)
    request = step(world, target, 10, watch=True, length=timedelta(seconds=4))
    await world.tell("POST", "outage", {"system": "registry"})
    observing = asyncio.create_task(observed(world, request))
    await eventually(lambda: len(_blocks(world)) >= 8, "more than a chunk is judged")
    assert not beats(world)[-1].chunks
    await world.tell("DELETE", "outage")
    observation = await observing
    assert await recomputed(world, target, observation) == observation.judgement
    assert observation.state.step_blocks >= 8


async def test_rolling_back_does_not_wait_for_the_registry(world: SandboxWorld) -> None:
    target = await canary_at(world, 10)
    await world.fault(world.production, target.revision, "errors=20%")
    await world.tell("POST", "outage", {"system": "registry"})
    observation = await observed(world, step(world, target, 10))
    assert observation.judgement.verdict is Verdict.ROLL_BACK
    assert observation.record is None


async def test_nothing_is_promoted_before_its_evidence_is_stored(world: SandboxWorld) -> None:
    target = await canary_at(world, 10)
    observing = asyncio.create_task(observed(world, step(world, target, 10)))
    await eventually(lambda: len(_blocks(world)) >= 1, "its plan has been read")
    await world.tell("POST", "outage", {"system": "registry"})
    with pytest.raises(TransientFailure, match="verdict-10 cannot be stored"):
        await observing
    await world.tell("DELETE", "outage")
    last = beats(world)[-1]
    observation = await observed(world, step(world, target, 10, state=last.state))
    assert observation.judgement.verdict is Verdict.PROMOTE
    assert observation.record is not None


@asynccontextmanager
async def refused_by_the_registry(
    world: SandboxWorld, target: RevisionRequest, status: int
) -> AsyncIterator[tuple[SandboxSite, RevisionRequest]]:
    """Production's activities before a registry that takes nothing new, and the same target."""
    async with (
        Front(world.platform.registry.url).running() as front,
        Registry((*world.settings.registry.plain_http, front.address)) as registry,
        running_site(PRODUCTION, world.settings, registry, world.platform) as site,
    ):
        _, _, name = target.bundle.repository.partition("/")
        there = target.bundle.with_(repository=f"{front.address}/{name}")
        approved = await replace(world, registry=registry).approved(target.with_(bundle=there))
        front.rule = answering(status, where="/uploads")
        yield site, approved


async def test_a_registry_that_refuses_ends_no_watch_and_loses_no_rollback(
    world: SandboxWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canary, "CHUNK_BLOCKS", 5)
    target = await canary_at(world, 10)
    async with refused_by_the_registry(world, target, 403) as (site, refused):
        request = step(world, refused, 10, watch=True)
        observing = asyncio.create_task(site.do("observe_step", request))
        await eventually(
            lambda: any(len(beat[0].blocks) >= 8 for beat in site.heartbeats if beat),
            "more than a chunk is judged",
        )
        await world.fault(world.production, target.revision, "errors=20%")
        observation = await observing
    assert observation.judgement.verdict is Verdict.ROLL_BACK
    assert (observation.record, observation.early) == (None, False)


async def test_a_registry_that_refuses_is_waited_for_before_a_promotion(
    world: SandboxWorld,
) -> None:
    target = await canary_at(world, 10)
    async with refused_by_the_registry(world, target, 413) as (site, refused):
        with pytest.raises(TransientFailure, match=r"verdict-10 cannot be stored: .* answered 413"):
            await site.do("observe_step", step(world, refused, 10))


async def test_a_lost_worker_loses_no_block_and_counts_none_twice(world: SandboxWorld) -> None:
    target = await canary_at(world, 10)
    request = step(world, target, 10, watch=True, length=timedelta(seconds=4))
    observing = asyncio.create_task(observed(world, request))
    await eventually(lambda: len(_blocks(world)) >= 5, "some blocks are judged")
    observing.cancel()
    await asyncio.gather(observing, return_exceptions=True)
    last, seen = beats(world)[-1], len(beats(world))

    # The next worker starts where the heartbeat stood, also while nobody can tell it anything.
    await world.tell("POST", "outage", {"system": "prometheus"})
    resumed = asyncio.create_task(observed(world, request, last))
    await eventually(lambda: len(beats(world)) > seen, "the next worker's first heartbeat")
    assert beats(world)[seen] == last
    await world.tell("DELETE", "outage")
    observation = await resumed
    blocks = beats(world)[-1].blocks
    assert blocks[: len(last.blocks)] == last.blocks
    assert [b.start for b in blocks[1:]] == [b.end for b in blocks[:-1]]
    assert blocks[0].start == request.since
    counted = sum(block.counts["errors"].canary_requests for block in blocks)
    assert observation.state.metrics["errors"].rollout.canary_requests == counted
    assert observation.state.rollout_blocks == len(blocks)
    assert observation.state.warmed_blocks == request.rules.warm_up_blocks


async def test_blocks_that_do_not_fit_the_last_one_end_no_release(world: SandboxWorld) -> None:
    target = await canary_at(world, 10)
    request = step(world, target, 10)
    await eventually(lambda: datetime.now(UTC) > request.since + 3 * request.block, "time passes")
    fresh = begin(request)
    # As an older version left it, whose blocks were cut elsewhere.
    state = fresh.model_copy(update={"until": request.since + 0.5 * request.block})
    observation = await observed(world, request, Progress(state=state, after=request.since))
    assert observation.judgement.verdict is Verdict.PROMOTE
    assert await recomputed(world, target, observation) == observation.judgement


def _blocks(world: SandboxWorld) -> tuple[object, ...]:
    return beats(world)[-1].blocks if beats(world) else ()


async def test_a_watch_ends_when_it_is_over_and_not_before(world: SandboxWorld) -> None:
    target = await canary_at(world, 10)
    request = step(world, target, 10, watch=True, length=timedelta(seconds=3))
    observation = await observed(world, request)
    assert datetime.now(UTC) >= request.ends_at
    assert observation.judgement.verdict is not Verdict.ROLL_BACK
    assert observation.state.step_watched > 0.5 * timedelta(seconds=3)
    assert observation.record is not None
    assert observation.record.kind == "verdict-10-watch"


async def test_a_watch_ends_at_once_when_the_canary_gets_worse(world: SandboxWorld) -> None:
    target = await canary_at(world, 10)
    request = step(world, target, 10, watch=True, length=timedelta(minutes=10))
    observing = asyncio.create_task(observed(world, request))
    await eventually(lambda: len(_blocks(world)) >= 3, "it was healthy at first")
    await world.fault(world.production, target.revision, "errors=20%")
    assert (await observing).judgement.verdict is Verdict.ROLL_BACK


async def test_a_step_that_begins_by_an_earlier_clock_than_the_last_block_is_judged(
    world: SandboxWorld,
) -> None:
    target = await canary_at(world, 10)
    first = await observed(world, step(world, target, 10))
    assert first.state.until is not None
    behind = step(world, target, 10, state=first.state)
    behind = behind.with_(since=first.state.until - 0.3 * behind.block)
    assert (await observed(world, behind)).judgement.verdict is Verdict.PROMOTE


async def test_a_step_against_a_baseline_that_nobody_named_is_refused(world: SandboxWorld) -> None:
    target = await canary_at(world, 10)
    asked = step(world, target, 10)
    rules = asked.rules.model_copy(update={"control": Control.baseline})
    with pytest.raises(PermanentFailure, match="a baseline of its age, and the step names none"):
        await observed(world, asked.with_(rules=rules))


async def test_a_baseline_is_compared_with_where_the_rules_say_so(world: SandboxWorld) -> None:
    target = await canary_at(world, 10)
    assert target.stable is not None
    asked = step(world, target, 10)
    rules = asked.rules.model_copy(update={"control": Control.baseline})
    asked = asked.with_(rules=rules, baseline=target.stable.revision)
    judgement = (await observed(world, asked)).judgement
    assert judgement.verdict is Verdict.PROMOTE
    assert judgement.counts["errors"].stable_requests > 0


async def test_blocks_carry_histograms_and_where_there_are_several_pods_each_of_them(
    world: SandboxWorld,
) -> None:
    target = await canary_at(world, 50)
    observation = await observed(world, step(world, target, 50))
    assert observation.record is not None
    record = await world.archive.load_record(target.bundle, observation.record, ObservedBlocks)
    blocks = await recorded(world, target, record)
    last = blocks[-1]
    assert len(last.histograms["slow"].edges) >= 10
    assert last.pods is not None
    assert sum(last.pods.canary_requests) == last.counts["errors"].canary_requests
    assert len(observation.state.metrics["slow"].edges) >= 10
    assert await recomputed(world, target, observation) == observation.judgement


async def given_up(world: SandboxWorld, request: ObserveStep, *, when: str) -> Observation:
    """Observe until the heartbeat shows blocks, then cancel as a workflow does."""
    observing = asyncio.create_task(observed(world, request))
    await eventually(lambda: len(_blocks(world)) >= 3, when)
    world.production.give_up()
    return await observing


class TestHolds:
    """What people must hear of ends the observing early, once."""

    async def test_an_outage_is_told_within_one_stale_period_and_when_it_is_over(
        self, world: SandboxWorld
    ) -> None:
        target = await canary_at(world, 10)
        request = step(world, target, 10).with_(tells=True)
        silent = request.rules.silent_after
        await world.lose_metrics()
        blind = await observed(world, request)
        took = datetime.now(UTC) - request.since
        assert (blind.judgement.reason, blind.early) == (Reason.no_data, True)
        assert silent <= took < silent + timedelta(seconds=2)
        assert await recomputed(world, target, blind) == blind.judgement

        # The same step goes on with the same evidence, and says nothing twice.
        known = request.with_(told=Reason.no_data, state=blind.state)
        observing = asyncio.create_task(observed(world, known))
        await asyncio.sleep(0)
        await eventually(
            lambda: datetime.now(UTC) > request.since + 2 * silent, "it is still silent"
        )
        assert not observing.done()
        await world.tell("DELETE", "outage")
        over = await observing
        if over.early:
            assert over.judgement.reason is Reason.gathering
            over = await observed(world, request.with_(state=over.state))
        assert over.judgement.verdict is Verdict.PROMOTE
        assert over.state.since == request.since

    async def test_both_arms_bad_are_told_and_who_does_not_ask_hears_it_at_the_end(
        self, world: SandboxWorld
    ) -> None:
        target = await canary_at(world, 50)
        assert target.stable is not None
        for revision in (target.revision, target.stable.revision):
            await world.fault(world.production, revision, "errors=40%")
        quiet = step(world, target, 50, length=timedelta(seconds=3))
        first = await observed(world, quiet)
        assert (first.judgement.reason, first.early) == (Reason.both_bad, False)
        assert datetime.now(UTC) >= quiet.ends_at
        asked = step(world, target, 50).with_(tells=True, state=first.state, since=quiet.since)
        told = await observed(world, asked)
        assert (told.judgement.reason, told.early) == (Reason.both_bad, True)
        assert datetime.now(UTC) < asked.ends_at

    async def test_what_was_seen_before_it_was_given_up_is_not_lost(
        self, world: SandboxWorld
    ) -> None:
        target = await canary_at(world, 10)
        request = step(world, target, 10, watch=True)
        observation = await given_up(world, request, when="some blocks are judged")
        assert observation.early
        assert observation.state.rollout_blocks >= 3 - request.rules.warm_up_blocks
        assert observation.record is not None
        assert await recomputed(world, target, observation) == observation.judgement

    async def test_giving_up_does_not_wait_for_the_registry(
        self, world: SandboxWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(canary, "GIVEN_UP_WITHIN", timedelta(milliseconds=200))
        target = await canary_at(world, 10)
        await world.lose_registry()
        observation = await given_up(
            world, step(world, target, 10, watch=True), when="some blocks are judged"
        )
        assert (observation.early, observation.record) == (True, None)

    async def test_a_rollback_that_is_being_stored_when_it_is_given_up_is_still_one(
        self, world: SandboxWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(canary, "GIVEN_UP_WITHIN", timedelta(milliseconds=200))
        target = await canary_at(world, 10)
        await world.fault(world.production, target.revision, "errors=20%")
        request = step(world, target, 10, watch=True)
        await world.tell("POST", "outage", {"system": "registry", "mode": "hang"})
        observing = asyncio.create_task(observed(world, request))

        def decided() -> bool:
            state = beats(world)[-1].state if beats(world) else request.state
            elapsed = datetime.now(UTC) - request.since
            return state is not None and (
                judge(state, request.rules, elapsed).verdict is Verdict.ROLL_BACK
            )

        await eventually(decided, "the judge says roll back")
        assert not observing.done()
        world.production.give_up()
        observation = await observing
        assert observation.judgement.verdict is Verdict.ROLL_BACK
        assert (observation.early, observation.record) == (False, None)


HELD = Hold(phase=Phase.CANARY, weight=10, reason="stable_bad", sentence="...", since=NOON)


def promotion(
    world: SandboxWorld, target: RevisionRequest, by: str = "ben", **changes: object
) -> PersonsPromotion:
    """A person's promote of the step at 10 %, stated as changed and really signed."""
    now = datetime.now(UTC)
    statement = Statement(
        command=CommandName.PROMOTE,
        release=target.release_id,
        reason="because",
        expires_at=now + timedelta(minutes=5),
        held=HELD.name,
    )
    command = world.people.sign(statement.with_(**changes), by)
    person = AcceptedCommand(command=command, principal=by, verified=True, at=now)
    return PersonsPromotion(
        target=target, weight=10, watch=False, held=HELD, accepted=person, observation=None
    )


def unsigned(asked: PersonsPromotion) -> PersonsPromotion:
    command = asked.accepted.command.with_(signature=None)
    return asked.with_(accepted=asked.accepted.with_(command=command))


class TestPersonsPromotion:
    """What a person promoted is kept, and only what a person who may has signed."""

    async def test_a_persons_promote_is_kept_in_the_registry(self, world: SandboxWorld) -> None:
        target = await canary_at(world, 10)
        asked = promotion(world, target)
        reference = await world.production.do("record_promotion", asked)
        assert (reference.kind, reference.sentence) == ("promotion-10", "promoted by ben: because")
        assert await world.archive.load_record(target.bundle, reference, PersonsPromotion) == asked

    async def test_a_promote_that_nobody_signed_for_this_hold_is_refused(
        self, world: SandboxWorld
    ) -> None:
        target = await canary_at(world, 10)
        good = promotion(world, target)
        assert target.proof is not None
        unapproved = target.with_(proof=target.proof.with_(approvals=()))
        other = HELD.with_(weight=50).name
        forged = [
            (unsigned(good), "the promote by ben is not signed by its key"),
            (
                good.with_(accepted=good.accepted.with_(principal="carla")),
                "the promote by carla is not signed by its key",
            ),
            (promotion(world, target, "mallory"), "made by the unknown key SHA256:"),
            (promotion(world, target, command=CommandName.SKIP_SOAK), "ben signed skip-soak of"),
            (promotion(world, target, release="release-album-9"), "ben signed promote of release"),
            (promotion(world, target, held=other), "about canary 50 % stable_bad since .*, not"),
            (promotion(world, target, held=None), "about None, not promote of release-album-1"),
            (good.with_(weight=50), "of canary 10 % .*, not of canary 50 %"),
            (good.with_(watch=True), "of canary 10 % .*, not of watch 10 %"),
            (good.with_(target=unapproved), r"1 more approval\(s\) of 1 needed"),
            (good.with_(target=target.with_(proof=None)), "shows no approval for production"),
        ]
        for asked, why in forged:
            with pytest.raises(PermanentFailure, match=why):
                await world.production.do("record_promotion", asked)

    async def test_one_that_counts_no_more_is_refused_and_is_no_broken_machine(
        self, world: SandboxWorld
    ) -> None:
        target = await canary_at(world, 10)
        late = [
            (promotion(world, target, expires_at=NOON), "the signature expired at 2026-03-01"),
            (promotion(world, target, "carla"), "carla does not have the role release-manager"),
            (promotion(world, target, "dana"), "dana wrote part of this change"),
            (promotion(world, target, reason=" "), "promote needs a reason"),
        ]
        for asked, why in late:
            answer = await world.production.do("record_promotion", asked)
            assert isinstance(answer, RefusedPromotion), answer
            assert why in answer.why

    async def test_it_expires_by_when_it_was_to_be_stored_and_not_by_the_workflows_word(
        self, world: SandboxWorld
    ) -> None:
        """A registry's outage makes nothing expire; a backdated acceptance saves nothing."""
        target = await canary_at(world, 10)
        expiry, second = datetime.now(UTC) - timedelta(minutes=1), timedelta(seconds=1)
        asked = promotion(world, target, expires_at=expiry)
        backdated = asked.with_(accepted=asked.accepted.with_(at=expiry - timedelta(hours=1)))
        late = await world.production.do("record_promotion", backdated, scheduled=expiry + second)
        assert isinstance(late, RefusedPromotion)
        assert late.why.startswith("the signature expired at ")
        retried = await world.production.do(
            "record_promotion", asked, attempt=9, scheduled=expiry - second
        )
        assert retried.kind == "promotion-10"


async def test_a_first_release_that_nobody_asks_is_quiet_and_not_without_data(
    world: SandboxWorld,
) -> None:
    seldom_wrong(world)
    await world.tell("POST", "traffic", {"production": 0})
    site = world.production
    target = await world.target(site, await world.bundle("v2"))
    await site.serve(target)
    request = step(world, target, 100, length=timedelta(seconds=8))
    judgement = (await observed(world, request)).judgement
    assert (judgement.verdict, judgement.reason) == (Verdict.HOLD, Reason.no_traffic)
    assert judgement.counts["errors"].canary_requests == 0


TRAEFIK = MetricsPlan(template="traefik")


async def first_by_traefik(world: SandboxWorld, counters: LiveCounters) -> Observation:
    """What is said of a first release that Traefik, which the source knows, counts."""
    metrics = TRAEFIK
    places = world.settings.environments
    own = places[PRODUCTION].with_(prometheus=counters.url)
    settings = world.settings.with_(environments={**places, PRODUCTION: own})
    async with running_site(PRODUCTION, settings, world.registry, world.platform) as site:
        at_once = {"deadline": SPEED * timedelta(seconds=2), "extensions": 0}
        seldom_wrong(world, metrics=metrics, canary=world.plan.canary.with_(**at_once))
        target = await world.target(site, await world.bundle("v2"))
        await site.serve(target)
        request = step(world, target, 100, length=timedelta(seconds=3))
        return cast(Observation, await site.do("observe_step", request))


async def test_nor_is_one_that_a_proxy_counts_while_it_counts_other_services_there(
    world: SandboxWorld,
) -> None:
    async with live_counters(TRAEFIK_REQUESTS) as counters:
        counters.only = "production-(svc-)?.+-["  # of other Services: of its own there is nothing
        judgement = (await first_by_traefik(world, counters)).judgement
    assert (judgement.verdict, judgement.reason) == (Verdict.HOLD, Reason.no_traffic)
    assert judgement.counts["errors"].canary_requests == 0


async def test_values_that_are_no_counts_are_no_data_and_stored_with_the_verdict(
    world: SandboxWorld,
) -> None:
    async with live_counters(TRAEFIK_REQUESTS) as counters:
        counters.broken = "NaN"
        observation = await first_by_traefik(world, counters)
    judgement = observation.judgement
    assert (judgement.verdict, judgement.reason) == (Verdict.HOLD, Reason.no_data)
    blocks = observation.state.left_out.of
    told = "value nan is not a count (pod proxy-1)"
    assert f"; {blocks} of {blocks} blocks could not be used, the latest: {told}" in (
        judgement.sentence
    )
    target = await world.target(world.production, await world.bundle("v2", metrics=TRAEFIK))
    assert await recomputed(world, target, observation) == judgement


async def test_where_no_proxy_is_known_to_be_scraped_it_is_without_data_and_told_why(
    world: SandboxWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("domain.silence.SHORTEST_PATIENCE", timedelta(0))
    async with live_counters("of-nobody") as counters:
        judgement = (await first_by_traefik(world, counters)).judgement
    assert (judgement.verdict, judgement.reason) == (Verdict.HOLD, Reason.no_data)
    assert "whether proxies are scraped is not known" in judgement.sentence


async def test_where_nothing_is_judged_slow_a_canary_is_promoted_on_errors(
    world: SandboxWorld,
) -> None:
    target = await canary_at(world, 10, metrics=MetricsPlan(slow=False))
    request = step(world, target, 10)
    observation = await observed(world, request)
    assert observation.judgement.verdict is Verdict.PROMOTE, observation.judgement.sentence
    assert set(observation.state.metrics) == {"errors", RESTARTS}
    assert await recomputed(world, target, observation) == observation.judgement


async def test_a_service_that_is_measured_otherwise_is_not_judged_by_the_wrong_metric(
    world: SandboxWorld,
) -> None:
    """Its pods are scraped, so it is quiet by that convention: never bad, never proven good."""
    target = await canary_at(world, 10, metrics=MetricsPlan(template="istio"))
    await world.fault(world.production, target.revision, "errors=20%")
    request = step(world, target, 10, length=timedelta(seconds=3))
    judgement = (await observed(world, request)).judgement
    assert judgement.verdict is Verdict.HOLD
    assert judgement.counts["errors"].canary_requests == 0


async def test_a_watch_names_the_limit_and_what_the_old_revision_was_last_known_like(
    world: SandboxWorld,
) -> None:
    target = await canary_at(world, 50)
    beside = await observed(world, step(world, target, 50))
    known = known_of_stable(beside.state)
    assert known["errors"].requests > 0
    assert not known["errors"].over
    assert target.stable is not None
    await world.production.shift(
        target, 100, TrafficSplit.step(50, target.revision, target.stable.revision)
    )
    await world.fault(world.production, target.revision, "errors=40%")
    watch = step(world, target, 100, watch=True)
    watch = watch.with_(rules=watch.rules.model_copy(update={"last_known": known}))
    judgement = (await observed(world, watch)).judgement
    assert judgement.verdict is Verdict.ROLL_BACK
    assert "the plan's limit is" in judgement.sentence
    assert "the old revision was last known at" in judgement.sentence
