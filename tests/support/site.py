"""One environment: our activities of it, and its cluster seen from outside."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, cast

from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import ActivityEnvironment

import settings as connection
import worker
from clients.cluster import Cluster
from clients.registry import Registry
from clients.sources import source_at
from domain.environments import Environment
from domain.revision import Manifest
from domain.routes import selected_revision
from domain.steps import (
    CreatedRevision,
    CreateRevision,
    RevisionRequest,
    ShiftedTraffic,
    ShiftTraffic,
    StableQuery,
)
from domain.traffic import StableRevision, TrafficSplit
from tests.support.outside import Edit, Outside

SERVICE = "album"
PORT = 8219
CHANGES = ("create", "update", "patch", "delete", "deletecollection")
OWN_KINDS = ("ConfigMap", "Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget", "Service")


@dataclass
class Activities:
    """Activities of one role by name, run as Temporal runs them."""

    methods: Mapping[str, Callable[..., Any]]
    heartbeats: list[tuple[Any, ...]] = field(default_factory=list)
    running: ActivityEnvironment | None = None

    async def do(
        self,
        name: str,
        *arguments: Any,
        attempt: int = 1,
        details: Sequence[Any] = (),
        scheduled: datetime | None = None,
    ) -> Any:
        """Run an activity; `details` are what a lost worker's last heartbeat carried."""
        self.running = environment = ActivityEnvironment()
        converter = pydantic_data_converter.payload_converter
        environment.info = replace(
            environment.info,
            attempt=attempt,
            scheduled_time=scheduled or datetime.now(UTC),
            # As Temporal hands them over: through the wire, without types.
            heartbeat_details=converter.from_payloads(converter.to_payloads(details)),
        )
        environment.on_heartbeat = lambda *beat: self.heartbeats.append(beat)
        return await environment.run(self.methods[name], *arguments)

    def give_up(self) -> None:
        """Cancel the latest activity, as its workflow does."""
        assert self.running is not None
        self.running.cancel()


class Site(Activities):
    """One environment: its activities, and its cluster as an outsider sees it."""

    def __init__(
        self, environment: Environment, outside: Outside, methods: Sequence[Callable[..., Any]]
    ) -> None:
        super().__init__({method.__name__: method for method in methods})
        self.environment = environment
        self.outside = outside
        self._heard = 0

    async def read_stable(self) -> StableRevision | None:
        """What serves, by our own activity."""
        query = StableQuery(environment=self.environment, service=SERVICE)
        return cast(StableRevision | None, await self.do("read_stable", query))

    async def create(self, target: RevisionRequest, weight: int = 100) -> CreatedRevision:
        """Create a revision."""
        request = CreateRevision(target=target, weight=weight)
        return cast(CreatedRevision, await self.do("create_revision", request))

    async def shift(
        self, target: RevisionRequest, weight: int = 100, old: TrafficSplit | None = None
    ) -> ShiftedTraffic:
        """Shift traffic; `old` is by default what stable had alone."""
        request = shift_request(target, weight, old)
        return cast(ShiftedTraffic, await self.do("shift_traffic", request))

    async def serve(self, target: RevisionRequest) -> StableRevision:
        """Bring a revision to all traffic, and read back what serves."""
        created = await self.create(target)
        assert created.healthy, created.sentence
        await self.shift(target)
        await self.do("point_entry", target)
        stable = await self.read_stable()
        assert stable is not None
        return stable

    def object(self, kind: str, name: str) -> Manifest | None:
        """An object as the cluster holds it."""
        return self.outside.get(kind, name)

    def must(self, kind: str, name: str) -> Manifest:
        """An object that must be there."""
        found = self.object(kind, name)
        assert found is not None, f"there is no {kind} {name} in {self.environment}"
        return found

    def objects(self, revision: str) -> dict[tuple[str, str], Manifest]:
        """Everything that carries a revision's label, by kind and name; pods left out."""
        short = revision.rpartition("-")[2]
        return {
            (kind, one["metadata"]["name"]): one
            for kind in OWN_KINDS
            for one in self.outside.list(kind)
            if one["metadata"].get("labels", {}).get("tidegate.dev/revision") == short
        }

    def edit(self, kind: str, name: str, edit: Edit) -> None:
        """Somebody changes an object by hand."""
        self.outside.edit(kind, name, edit)

    def remove(self, kind: str, name: str) -> None:
        """Somebody deletes an object."""
        self.outside.remove(kind, name)

    def move_by_hand(self, weights: Mapping[str, int]) -> None:
        """Somebody else sets the route's weights."""

        def move(route: Manifest) -> None:
            route["spec"]["rules"][0]["backendRefs"] = [
                {"name": name, "port": PORT, "weight": weight} for name, weight in weights.items()
            ]

        self.edit("HTTPRoute", SERVICE, move)

    def weights(self) -> dict[str, int] | None:
        """What the route says: weight by Service; None without a route."""
        route = self.object("HTTPRoute", SERVICE)
        if route is None:
            return None
        refs = route["spec"]["rules"][0]["backendRefs"]
        return {ref["name"]: ref["weight"] for ref in refs}

    def entry(self) -> str | None:
        """Which revision the entry Service selects."""
        service = self.object("Service", SERVICE)
        return None if service is None else selected_revision(service)

    def replicas(self, revision: str) -> int:
        """How many pods a revision is asked to have."""
        return int(self.must("Deployment", revision)["spec"]["replicas"])

    def ready(self, revision: str) -> int:
        """How many of a revision's pods are ready."""
        status = self.must("Deployment", revision).get("status", {})
        return int(status.get("readyReplicas", 0))

    def writes(self) -> list[str]:
        """What the API was told to change, and did, since this was last asked."""
        asked = self.outside.asked()
        fresh, self._heard = asked[self._heard :], len(asked)
        return [
            f"{one.verb} {one.resource} {one.name}"
            for one in fresh
            if one.verb in CHANGES and one.code < 400
        ]

    def requests(self, verb: str, resource: str, name: str | None = None) -> int:
        """How many such requests were answered so far."""
        return sum(
            (one.verb, one.resource) == (verb, resource) and name in (None, one.name)
            for one in self.outside.asked()
        )


def shift_request(
    target: RevisionRequest, weight: int, old: TrafficSplit | None = None
) -> ShiftTraffic:
    """From what stable had alone (or `old`) to a step."""
    stable = target.stable.revision if target.stable else None
    return ShiftTraffic(
        target=target,
        weight=weight,
        old=TrafficSplit.all_to(stable) if old is None else old,
        new=TrafficSplit.step(weight, target.revision, stable),
    )


@asynccontextmanager
async def cluster_activities(
    environment: Environment, settings: connection.Settings, registry: Registry
) -> AsyncIterator[Sequence[Callable[..., Any]]]:
    """One environment's activities by these settings."""
    place = settings.cluster(environment)
    cluster = await Cluster.connect(place.kubeconfig, place.context, place.namespace)
    source = source_at(place.source)
    try:
        yield worker._cluster(environment, settings, registry, cluster, source)
    finally:
        await source.close()
        await cluster.close()


def named_activities(methods: Sequence[Callable[..., Any]]) -> Activities:
    return Activities({method.__name__: method for method in methods})
