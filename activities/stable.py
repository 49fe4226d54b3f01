"""Reading which revision serves now, before anything is changed."""

from __future__ import annotations

from activities.fleet import Fleet
from activities.route import Route
from clients.cluster import Cluster
from domain import labels
from domain.environments import Environment
from domain.errors import PermanentFailure
from domain.routes import selected_revision
from domain.traffic import StableRevision


class StableReader:
    """Knows one environment."""

    def __init__(
        self, environment: Environment, cluster: Cluster, route: Route, fleet: Fleet
    ) -> None:
        self._environment = environment
        self._cluster = cluster
        self._route = route
        self._fleet = fleet

    async def read(self, service: str) -> StableRevision | None:
        """The revision that serves; None before a first release.

        Raises PermanentFailure when something serves that Tidegate did not deploy.
        """
        split = await self._route.split(service)
        if split is None or not split.backends:
            await self._refuse_unmanaged(service)
            await self._refuse_lost_route(service)
            return None
        revision = await self._serving(service, [b.revision for b in split.backends])
        deployment = await self._cluster.read("Deployment", revision)
        if deployment is None:
            raise PermanentFailure(
                f"HTTPRoute {service} in {self._environment} points to {revision}, which has no "
                "Deployment; restore it, or point the route at a revision that exists"
            )
        annotations = deployment["metadata"].get("annotations", {})
        if not {labels.BUNDLE, labels.COMMIT} <= annotations.keys():
            raise PermanentFailure(
                f"Deployment {revision} in {self._environment} does not say which bundle it is; it "
                "was not deployed by Tidegate, and adopting existing deployments is not supported "
                "yet"
            )
        return StableRevision(
            environment=self._environment,
            revision=revision,
            bundle=annotations[labels.BUNDLE],
            commit=annotations[labels.COMMIT],
            ready_pods=deployment.get("status", {}).get("readyReplicas", 0),
            min_replicas=await self._fleet.minimum_of(revision),
        )

    async def is_up(self, revision: str) -> bool:
        """Whether a revision has been asked for pods: the first write of its release was made."""
        deployment = await self._cluster.read("Deployment", revision)
        return deployment is not None and deployment["spec"].get("replicas", 1) > 0

    async def weight_of(self, service: str, revision: str) -> int:
        """Percent that the route gives a revision."""
        split = await self._route.split(service)
        return split.weight_of(revision) if split else 0

    async def _serving(self, service: str, revisions: list[str]) -> str:
        """One backend serves; of two (somebody stopped half-way) the entry Service tells which."""
        if len(revisions) == 1:
            return revisions[0]
        entry = await self._cluster.read("Service", service)
        selected = selected_revision(entry) if entry else None
        if f"{service}-{selected}" not in revisions:
            raise PermanentFailure(
                f"HTTPRoute {service} in {self._environment} splits traffic between "
                f"{', '.join(revisions)} and Service {service} selects neither; settle it by hand"
            )
        return f"{service}-{selected}"

    async def _refuse_unmanaged(self, service: str) -> None:
        for kind in ("Deployment", "Service"):
            found = await self._cluster.read(kind, service)
            managed = (found or {}).get("metadata", {}).get("labels", {}).get(labels.MANAGED_BY)
            if found is not None and managed != labels.TIDEGATE:
                raise PermanentFailure(
                    f"{kind} {service} in {self._environment} was not deployed by Tidegate; "
                    "adopting existing deployments is not supported yet"
                )

    async def _refuse_lost_route(self, service: str) -> None:
        """A first release has neither route nor entry; callers without a route are no beginning."""
        entry = await self._cluster.read("Service", service)
        selected = selected_revision(entry) if entry else None
        if selected is not None:
            raise PermanentFailure(
                f"Service {service} in {self._environment} selects {service}-{selected}, but "
                f"HTTPRoute {service} is gone or sends nobody anywhere; restore the route (all to "
                f"{service}-{selected}) before you release again"
            )
