"""The router of one cluster: Gateway API HTTPRoutes, moved by JSON patch and read back."""

from __future__ import annotations

from datetime import timedelta

from activities.beat import heartbeats
from clients.cluster import Cluster
from domain.errors import Conflict, PermanentFailure, TransientFailure
from domain.revision import Manifest
from domain.routes import Acceptance, acceptance, backend_refs, move, split_of
from domain.traffic import TrafficSplit

READ_BACK = timedelta(seconds=30)


class Route:
    """Moves traffic of a service; its port has four methods: split, open, move, close."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def split(self, service: str) -> TrafficSplit | None:
        """Who gets how much now; None when there is no route."""
        route = await self._cluster.read("HTTPRoute", service)
        return None if route is None else split_of(route, service)

    async def open(
        self, manifest: Manifest, split: TrafficSplit, port: int, release_id: str
    ) -> str:
        """Create the route of a first release with its first split; returns what was read back."""
        rule = {**manifest["spec"]["rules"][0], "backendRefs": backend_refs(split, port)}
        annotations = manifest["metadata"].get("annotations", {})
        created = {
            **manifest,
            "metadata": {
                **manifest["metadata"],
                "annotations": {**annotations, "tidegate.dev/release": release_id},
            },
            "spec": {**manifest["spec"], "rules": [rule]},
        }
        name = manifest["metadata"]["name"]
        try:
            await self._cluster.create(created)
        except Conflict:
            if await self.split(name) != split:
                raise
        return await self._read_back(name, split)

    async def move(
        self,
        service: str,
        old: TrafficSplit,
        new: TrafficSplit,
        port: int,
        release_id: str,
        *,
        previous: str | None = None,
    ) -> str:
        """Go from one split to another and read it back; Conflict when it was neither.

        `previous` is recorded as the revision that a rollback may return users to.
        """
        route = await self._cluster.read("HTTPRoute", service)
        if route is None:
            raise PermanentFailure(f"HTTPRoute {service} is gone from {self._cluster.namespace}")
        current = split_of(route, service)
        if current != new:
            if current != old:
                raise Conflict(
                    f"HTTPRoute {service} gives {current}; expected {old}. Somebody else moved it"
                )
            operations = move(route, new, port, release_id, previous)
            try:
                await self._cluster.patch("HTTPRoute", service, operations)
            except Conflict:
                # A worker that was held for dead, and went on, may have moved it just there.
                if await self.split(service) != new:
                    raise
        return await self._read_back(service, new)

    async def close(self, service: str, revision: str) -> bool:
        """Delete the route that a first release opened, if it still serves only this revision."""
        route = await self._cluster.read("HTTPRoute", service)
        if route is None:
            return False
        if split_of(route, service) != TrafficSplit.all_to(revision):
            raise Conflict(f"HTTPRoute {service} no longer belongs to {revision} alone")
        await self._cluster.delete("HTTPRoute", service, uid=route["metadata"]["uid"])
        return True

    async def _read_back(self, service: str, wanted: TrafficSplit) -> str:
        """What the routers say of the route that was written; Conflict when it is another now."""

        def taken(route: Manifest) -> Acceptance | None:
            if (found := split_of(route, service)) != wanted:
                raise Conflict(
                    f"HTTPRoute {service} gives {found}; {wanted} was just written. Somebody else "
                    "moved it"
                )
            return acceptance(route)

        async with heartbeats(f"reading back HTTPRoute {service}"):
            found = await self._cluster.watch_until("HTTPRoute", service, taken, timeout=READ_BACK)
        if not found.accepted:
            raise TransientFailure(
                f"the gateway does not take HTTPRoute {service}: {found.sentence}"
            )
        return found.sentence
