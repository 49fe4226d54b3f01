"""Releases whose canaries were judged on simulated traffic, as their records are stored."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from domain.bundle import RecordReference
from domain.canary import judge_rules
from domain.commands import CommandName
from domain.environments import Environment
from domain.evidence import Evidence, Proof
from domain.judge import Block, Counts, JudgeState, Verdict, judge, observe
from domain.observed import BlockChunk, ObservedBlocks, begin, with_restarts
from domain.phases import Outcome, Phase
from domain.plan import ServicePlan
from domain.records import digest_of
from domain.release import ReleaseState, RollbackRehearsal, StageRecord
from domain.report_sources import Sources
from domain.soak import SoakProgress, SoakRecord
from domain.steps import ObserveStep, RevisionRequest
from domain.trace import trace
from tests.support.judge_streams import poisson
from tests.support.release_records import accepted, bundle, change, plan, record, request, stable

SINCE = datetime.fromisoformat("2026-03-01T12:00:00+00:00")
CHUNK_BLOCKS = 60
RELEASE = request().release_id
BUNDLE = bundle("c" * 40)
# What a block of a step counts: by the number of the block; None is a block that never came.
Draw = Callable[[random.Random, int, int], dict[str, Counts] | None]


def traffic(rate: float, stable_bad: float, canary_bad: float, slow: float = 0.01) -> Draw:
    """Independent requests per second over both arms; nobody is at stable at 100 %."""

    def drawn(source: random.Random, weight: int, _: int) -> dict[str, Counts]:
        canary, rest = rate * weight / 10, rate * (100 - weight) / 10
        n1, n0 = poisson(source, canary), poisson(source, rest)

        def of(bad: tuple[float, float]) -> Counts:
            return Counts(
                canary_requests=n1,
                canary_bad=min(n1, poisson(source, n1 * bad[0])),
                stable_requests=n0,
                stable_bad=min(n0, poisson(source, n0 * bad[1])),
            )

        restarts = Counts(canary_requests=2, stable_requests=18 if weight < 100 else 0)
        return {
            "errors": of((canary_bad, stable_bad)),
            "slow": of((slow, slow)),
            "restarts": restarts,
        }

    return drawn


def silent_between(draw: Draw, first: int, last: int) -> Draw:
    """The source says nothing in some blocks."""
    return lambda source, weight, at: None if first <= at < last else draw(source, weight, at)


@dataclass
class Judged:
    """A release in production: takes steps, keeps every record."""

    plan: ServicePlan = field(default_factory=plan)
    seed: int = 1
    at: datetime = SINCE
    records: list[ObservedBlocks] = field(default_factory=list)
    chunks: dict[str, BlockChunk] = field(default_factory=dict)
    state: JudgeState | None = None

    def step(self, weight: int, draw: Draw, longest: int = 240, *, watch: bool = False) -> Verdict:
        """Judge block by block until there is a verdict, or until so many blocks are over."""
        if watch:
            self.state = None
        asked = self._request(weight, watch=watch)
        blocks: list[Block] = []
        source, length = random.Random(self.seed * 1000 + weight), asked.block  # noqa: S311
        state = begin(asked)
        for index in range(longest):
            start = asked.since + index * length
            counts = draw(source, weight, index)
            if counts is not None:
                blocks.append(Block(start=start, end=start + length, counts=counts))
                state = with_restarts(state, asked, blocks[:1])
                state = observe(state, asked.rules, blocks[-1])
            elapsed = (index + 1) * length
            judgement = judge(state, asked.rules, elapsed)
            last = index == longest - 1
            stops = judgement.verdict is Verdict.ROLL_BACK or not watch
            if last or (judgement.verdict is not Verdict.HOLD and stops):
                break
        self._keep(asked, blocks, elapsed)
        self.state, self.at = state, asked.since + elapsed + timedelta(seconds=5)
        return judgement.verdict

    def sources(self, **others: object) -> Sources:
        """Everything that the registry would say."""
        traces = tuple(trace(one, reference(one), self.earlier(one)) for one in self.records)
        return Sources(**{"reference": BUNDLE, "traces": traces, **others})  # type: ignore[arg-type]

    def earlier(self, one: ObservedBlocks) -> list[Block]:
        """The blocks of a record's chunks."""
        return [block for chunk in one.earlier for block in self.chunks[chunk.digest].blocks]

    def _request(self, weight: int, *, watch: bool) -> ObserveStep:
        approve = accepted(CommandName.APPROVE, "ann")
        target = RevisionRequest(
            release_id=RELEASE,
            environment=Environment.PRODUCTION,
            service="album",
            bundle=BUNDLE,
            stable=stable(Environment.PRODUCTION),
            proof=Proof(evidence=record("evidence"), approvals=(approve,)),
        )
        return ObserveStep(
            target=target,
            weight=weight,
            rules=judge_rules(self.plan, weight, has_stable=True),
            since=self.at,
            ends_at=self.at + timedelta(hours=30),
            block=self.plan.pace.block,
            slow_above=self.plan.limits.p95,
            state=self.state,
            watch=watch,
        )

    def _keep(self, asked: ObserveStep, blocks: list[Block], elapsed: timedelta) -> None:
        whole = len(blocks) - len(blocks) % CHUNK_BLOCKS
        named = []
        for first in range(0, whole, CHUNK_BLOCKS):
            chunk = BlockChunk(blocks=tuple(blocks[first : first + CHUNK_BLOCKS]))
            digest = digest_of(chunk)
            self.chunks[digest] = chunk
            kind = f"blocks-{asked.weight}"
            named.append(RecordReference(kind=kind, digest=digest, sentence=""))
        state = with_restarts(begin(asked), asked, blocks)
        for block in blocks:
            state = observe(state, asked.rules, block)
        self.records.append(
            ObservedBlocks(
                step=asked,
                earlier=tuple(named),
                blocks=tuple(blocks[whole:]),
                judgement=judge(state, asked.rules, elapsed),
            )
        )


