"""Watching a canary: every scrape becomes a block, the judge speaks after each."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from temporalio import activity

from activities.archive import Archive
from activities.beat import heartbeats
from activities.demand import Demand
from activities.gatekeeper import Gatekeeper
from activities.plan_check import PlanCheck, plan_check
from domain.bundle import RecordReference
from domain.errors import PermanentFailure, ReleaseError, TransientFailure
from domain.holds import is_news
from domain.judge.counts import Block
from domain.judge.decision import judge
from domain.judge.rules import Control
from domain.judge.state import JudgeState
from domain.judge.verdict import Judgement, Verdict
from domain.observed import (
    TOLD_LENGTH,
    BlockChunk,
    ObservedBlocks,
    begin,
    is_final,
    spoken_of,
    take_in,
    unused,
)
from domain.records import Record
from domain.samples import Span
from domain.steps import Observation, ObserveStep, PersonsPromotion, RefusedPromotion

SHORTEST_POLL = timedelta(milliseconds=250)
LONGEST_POLL = timedelta(seconds=5)
# About 40 KiB: what a heartbeat carries, and what one record holds.
CHUNK_BLOCKS = 60
# So do as many counts of single pods.
CHUNK_PODS = 3_000
STORE_WITHIN = timedelta(seconds=10)
# Whoever gave the observing up may be about to roll back: no registry must delay that.
GIVEN_UP_WITHIN = timedelta(seconds=3)


class Progress(Record):
    """What survives a lost worker, in the heartbeat: small, however long the watch is.

    `blocks` are judged and not stored yet; those before them lie in `chunks`. `left_out` is what
    could not be used since the last block.
    """

    state: JudgeState
    after: datetime
    chunks: tuple[RecordReference, ...] = ()
    blocks: tuple[Block, ...] = ()
    left_out: tuple[str, ...] = ()


class _Look:
    """How far an observation is, for whoever ends it from outside."""

    def __init__(self, progress: Progress, check: PlanCheck) -> None:
        self.progress = progress
        self.check = check


class Canary:
    """Judges production's canaries."""

    def __init__(self, demand: Demand, archive: Archive, gatekeeper: Gatekeeper) -> None:
        self._demand = demand
        self._archive = archive
        self._gatekeeper = gatekeeper

    @activity.defn
    async def observe_step(self, request: ObserveStep) -> Observation:
        """Look at every new block until there is a verdict, or until `ends_at`.

        A source that does not answer gives no block: the judge then says "no data" and holds.
        Rules that are not those of the bundle's plan are a PermanentFailure; while nobody can
        read the plan it may be rolled back by them and is not promoted.
        It ends early where the request says so and people must hear of a hold, and with what is
        known when it is given up.
        """
        async with plan_check(self._gatekeeper, self._archive, request) as check:
            return await self._observe(self._with_patience(request), check)

    async def _observe(self, request: ObserveStep, check: PlanCheck) -> Observation:
        look = _Look(_resumed(request), check)
        try:
            return await self._look_on(request, look)
        except asyncio.CancelledError:
            if not _is_given_up():
                raise
            judgement = self._judged(request, look, datetime.now(UTC))
            # A rollback was decided, whoever else decided something meanwhile.
            early = judgement.verdict is not Verdict.ROLL_BACK
            return await self._observation(
                request, look.progress, judgement, early=early, within=GIVEN_UP_WITHIN
            )

    def _with_patience(self, request: ObserveStep) -> ObserveStep:
        """A source that is scraped slowly or answers late is not silent for that."""
        patience = self._demand.patience(request.block)
        if request.rules.silent_after >= patience:
            return request
        rules = request.rules.model_copy(update={"stale_after": patience})
        return request.with_(rules=rules)

    async def _look_on(self, request: ObserveStep, look: _Look) -> Observation:
        progress = look.progress
        pause = min(max(request.block, SHORTEST_POLL), LONGEST_POLL).total_seconds()
        async with heartbeats(progress) as pulse:
            while True:
                now = datetime.now(UTC)
                look.progress = progress = await self._take_blocks(request, progress, now)
                pulse.carry(progress)
                judgement = self._judged(request, look, now)
                if judgement.verdict is not Verdict.ROLL_BACK:
                    look.check.refuse_other_rules()
                if is_final(request, judgement, now):
                    return await self._observation(request, progress, judgement)
                if request.tells and look.check.is_over and is_news(judgement, request.told):
                    return await self._observation(request, progress, judgement, early=True)
                look.progress = progress = await self._with_full_chunk_stored(request, progress)
                pulse.carry(progress)
                await asyncio.sleep(pause)

    @activity.defn
    async def record_promotion(
        self, request: PersonsPromotion
    ) -> RecordReference | RefusedPromotion:
        """Keep who promoted a held step, and why, beside what the judge had seen.

        A promote that has expired since it was said, or whose sender may no more, is refused;
        raises PermanentFailure where nobody has signed just that.
        """
        # Temporal's own time, not the workflow's word; a registry's outage makes nothing expire.
        why = await self._gatekeeper.admit_promotion(request, activity.info().scheduled_time)
        if why is not None:
            return RefusedPromotion(why=why)
        person = request.accepted
        told = f"promoted by {person.principal}: {person.command.statement.reason}"
        kind = f"promotion-{request.weight}{'-watch' if request.watch else ''}"
        return await self._archive.store_record(request.target.bundle, kind, request, told)

    def _judged(self, request: ObserveStep, look: _Look, now: datetime) -> Judgement:
        judgement = judge(look.progress.state, request.rules, now - request.since)
        return look.check.held_back(spoken_of(judgement, look.progress.left_out))

    async def _take_blocks(
        self, request: ObserveStep, progress: Progress, now: datetime
    ) -> Progress:
        target, compared = request.target, _control(request)
        length = max(request.block, self._demand.scrape)
        span = Span.following(progress.state.since, progress.after, now, length)
        try:
            samples = await self._demand.blocks(
                target.revision, compared, span, request.slow_above, request.metrics.measure
            )
        except ReleaseError as failure:
            # Also what retrying cannot help, an expired token: nothing is known of the canary then.
            activity.logger.warning("no data for %s: %s", target.revision, failure)
            return progress.with_(left_out=(str(failure)[:TOLD_LENGTH],))
        for broken in samples.broken:
            activity.logger.warning("left out of the judgement of %s: %s", target.revision, broken)
        try:
            state, judged = take_in(progress.state, request, samples.every)
        except PermanentFailure as misfit:
            # Nothing is known of the canary by them; those that come after them may fit.
            activity.logger.warning("blocks of %s do not fit: %s", target.revision, misfit)
            return progress.with_(after=samples.until, left_out=(str(misfit)[:TOLD_LENGTH],))
        return progress.with_(
            state=state,
            after=samples.until,
            blocks=(*progress.blocks, *judged),
            left_out=unused(progress.left_out, samples),
        )

    async def _with_full_chunk_stored(self, request: ObserveStep, progress: Progress) -> Progress:
        """Store blocks by the chunk; while no registry takes them they stay in the heartbeat."""
        if not _fills_a_chunk(progress.blocks):
            return progress
        kind = f"blocks-{request.weight}{_suffix(request)}"
        chunk = BlockChunk(blocks=progress.blocks)
        told = f"{len(chunk.blocks)} blocks until {chunk.blocks[-1].end.isoformat()}"
        try:
            async with asyncio.timeout(STORE_WITHIN.total_seconds()):
                record = await self._archive.store_record(request.target.bundle, kind, chunk, told)
        except (ReleaseError, TimeoutError) as failure:
            activity.logger.warning("%s are not stored yet: %s", told, failure)
            return progress
        return progress.with_(chunks=(*progress.chunks, record), blocks=())

    async def _observation(
        self,
        request: ObserveStep,
        progress: Progress,
        judgement: Judgement,
        *,
        early: bool = False,
        within: timedelta = STORE_WITHIN,
    ) -> Observation:
        """The answer with its record; only a promotion waits for a registry that takes none."""
        observed = ObservedBlocks(
            step=request,
            earlier=progress.chunks,
            blocks=progress.blocks,
            judgement=judgement,
            left_out=progress.left_out,
        )
        kind = f"verdict-{request.weight}{_suffix(request)}"
        record = None
        try:
            async with asyncio.timeout(within.total_seconds()):
                record = await self._archive.store_record(
                    request.target.bundle, kind, observed, judgement.sentence
                )
        except (ReleaseError, TimeoutError) as failure:
            # A registry that refuses us (a token, a quota) says nothing of the canary either.
            if judgement.verdict is Verdict.PROMOTE and not early:
                raise TransientFailure(f"{kind} cannot be stored: {failure}") from failure
            activity.logger.warning("%s is not stored: %s", kind, failure)
        return Observation(judgement=judgement, state=progress.state, record=record, early=early)


