"""Moving users: only to where enough pods are ready, and read back from the router."""

from __future__ import annotations

import time

from temporalio import activity

from activities.entry import Entry
from activities.fleet import Fleet
from activities.gatekeeper import Gatekeeper
from activities.revisions import Blueprint, needed, serving_pods
from activities.route import Route
from domain.bundle import Bundle
from domain.environments import Environment
from domain.errors import PermanentFailure
from domain.release import RollbackRehearsal
from domain.revision import Manifest, RevisionObjects
from domain.rollout import RolloutPhase
from domain.steps import RevisionRequest, ShiftedTraffic, ShiftTraffic
from domain.traffic import TrafficSplit


class Traffic:
    """One environment's routes."""

    def __init__(
        self,
        gatekeeper: Gatekeeper,
        fleet: Fleet,
        route: Route,
        entry: Entry,
        blueprint: Blueprint,
    ) -> None:
        self._gatekeeper = gatekeeper
        self._fleet = fleet
        self._route = route
        self._entry = entry
        self._blueprint = blueprint

    @activity.defn
    async def shift_traffic(self, request: ShiftTraffic) -> ShiftedTraffic:
        """Bring the destination to the pods it needs, then move the route and read it back."""
        target = request.target
        bundle = await self._gatekeeper.admit(target)
        _as_planned(request, bundle)
        objects = await self._blueprint.of(bundle, target.bundle)
        await self._carry_share(target, objects, request.weight)
        started = time.monotonic()
        if await self._route.split(target.service) is None and not request.old.backends:
            told = await self._route.open(
                _only(objects, "HTTPRoute"), request.new, objects.port, target.release_id
            )
        else:
            told = await self._route.move(
                target.service,
                request.old,
                request.new,
                objects.port,
                target.release_id,
                previous=target.stable.revision if target.stable else None,
            )
        seconds = time.monotonic() - started
        return ShiftedTraffic(split=request.new, seconds=seconds, sentence=f"{request.new}, {told}")

    @activity.defn
    async def rehearse_rollback(self, request: ShiftTraffic) -> RollbackRehearsal:
        """Go back (`new`) and forward again (`old`); how long the way back takes is evidence."""
        target = request.target
        _rehearses_its_own_way_back(request)
        bundle = await self._gatekeeper.admit(target)
        objects = await self._blueprint.of(bundle, target.bundle)
        for backend in (*request.new.backends, *request.old.backends):
            await self._carry(backend.revision, 1)
        move = self._route.move
        if await self._route.split(target.service) == request.new:
            # An attempt before this one got only so far; standing still would take no time.
            await move(target.service, request.new, request.old, objects.port, target.release_id)
        started = time.monotonic()
        await move(target.service, request.old, request.new, objects.port, target.release_id)
        seconds = time.monotonic() - started
        await move(target.service, request.new, request.old, objects.port, target.release_id)
        return RollbackRehearsal(
            tried=True,
            seconds=seconds,
            sentence=f"rollback to {request.new} rehearsed in {seconds:.2f} s",
        )

    @activity.defn
    async def point_entry(self, target: RevisionRequest) -> None:
        """Let the entry Service select this revision: callers inside follow users, never first."""
        bundle = await self._gatekeeper.admit(target)
        objects = await self._blueprint.of(bundle, target.bundle)
        await self._carry(target.revision, 1)
        split = await self._route.split(target.service)
        if split != TrafficSplit.all_to(target.revision):
            raise PermanentFailure(
                f"callers of Service {target.service} follow its users: those are with "
                f"{split or 'nobody'}, not all with {target.revision}"
            )
        previous = target.stable.revision if target.stable else None
        await self._entry.point(_only(objects, "Service"), target.revision, previous)

    async def _carry_share(
        self, target: RevisionRequest, objects: RevisionObjects, weight: int
    ) -> None:
        """Bring up what the weight takes of today's load, and keep stable able to take it back."""
        brought_up = 0
        while True:
            serving = await serving_pods(self._fleet, target)
            pods = needed(target, objects, weight, serving)
            if pods <= brought_up:
                break
            await self._carry(target.revision, pods)
            # Pods took a while to start; meanwhile the load may have grown.
            brought_up = pods
        if target.environment is Environment.PRODUCTION and target.stable is not None:
            await self._fleet.keep_at_least(target.stable.revision, serving)

    async def _carry(self, revision: str, pods: int) -> None:
        await self._fleet.size(revision, pods)
        state = await self._fleet.await_ready(revision, pods)
        if state.phase is not RolloutPhase.READY:
            raise PermanentFailure(f"no traffic is sent to {revision}: {state.sentence}")


def _as_planned(request: ShiftTraffic, bundle: Bundle) -> None:
    """What is shifted follows from what was approved; a request that says otherwise is refused."""
    target, plan = request.target, bundle.plan
    stable = target.stable.revision if target.stable else None
    steps: tuple[int, ...] = (100,)
    if target.environment is Environment.PRODUCTION and stable is not None:
        steps = plan.canary.steps
    if request.weight not in steps:
        raise PermanentFailure(
            f"{request.weight} % is no step of {target.service}'s plan "
            f"({', '.join(map(str, steps))} %)"
        )
    planned = TrafficSplit.step(request.weight, target.revision, stable)
    if request.new != planned:
        raise PermanentFailure(
            f"{request.weight} % of {target.release_id} is {planned}, not {request.new}"
        )
    for backend in request.old.backends:
        if backend.revision not in (stable, target.revision):
            raise PermanentFailure(
                f"{target.release_id} may not take users from {backend.revision}: it replaces "
                f"{stable or 'nobody'}"
            )


def _rehearses_its_own_way_back(request: ShiftTraffic) -> None:
    target = request.target
    stable = target.stable.revision if target.stable else None
    there, back = TrafficSplit.all_to(target.revision), TrafficSplit.all_to(stable)
    if target.environment is Environment.PRODUCTION:
        raise PermanentFailure("a rollback is rehearsed in staging, never on production's users")
    if stable is None or (request.old, request.new) != (there, back):
        raise PermanentFailure(
            f"a rehearsal of {target.release_id} goes from {there} to {back} and back again, not "
            f"from {request.old} to {request.new}"
        )


def _only(objects: RevisionObjects, kind: str) -> Manifest:
    found = [m for m in objects.shared if m["kind"] == kind]
    if len(found) != 1:
        raise PermanentFailure(
            f"the manifests of {objects.name} need exactly one {kind}, found {len(found)}"
        )
    return found[0]
