"""Is what runs still the bundle? A revision's objects and its traffic, compared with what was made.

A bundle never changes, so its objects are made once per process; a look costs reads only.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from activities.archive import Archive
from activities.revisions import Blueprint
from activities.route import Route
from clients.cluster import Cluster
from domain.bundle import BundleReference
from domain.drift import drift
from domain.errors import NoAccess, PermanentFailure
from domain.revision import Manifest, RevisionObjects
from domain.routes import selected_revision
from domain.steps import RevisionRequest

KEPT_BUNDLES = 256


class Drift:
    """Compares one environment's live objects with the bundles that were deployed there."""

    def __init__(
        self, cluster: Cluster, route: Route, archive: Archive, blueprint: Blueprint
    ) -> None:
        self._cluster = cluster
        self._route = route
        self._archive = archive
        self._blueprint = blueprint
        self._made: OrderedDict[str, RevisionObjects] = OrderedDict()

    async def of(self, target: RevisionRequest) -> str | None:
        """What differs, object and field, or None; it serves everybody of its environment.

        Raises TransientFailure while the cluster, or a registry that is still needed, is away,
        NoAccess when one of them does not let us in.
        """
        objects = await self._objects(target.bundle)
        found = await asyncio.gather(*(self._compared(one) for one in objects.own))
        return next(filter(None, found), None) or await self._diverted(target)

    async def _compared(self, wanted: Manifest) -> str | None:
        return drift(await self._cluster.read(wanted["kind"], wanted["metadata"]["name"]), wanted)

    async def _diverted(self, target: RevisionRequest) -> str | None:
        """Whether somebody else serves instead of the revision that is looked at."""
        service, revision = target.service, target.revision
        try:
            split = await self._route.split(service)
        except NoAccess:
            raise  # nobody saw the route, so nothing is known of it
        except PermanentFailure as foreign:
            return str(foreign)
        weight = split.weight_of(revision) if split else 0
        if weight != 100:
            return f"HTTPRoute {service} sends {weight} % to {revision}, not everybody"
        entry = await self._cluster.read("Service", service)
        selected = selected_revision(entry) if entry else None
        if selected != target.bundle.short:
            return f"Service {service} selects revision {selected}, not {target.bundle.short}"
        return None

    async def _objects(self, reference: BundleReference) -> RevisionObjects:
        name = str(reference)
        if name not in self._made:
            bundle = await self._archive.load_bundle(reference)
            self._made[name] = await self._blueprint.of(bundle, reference)
            if len(self._made) > KEPT_BUNDLES:
                self._made.popitem(last=False)
        self._made.move_to_end(name)
        return self._made[name]
