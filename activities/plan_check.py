"""Beside every observation: are its rules those of the plan that was approved with the bundle?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from temporalio import activity

from activities.archive import Archive
from activities.gatekeeper import Gatekeeper
from domain.errors import PermanentFailure, ReleaseError
from domain.judge.verdict import Judgement
from domain.observed import ObservedBlocks, held_back
from domain.plan_rules import raised_bars, unheard_of, unplanned
from domain.steps import ObserveStep

# A registry that accepts and never answers; people hear of it after that.
READ_WITHIN = timedelta(seconds=30)
# Read once; where that failed, again after a while, not with every look.
FIRST_PAUSE, LONGEST_PAUSE = timedelta(milliseconds=500), timedelta(seconds=30)


class PlanCheck:
    """Reads the bundle's plan once, beside the looks: no registry delays a rollback."""

    def __init__(self, gatekeeper: Gatekeeper, archive: Archive, request: ObserveStep) -> None:
        self._gatekeeper = gatekeeper
        self._archive = archive
        self._request = request
        self._why = self._unverified("it is being read")
        # Whether there is an answer: verified, or why it cannot be (for now).
        self.is_over = False
        self._reading = asyncio.create_task(self._read())

    def refuse_other_rules(self) -> None:
        """PermanentFailure naming each value that is not the plan's, once that is known."""
        if not self._reading.done():
            return
        differences = self._reading.result()
        if differences:
            target = self._request.target
            raise PermanentFailure(
                f"{target.revision} was to be judged otherwise than the plan of {target.bundle}"
                f" says: {'; '.join(differences)}; nothing is judged by that: find out who starts"
                " workflows in this namespace"
            )

    def held_back(self, judgement: Judgement) -> Judgement:
        """The judgement; a promotion only when the rules are known to be the plan's."""
        return judgement if self._reading.done() else held_back(judgement, self._why)

    async def close(self) -> None:
        """Stop reading."""
        self._reading.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await self._reading

    async def _read(self) -> tuple[str, ...]:
        pause = FIRST_PAUSE
        while True:
            try:
                async with asyncio.timeout(READ_WITHIN.total_seconds()):
                    differences = await self._differences()
                self.is_over = True
                return differences
            except (ReleaseError, TimeoutError) as failure:
                said = str(failure) or f"no answer within {READ_WITHIN.total_seconds():g} s"
                self._why, self.is_over = self._unverified(said), True
                activity.logger.warning("%s", self._why)
            await asyncio.sleep(pause.total_seconds())
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _differences(self) -> tuple[str, ...]:
        request = self._request
        plan = await self._gatekeeper.plan_to_observe(request)
        earlier: list[ObservedBlocks] = []
        if raised_bars(request):
            earlier = await self._archive.records_of(
                request.target.bundle, "verdict-100", ObservedBlocks
            )
        return (
            *unplanned(request, plan),
            *unheard_of(request, (one.step for one in earlier)),
        )

    def _unverified(self, why: str) -> str:
        return f"the plan of {self._request.target.bundle} cannot be verified: {why}"


@asynccontextmanager
async def plan_check(
    gatekeeper: Gatekeeper, archive: Archive, request: ObserveStep
) -> AsyncIterator[PlanCheck]:
    """Check an observation for as long as it lasts."""
    check = PlanCheck(gatekeeper, archive, request)
    try:
        yield check
    finally:
        await check.close()
