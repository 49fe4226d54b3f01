"""Carrying out compensations: each says what it did, or that there was nothing to do."""

from __future__ import annotations

from datetime import timedelta

from temporalio import activity

from activities.entry import Entry
from activities.fleet import Fleet
from activities.route import Route
from clients.cluster import Cluster
from domain.errors import PermanentFailure
from domain.journal import (
    RestoreCapacity,
    RestoreEntry,
    RestoreTraffic,
    RetireRevision,
    UndoOutcome,
    UndoResult,
)
from domain.rollout import RolloutPhase
from domain.steps import Undo

DONE, NOTHING, SUPERSEDED = UndoOutcome.DONE, UndoOutcome.NOTHING_TO_DO, UndoOutcome.SUPERSEDED


class Undoing:
    """One environment's compensations; needs no approval, since it only leads back."""

    def __init__(self, cluster: Cluster, route: Route, entry: Entry, fleet: Fleet) -> None:
        self._cluster = cluster
        self._route = route
        self._entry = entry
        self._fleet = fleet

    @activity.defn
    async def undo(self, request: Undo) -> UndoResult:
        """Undo one step; doing it again is doing nothing."""
        compensation = request.compensation
        match compensation:
            case RestoreTraffic():
                outcome, told = await self._restore_traffic(compensation, request.release_id)
            case RestoreEntry():
                outcome, told = await self._restore_entry(compensation)
            case RestoreCapacity():
                outcome, told = await self._restore_capacity(compensation)
            case RetireRevision():
                outcome, told = await self._retire(compensation, request.drain)
        return UndoResult(compensation=compensation, outcome=outcome, sentence=told)

    async def _restore_traffic(
        self, undo: RestoreTraffic, release_id: str
    ) -> tuple[UndoOutcome, str]:
        current = await self._route.split(undo.service)
        if current is None or current == undo.split:
            return NOTHING, f"{undo.service} gives {current or 'nobody'} already"
        if current.weight_of(undo.revision) == 0:
            return SUPERSEDED, f"{undo.service} gives {current}: a newer release moved it"
        if not undo.split.backends:
            await self._route.close(undo.service, undo.revision)
            return DONE, f"the route of the first release of {undo.service} is closed"
        for backend in undo.split.backends:
            await self._must_serve(backend.revision)
        port = await self._port(undo.service)
        told = await self._route.move(undo.service, current, undo.split, port, release_id)
        return DONE, f"{undo.split}, {told}"

    async def _must_serve(self, revision: str) -> None:
        """The copy that users return to must be able to take them."""
        pods = max(1, await self._fleet.ready_pods(revision))
        await self._fleet.size(revision, pods)
        state = await self._fleet.await_ready(revision, pods)
        if state.phase is not RolloutPhase.READY:
            raise PermanentFailure(f"users cannot return to {revision}: {state.sentence}")

    async def _port(self, service: str) -> int:
        route = await self._cluster.read("HTTPRoute", service)
        refs = (route or {}).get("spec", {}).get("rules", [{}])[0].get("backendRefs", [])
        if not refs:
            raise PermanentFailure(f"HTTPRoute {service} has no backend to read the port from")
        return int(refs[0]["port"])

    async def _restore_entry(self, undo: RestoreEntry) -> tuple[UndoOutcome, str]:
        changed = await self._entry.restore(undo.service, undo.revision, undo.previous)
        told = f"Service {undo.service} selects {undo.previous or 'nothing: it is gone'}"
        return (DONE, told) if changed else (NOTHING, f"Service {undo.service} is elsewhere")

    async def _restore_capacity(self, undo: RestoreCapacity) -> tuple[UndoOutcome, str]:
        changed = await self._fleet.restore_minimum(undo.revision, undo.min_replicas)
        return (DONE if changed else NOTHING), f"minimum of {undo.revision}: {undo.min_replicas}"

    async def _retire(self, undo: RetireRevision, drain: timedelta) -> tuple[UndoOutcome, str]:
        changed = await self._fleet.retire(undo.service, undo.revision, drain)
        told = f"{undo.revision} is at zero replicas"
        return (DONE if changed else NOTHING), told
