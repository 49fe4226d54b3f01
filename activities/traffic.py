"""Moving users: only to where enough pods are ready, and read back from the router."""

from __future__ import annotations

import time

from temporalio import activity

from activities.entry import Entry
from activities.fleet import Fleet
from activities.gatekeeper import Gatekeeper
from activities.revisions import Blueprint, needed
from activities.route import Route
from domain.errors import PermanentFailure
from domain.release import RollbackRehearsal
from domain.revision import Manifest, RevisionObjects
from domain.rollout import RolloutPhase
from domain.steps import RevisionRequest, ShiftedTraffic, ShiftTraffic


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
        objects = await self._blueprint.of(bundle, target.bundle)
        await self._carry(target.revision, needed(target, objects, request.weight))
        started = time.monotonic()
        if await self._route.split(target.service) is None and not request.old.backends:
            told = await self._route.open(
                _only(objects, "HTTPRoute"), request.new, objects.port, target.release_id
            )
        else:
            told = await self._route.move(
                target.service, request.old, request.new, objects.port, target.release_id
            )
        seconds = time.monotonic() - started
        return ShiftedTraffic(split=request.new, seconds=seconds, sentence=f"{request.new}, {told}")

    @activity.defn
    async def rehearse_rollback(self, request: ShiftTraffic) -> RollbackRehearsal:
        """Go back (`new`) and forward again (`old`); how long the way back takes is evidence."""
        target = request.target
        bundle = await self._gatekeeper.admit(target)
        objects = await self._blueprint.of(bundle, target.bundle)
        for backend in (*request.new.backends, *request.old.backends):
            await self._carry(backend.revision, 1)
        move = self._route.move
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
        """Let the entry Service select this revision."""
        bundle = await self._gatekeeper.admit(target)
        objects = await self._blueprint.of(bundle, target.bundle)
        await self._carry(target.revision, 1)
        previous = target.stable.revision if target.stable else None
        await self._entry.point(_only(objects, "Service"), target.revision, previous)

    async def _carry(self, revision: str, pods: int) -> None:
        await self._fleet.size(revision, pods)
        state = await self._fleet.await_ready(revision, pods)
        if state.phase is not RolloutPhase.READY:
            raise PermanentFailure(f"no traffic is sent to {revision}: {state.sentence}")


def _only(objects: RevisionObjects, kind: str) -> Manifest:
    found = [m for m in objects.shared if m["kind"] == kind]
    if len(found) != 1:
        raise PermanentFailure(
            f"the manifests of {objects.name} need exactly one {kind}, found {len(found)}"
        )
    return found[0]
