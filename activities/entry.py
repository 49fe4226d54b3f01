"""The entry Service: what callers inside the cluster use; it selects one revision."""

from __future__ import annotations

from clients.cluster import Cluster
from domain import labels
from domain.errors import Conflict, PermanentFailure
from domain.revision import Manifest
from domain.routes import annotate, selected_revision

SELECTOR = "/spec/selector"


class Entry:
    """Points Services at revisions by JSON patch."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def point(self, manifest: Manifest, revision: str, previous: str | None) -> None:
        """Select `revision`; creates the Service on a first release.

        Raises Conflict when it selects neither `previous` nor `revision`.
        """
        name, short = manifest["metadata"]["name"], revision.rpartition("-")[2]
        live = await self._cluster.read("Service", name)
        if live is None:
            selector = {**manifest["spec"]["selector"], labels.REVISION: short}
            created = {**manifest, "spec": {**manifest["spec"], "selector": selector}}
            try:
                await self._cluster.create(created)
            except Conflict:
                if await self.selected(name) != revision:
                    raise
            return
        selected = selected_revision(live)
        if selected == short:
            return
        if selected is None or f"{revision.rpartition('-')[0]}-{selected}" != previous:
            raise Conflict(
                f"Service {name} selects revision {selected}, expected {previous}; somebody else "
                "changed it"
            )
        await self._select(name, live, short, {labels.PREVIOUS: previous})

    async def selected(self, service: str) -> str | None:
        """The revision that callers inside the cluster reach; None when there is none."""
        live = await self._cluster.read("Service", service)
        short = selected_revision(live) if live else None
        return f"{service}-{short}" if short else None

    async def restore(self, service: str, revision: str, previous: str | None) -> bool:
        """Undo `point`: select `previous` again, or delete what a first release created.

        False when it does not select `revision` (any more).
        """
        live = await self._cluster.read("Service", service)
        if live is None or selected_revision(live) != revision.rpartition("-")[2]:
            return False
        if previous is None:
            if live["metadata"].get("labels", {}).get(labels.MANAGED_BY) != labels.TIDEGATE:
                raise PermanentFailure(f"Service {service} is not ours to delete")
            await self._cluster.delete("Service", service, uid=live["metadata"]["uid"])
        else:
            await self._select(service, live, previous.rpartition("-")[2], {})
        return True

    async def _select(self, name: str, live: Manifest, short: str, notes: dict[str, str]) -> None:
        old = live["spec"]["selector"]
        operations = [
            {"op": "test", "path": SELECTOR, "value": old},
            {"op": "replace", "path": SELECTOR, "value": {**old, labels.REVISION: short}},
            *(annotate(live, notes) if notes else []),
        ]
        try:
            await self._cluster.patch("Service", name, operations)
        except Conflict:
            # A worker that was held for dead, and went on, may have selected just this one.
            if await self.selected(name) != f"{name}-{short}":
                raise