def reference(one: ObservedBlocks) -> RecordReference:
    """How the registry names a verdict."""
    kind = f"verdict-{one.step.weight}{'-watch' if one.step.watch else ''}"
    return RecordReference(kind=kind, digest=digest_of(one), sentence=one.judgement.sentence)


def promoted(seed: int = 1) -> Judged:
    """A good release: 10, 50, 100 %, and half an hour of watch."""
    judged = Judged(seed=seed)
    good = traffic(20, 0.002, 0.002)
    for weight in judged.plan.canary.steps:
        judged.step(weight, good)
    judged.step(100, good, longest=180, watch=True)
    return judged


def rolled_back(seed: int = 1) -> Judged:
    """A bad one, at 10 %; the metrics source was away for a while before it showed."""
    judged = Judged(seed=seed)
    judged.step(10, silent_between(traffic(20, 0.002, 0.03), 3, 20))
    return judged


def frozen(judged: Judged) -> Evidence:
    """What was signed before production was touched."""
    return Evidence(
        release_id=RELEASE,
        service="album",
        bundle=BUNDLE,
        image=f"registry.example/album@sha256:{'1' * 64}",
        plan_hash=f"sha256:{'2' * 64}",
        policy_version=f"sha256:{'3' * 64}",
        change=change(),
        stable=stable(Environment.PRODUCTION),
        config_diff=("+album-config/ALBUM_CACHE_SHARDS: 20",),
        records=(record("scan", "grype found nothing in album"),),
        soak=SoakRecord(
            plan=judged.plan.soak,
            progress=SoakProgress(
                goal=timedelta(hours=24),
                earned=timedelta(hours=24),
                elapsed=timedelta(hours=26),
                windows=52,
                unhealthy=4,
                last="healthy",
            ),
        ),
        rehearsal=RollbackRehearsal(tried=True, seconds=0.4, sentence="rehearsed in 0.4 s"),
        opened_at=SINCE - timedelta(hours=2),
        expires_at=SINCE + timedelta(hours=22),
    )


def state_of(judged: Judged, outcome: Outcome | None = None, **changes: object) -> ReleaseState:
    """The workflow's state after these steps."""
    rolled = outcome is Outcome.ROLLED_BACK
    ended = judged.at + timedelta(seconds=40)
    stages = [
        StageRecord(
            phase=Phase.CANARY, title="production canary", started_at=SINCE, ended_at=judged.at,
            ok=not rolled, sentence=judged.records[-1].judgement.sentence,
        )
    ]  # fmt: skip
    if rolled:
        stages.append(
            StageRecord(phase=Phase.ROLLBACK, title="roll back", started_at=judged.at,
                        ended_at=ended, ok=True, sentence="6 of 6 steps undone")
        )  # fmt: skip
    known = {
        "request": request(plan=judged.plan),
        "phase": Phase.CANARY if outcome is None else Phase.DONE,
        "outcome": outcome,
        "sentence": judged.records[-1].judgement.sentence,
        "started_at": SINCE - timedelta(days=1),
        "ended_at": ended if outcome else None,
        "stages": tuple(stages),
        "bundle": BUNDLE,
        "weight": 0 if rolled else judged.records[-1].step.weight,
        "commands": (accepted(CommandName.APPROVE, "ann"),),
    }
    return ReleaseState.model_validate(known | changes)
