"""Stored verdicts of a past release, made block by block as the observing activity makes them."""

from __future__ import annotations

from collections.abc import Sequence

from domain.canary import judge_rules
from domain.environments import Environment
from domain.judge import Block, Histogram, JudgeState, judge, observe
from domain.observed import ObservedBlocks, begin, is_final
from domain.plan import ServicePlan
from domain.rejudge import StoredVerdict
from domain.steps import ObserveStep, RevisionRequest
from tests.support.judge_streams import LENGTH, SINCE, counts
from tests.support.release_records import bundle, plan, stable

COMMIT = "c" * 40


class PastRelease:
    """Takes the steps one after another; each ends when the judge says so, or at the last block."""

    def __init__(self, release_id: str = "release-album-cccccccccc-0001", **sections: object):
        self.plan: ServicePlan = plan(**sections)
        self.release_id = release_id
        self.stored: list[StoredVerdict] = []
        self._at = SINCE
        self._state: JudgeState | None = None

    def take(
        self,
        weight: int,
        *,
        canary_bad: Sequence[int] = (0,),
        requests: int = 100,
        blocks: int = 400,
        watch: bool = False,
    ) -> StoredVerdict:
        """One step whose blocks have `canary_bad` in turn; stable has 0.1 % bad."""
        request = self._request(weight, watch)
        made: list[Block] = []
        state = begin(request)
        for number in range(blocks):
            made.append(self._block(weight, requests, canary_bad[number % len(canary_bad)]))
            state = observe(state, request.rules, made[-1])
            judgement = judge(state, request.rules, self._at - request.since)
            if is_final(request, judgement, self._at):
                break
        record = ObservedBlocks(step=request, earlier=(), blocks=tuple(made), judgement=judgement)
        self._state = state
        self.stored.append(StoredVerdict(record, record.blocks))
        return self.stored[-1]

    def _request(self, weight: int, watch: bool) -> ObserveStep:
        pace = self.plan.pace
        rules = judge_rules(self.plan, weight, has_stable=True)
        length = pace.watch if watch else rules.last_deadline
        target = RevisionRequest(
            release_id=self.release_id,
            environment=Environment.PRODUCTION,
            service="album",
            bundle=bundle(COMMIT),
            stable=stable(Environment.PRODUCTION),
        )
        return ObserveStep(
            target=target,
            weight=weight,
            rules=rules,
            since=self._at,
            ends_at=self._at + length,
            block=LENGTH,
            slow_above=self.plan.limits.p95,
            state=None if watch else self._state,
            watch=watch,
        )

    def _block(self, weight: int, requests: int, canary_bad: int) -> Block:
        start, self._at = self._at, self._at + LENGTH
        stable_requests = round(requests * (100 - weight) / weight)
        slow = counts(requests, 0, stable_requests, 0)
        quicker = Histogram(
            edges=(0.25,), canary_above=(requests // 5,), stable_above=(stable_requests // 5,)
        )
        return Block(
            start=start,
            end=self._at,
            counts={
                "errors": counts(requests, canary_bad, stable_requests, stable_requests // 1000),
                "slow": slow,
            },
            histograms={"slow": quicker} if weight < 100 else {},
        )
