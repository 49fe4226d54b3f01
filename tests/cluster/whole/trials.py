"""A release in front of users: how it ended, what they got, what gateway and API server counted."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from domain.environments import Environment
from domain.holds import Hold
from domain.judge.verdict import Reason
from domain.release import ReleaseState
from tests.cluster.api import until
from tests.cluster.audit import entries
from tests.cluster.whole.bed import Bed
from tests.cluster.whole.cluster import RELEASER, Cluster
from tests.cluster.whole.repository import RefusedError, Repository
from tests.cluster.whole.traffic import Observed, Users, observed, users
from tests.cluster.whole.workload import WHEELHOUSE

PATHS = {"billing": "/api/v1/invoices/1", "user": "/api/v1/users/1"}
PER_SECOND = 60.0
STAGING_PER_SECOND = 10.0
# What was measured last, for who wants to see it.
FIGURES = WHEELHOUSE.with_name("cluster-judged.json")
_WRITES = ("create", "update", "patch", "delete")
_SECONDS = 120.0


@dataclass(frozen=True)
class Trial:
    """One release that is over, what happened meanwhile, who served before and who afterwards."""

    ended: ReleaseState
    stable: str
    after: dict[str, int]
    asked: Users
    gateway: Observed
    seconds: float

    @property
    def steps(self) -> tuple[int, ...]:
        """The weights that the gateway sent users to the canary at."""
        counted = self.gateway.requests_by_step(self.ended.revision)
        return tuple(weight for weight in sorted(counted) if weight and counted[weight])

    def figures(self) -> dict[str, Any]:
        """What the issue asks to be shown, from the gateway's own counters."""
        names = {"stable": self.stable, "canary": self.ended.revision}
        return {
            "requests by the gateway": {
                arm: self.gateway.requests_by_step(name) for arm, name in names.items() if name
            },
            "failed by the gateway": self.gateway.failed,
            "requests of users": len(self.asked.answers),
            "failed of users": self.asked.failed,
            "seconds": round(self.seconds, 1),
            "ended": self.ended.sentence,
            "verdicts": [one.sentence for one in self.ended.verdicts],
        }


@dataclass(frozen=True)
class Ground:
    """A service of the bed in front of users, and the repository it is released from."""

    repository: Repository
    production: Cluster
    everybody: Users

    async def trial(self, during: Callable[[Journey], Awaitable[None]] | None = None) -> Trial:
        """Release the head; `during` is told how to follow it, from its start to its end."""
        began, count, before = time.monotonic(), len(self.everybody.answers), await self.weights()
        async with observed(self.production, self.repository.service) as gateway:
            journey = Journey(self, await self.repository.begin(), gateway)
            if during is not None:
                await during(journey)
            ended = await self.repository.finish(journey.release)
        stable = next((name for name, weight in before.items() if weight), "")
        asked = self.everybody.since(count)
        seconds = time.monotonic() - began
        return Trial(ended, stable, await self.weights(), asked, gateway, seconds)

    async def weights(self) -> dict[str, int]:
        """The route's, as the API has them."""
        namespace = f"namespaces/{self.production.environment.value}"
        place = f"{namespace}/httproutes/{self.repository.service}"
        async with self.production.api() as api:
            answer = await api.get(f"apis/gateway.networking.k8s.io/v1/{place}")
        rules = answer.body["spec"]["rules"] if answer.status == 200 else []
        return {ref["name"]: ref.get("weight", 1) for rule in rules for ref in rule["backendRefs"]}

    def shifts(self) -> int:
        """How often Tidegate wrote the service's route, by the API server's own audit log."""
        return sum(
            one.user == RELEASER
            and (one.resource, one.name) == ("httproutes", self.repository.service)
            and one.verb in _WRITES
            for one in entries(self.production.control_plane.audit_log)
        )