def _resumed(request: ObserveStep) -> Progress:
    """Where to go on: after a lost worker its last heartbeat, else where the workflow stands."""
    details = activity.info().heartbeat_details
    if details:
        return Progress.model_validate(details[0])
    state = begin(request)
    return Progress(state=state, after=state.until or state.since)


def _control(request: ObserveStep) -> str | None:
    """The revision that the canary is compared with; None: the limits alone judge it."""
    if not request.rules.control_arm:
        return None
    if request.rules.control is Control.stable:
        return request.target.stable.revision if request.target.stable else None
    if request.baseline is None:
        raise PermanentFailure(
            f"{request.target.revision} is to be compared with a baseline of its age, and the step"
            " names none: deploy stable's bundle again and name that revision"
        )
    return request.baseline


def _fills_a_chunk(blocks: tuple[Block, ...]) -> bool:
    pods = sum(len(block.pods.canary_requests) for block in blocks if block.pods is not None)
    return len(blocks) >= CHUNK_BLOCKS or pods >= CHUNK_PODS


def _is_given_up() -> bool:
    """Whether the workflow asked for the end: a worker that stops leaves the rest to the next."""
    details = activity.cancellation_details()
    return details is not None and details.cancel_requested


def _suffix(request: ObserveStep) -> str:
    return "-watch" if request.watch else ""
