"""Watching a canary: every scrape becomes a block, the judge speaks after each."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from temporalio import activity

from activities.archive import Archive
from activities.beat import heartbeats
from activities.demand import Demand
from domain.bundle import RecordReference
from domain.canary import ERRORS, METRICS, RESTARTS, SLOW
from domain.errors import TransientFailure
from domain.judge.counts import Block
from domain.judge.decision import judge
from domain.judge.state import JudgeState, next_step, observe, start
from domain.judge.verdict import Judgement, Verdict
from domain.records import Record
from domain.samples import Span
from domain.steps import Observation, ObserveStep

SHORTEST_POLL = timedelta(milliseconds=250)
LONGEST_POLL = timedelta(seconds=5)
# About 40 KiB: what a heartbeat carries, and what one record holds.
CHUNK_BLOCKS = 100
STORE_WITHIN = timedelta(seconds=10)


class BlockChunk(Record):
    """Some of an observation's blocks, stored while it goes on."""

    blocks: tuple[Block, ...]


class ObservedBlocks(Record):
    """What an auditor needs to recompute a judgement: the request, every block, the answer.

    The blocks are those of the records `earlier` (each a BlockChunk), then `blocks`.
    """

    step: ObserveStep
    earlier: tuple[RecordReference, ...]
    blocks: tuple[Block, ...]
    judgement: Judgement


class Progress(Record):
    """What survives a lost worker, in the heartbeat: small, however long the watch is.

    `blocks` are judged and not stored yet; those before them lie in `chunks`.
    """

    state: JudgeState
    after: datetime
    chunks: tuple[RecordReference, ...] = ()
    blocks: tuple[Block, ...] = ()


class Canary:
    """Judges production's canaries."""

    def __init__(self, demand: Demand, archive: Archive) -> None:
        self._demand = demand
        self._archive = archive

    @activity.defn
    async def observe_step(self, request: ObserveStep) -> Observation:
        """Look at every new block until there is a verdict, or until `ends_at`.

        A source that does not answer gives no block: the judge then says "no data" and holds.
        """
        progress = _resumed(request)
        pause = min(max(request.block, SHORTEST_POLL), LONGEST_POLL).total_seconds()
        async with heartbeats(progress) as pulse:
            while True:
                now = datetime.now(UTC)
                progress = await self._take_blocks(request, progress, now)
                pulse.carry(progress)
                judgement = judge(progress.state, request.rules, now - request.since)
                if _is_final(request, judgement, now):
                    return await self._observation(request, progress, judgement)
                progress = await self._with_full_chunk_stored(request, progress)
                pulse.carry(progress)
                await asyncio.sleep(pause)

    async def _take_blocks(
        self, request: ObserveStep, progress: Progress, now: datetime
    ) -> Progress:
        target = request.target
        compared = target.stable.revision if target.stable and request.rules.control_arm else None
        length = max(request.block, self._demand.scrape)
        span = Span.following(progress.state.since, progress.after, now, length)
        try:
            samples = await self._demand.blocks(target.revision, compared, span, request.slow_above)
        except TransientFailure as failure:
            activity.logger.warning("no data for %s: %s", target.revision, failure)
            return progress
        for broken in samples.broken:
            activity.logger.warning("left out of the judgement of %s: %s", target.revision, broken)
        state = _with_restarts(progress.state, request, samples.blocks)
        judged = tuple(_judged(state, block) for block in samples.blocks)
        for block in judged:
            state = observe(state, request.rules, block)
        return progress.with_(state=state, after=samples.until, blocks=(*progress.blocks, *judged))

    async def _with_full_chunk_stored(self, request: ObserveStep, progress: Progress) -> Progress:
        """Store blocks by the chunk; while the registry is away they stay in the heartbeat."""
        if len(progress.blocks) < CHUNK_BLOCKS:
            return progress
        kind = f"blocks-{request.weight}{_suffix(request)}"
        chunk = BlockChunk(blocks=progress.blocks)
        told = f"{len(chunk.blocks)} blocks until {chunk.blocks[-1].end.isoformat()}"
        try:
            async with asyncio.timeout(STORE_WITHIN.total_seconds()):
                record = await self._archive.store_record(request.target.bundle, kind, chunk, told)
        except (TransientFailure, TimeoutError) as failure:
            activity.logger.warning("%s are not stored yet: %s", told, failure)
            return progress
        return progress.with_(chunks=(*progress.chunks, record), blocks=())

    async def _observation(
        self, request: ObserveStep, progress: Progress, judgement: Judgement
    ) -> Observation:
        """The answer with its record; only a promotion waits for a registry that is away."""
        observed = ObservedBlocks(
            step=request, earlier=progress.chunks, blocks=progress.blocks, judgement=judgement
        )
        kind = f"verdict-{request.weight}{_suffix(request)}"
        record = None
        try:
            async with asyncio.timeout(STORE_WITHIN.total_seconds()):
                record = await self._archive.store_record(
                    request.target.bundle, kind, observed, judgement.sentence
                )
        except (TransientFailure, TimeoutError) as failure:
            if judgement.verdict is Verdict.PROMOTE:
                raise TransientFailure(f"{kind} cannot be stored: {failure}") from failure
            activity.logger.warning("%s is not stored: %s", kind, failure)
        return Observation(judgement=judgement, state=progress.state, record=record)


def _resumed(request: ObserveStep) -> Progress:
    """Where to go on: after a lost worker its last heartbeat, else where the workflow stands."""
    details = activity.info().heartbeat_details
    if details:
        return Progress.model_validate(details[0])
    if request.state is None:
        state = start(request.rules, (ERRORS, SLOW), request.since)
    elif request.state.since < request.since:
        # Clocks of Temporal and Prometheus may differ by a moment.
        since = max(request.since, request.state.until or request.since)
        state = next_step(request.state, since)
    else:
        state = request.state
    return Progress(state=state, after=state.until or state.since)


def _suffix(request: ObserveStep) -> str:
    return "-watch" if request.watch else ""


def _with_restarts(
    state: JudgeState, request: ObserveStep, blocks: tuple[Block, ...]
) -> JudgeState:
    """Judge restarts as well where the cluster counts them (kube-state-metrics is not everywhere).

    A metric joins before the first block or not at all: evidence may not be chosen afterwards.
    """
    counted = any(RESTARTS in block.counts for block in blocks)
    none_judged = state.until is None and not state.rollout_blocks
    if counted and none_judged and RESTARTS not in state.metrics:
        return start(request.rules, METRICS, state.since)
    return state


def _judged(state: JudgeState, block: Block) -> Block:
    """The block without metrics that came too late to be judged."""
    known = {name: counts for name, counts in block.counts.items() if name in state.metrics}
    return block.model_copy(update={"counts": known})


def _is_final(request: ObserveStep, judgement: Judgement, now: datetime) -> bool:
    if judgement.verdict is Verdict.ROLL_BACK or now >= request.ends_at:
        return True
    return judgement.verdict is Verdict.PROMOTE and not request.watch