@dataclass(frozen=True)
class Journey:
    """A release that is under way."""

    ground: Ground
    release: str
    gateway: Observed

    async def approve(self) -> ReleaseState:
        """Sign its evidence when it asks for that."""
        repository = self.ground.repository
        state = await repository.await_approval(self.release)
        assert not state.is_over, state.sentence
        await repository.sign("approve", self.release, "--yes")
        return state

    async def reach_users(self, weight: int, requests: int = 1) -> None:
        """Approve it; wait until the canary of that weight has had so many requests."""
        state = await self.approve()

        async def reached() -> bool:
            return self.gateway.requests_by_step(state.revision).get(weight, 0) >= requests

        await until(reached, f"{state.revision} has {weight} % of users", _SECONDS)

    @asynccontextmanager
    async def unmoved(self, weight: int) -> AsyncIterator[None]:
        """Meanwhile nothing moves: by the route, by who wrote it, by the gateway's counters."""
        ground, since = self.ground, time.time()
        weights, shifts = await ground.weights(), ground.shifts()
        assert sorted(weights.values()) == sorted((weight, 100 - weight))
        yield
        assert await ground.weights() == weights
        assert ground.shifts() == shifts
        seen = self.gateway.between(since, time.time())
        for name, share in weights.items():
            assert seen.share_at(name, share) == pytest.approx(share / 100, abs=0.02)

    async def asked(self, requests: int) -> None:
        """Wait until users have asked so often from now on."""
        answers = self.ground.everybody.answers
        enough = len(answers) + requests

        async def have() -> bool:
            return len(answers) >= enough

        await until(have, f"{requests} further requests", _SECONDS)

    async def holds(self, reason: Reason) -> Hold:
        """Wait until people know that it holds for that."""
        state = await self._held_for(reason)
        assert state.held is not None, state.sentence
        return state.held

    async def is_promoted_by_hand(self, reason: Reason, why: str) -> None:
        """A release manager takes every step that is held for that, until it is over."""
        repository = self.ground.repository
        while (held := (await self._held_for(reason)).held) is not None:
            # Refused where another hold began just now: then it is looked at again.
            with contextlib.suppress(RefusedError):
                await repository.sign("promote", self.release, "--reason", why)
            await repository.await_state(self.release, partial(_is_taken, held.name))

    async def _held_for(self, reason: Reason) -> ReleaseState:
        return await self.ground.repository.await_state(
            self.release, lambda one: one.is_over or _is_held(one, reason)
        )


def _is_held(state: ReleaseState, reason: Reason) -> bool:
    return state.held is not None and state.held.reason == reason


def _is_taken(held: str, state: ReleaseState) -> bool:
    return state.is_over or state.held is None or state.held.name != held


@asynccontextmanager
async def ground(bed: Bed, repository: Repository, *, quiet: bool = False) -> AsyncIterator[Ground]:
    """Users ask the service all the while, in staging and, unless it is quiet, in production."""
    production = bed.clusters[Environment.PRODUCTION]
    host, path = f"{repository.service}.isa.example", PATHS[repository.service]
    async with contextlib.AsyncExitStack() as asking:
        staging = bed.clusters[Environment.STAGING]
        await asking.enter_async_context(users(staging, host, path, STAGING_PER_SECOND))
        everybody = Users()
        if not quiet:
            everyone = users(production, host, path, PER_SECOND)
            everybody = await asking.enter_async_context(everyone)
        yield Ground(repository, production, everybody)


async def lane(
    results: dict[str, Trial | Exception],
    scenarios: Mapping[str, Callable[[], Awaitable[Trial]]],
) -> None:
    """One after the other, since they are of one service; what one raises is its result."""
    for name, scenario in scenarios.items():
        try:
            results[name] = await scenario()
        except Exception as problem:
            results[name] = problem


def note(name: str, trial: Trial) -> None:
    """Write a trial's figures down beside those of the others."""
    known = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    FIGURES.write_text(json.dumps({**known, name: trial.figures()}, indent=2))
