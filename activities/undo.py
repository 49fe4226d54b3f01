"""Carrying out compensations: each says what it did, or that there was nothing to do."""

from __future__ import annotations

from datetime import timedelta

from temporalio import activity

from activities.entry import Entry
from activities.fleet import Fleet
from activities.route import Route
from clients.cluster import Cluster
from domain import labels
from domain.errors import PermanentFailure
from domain.journal import (
    RestoreCapacity,
    RestoreEntry,
    RestoreTraffic,
    RetireRevision,
    UndoOutcome,
    UndoResult,
)
from domain.revision import Manifest
from domain.rollout import RolloutPhase
from domain.steps import Undo
from domain.traffic import HEADROOM, TrafficSplit, pods_behind

DONE, NOTHING, SUPERSEDED = UndoOutcome.DONE, UndoOutcome.NOTHING_TO_DO, UndoOutcome.SUPERSEDED


class Undoing:
    """One environment's compensations; needs no approval, since it only leads back.

    Where "back" is, the cluster says: each move away from a revision left its name there. So a
    rollback needs neither the registry nor the policy, and a forged one reaches nobody else.
    """

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
        await self._only_back(undo, undo.split)
        if not undo.split.backends:
            await self._route.close(undo.service, undo.revision)
            return DONE, f"the route of the first release of {undo.service} is closed"
        for backend in undo.split.backends:
            await self._must_serve(backend.revision, current, undo.pods)
        port = await self._port(undo.service)
        told = await self._route.move(undo.service, current, undo.split, port, release_id)
        return DONE, f"{undo.split}, {told}"

    async def _only_back(self, undo: RestoreTraffic | RestoreEntry, wanted: TrafficSplit) -> None:
        """Refuse to send users anywhere but to whom the cluster says they came from."""
        recorded = await self._served_before(undo.service, undo.revision)
        if wanted != TrafficSplit.all_to(recorded):
            raise PermanentFailure(
                f"before {undo.revision}, {recorded or 'nobody'} served {undo.service} by the "
                f"cluster's own record; a rollback does not send users to {wanted}"
            )

    async def _served_before(self, service: str, revision: str) -> str | None:
        """Written when users left it; else who callers inside the cluster were not moved from."""
        route = await self._cluster.read("HTTPRoute", service)
        if noted := _noted(route):
            return noted
        selected = await self._entry.selected(service)
        if selected is not None and selected != revision:
            return selected
        return _noted(await self._cluster.read("Service", service))

    async def _must_serve(self, revision: str, current: TrafficSplit, recorded: int) -> None:
        """The copy that users return to must be able to take them: what they need now, at least.

        One that serves nearly all of them takes the few others at once, with its headroom.
        """
        leaving = [b.revision for b in current.backends if b.revision != revision]
        ready = [await self._fleet.ready_pods(one) for one in leaving]
        busy = pods_behind(max(ready, default=0))
        held = await self._fleet.minimum_of(revision) or 1
        most = await self._fleet.maximum_of(revision)
        pods = max(1, recorded, busy, held)
        pods = min(pods, most) if most is not None else pods
        await self._fleet.size(revision, pods)
        serves_most = current.weight_of(revision) * HEADROOM >= 100
        state = await self._fleet.await_ready(revision, 1 if serves_most else pods)
        takes_them = state.phase is RolloutPhase.READY or state.ready_pods >= max(1, busy)
        if not takes_them:
            raise PermanentFailure(f"users cannot return to {revision}: {state.sentence}")

    async def _port(self, service: str) -> int:
        route = await self._cluster.read("HTTPRoute", service)
        refs = (route or {}).get("spec", {}).get("rules", [{}])[0].get("backendRefs", [])
        if not refs:
            raise PermanentFailure(f"HTTPRoute {service} has no backend to read the port from")
        return int(refs[0]["port"])

    async def _restore_entry(self, undo: RestoreEntry) -> tuple[UndoOutcome, str]:
        if await self._entry.selected(undo.service) != undo.revision:
            return NOTHING, f"Service {undo.service} is elsewhere"
        await self._only_back(undo, TrafficSplit.all_to(undo.previous))
        if undo.previous is not None:
            current = await self._route.split(undo.service) or TrafficSplit()
            await self._must_serve(undo.previous, current, 0)
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


def _noted(manifest: Manifest | None) -> str | None:
    """The revision that a release noted as the one it replaced."""
    noted: str | None = (
        (manifest or {}).get("metadata", {}).get("annotations", {}).get(labels.PREVIOUS)
    )
    return noted
