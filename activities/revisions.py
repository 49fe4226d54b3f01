"""Creating a revision beside stable, keeping stable's pods, and settling at the end."""

from __future__ import annotations

from temporalio import activity

from activities.archive import Archive
from activities.fleet import Fleet
from activities.gatekeeper import Gatekeeper
from activities.stable import StableReader
from domain.bundle import Bundle, BundleReference
from domain.environments import Environment
from domain.errors import PermanentFailure
from domain.revision import RevisionName, RevisionObjects, make_revision
from domain.rollout import RolloutPhase
from domain.steps import (
    CreatedRevision,
    CreateRevision,
    RevisionRequest,
    Settle,
    StableQuery,
)
from domain.traffic import StableRevision, pods_needed


class Blueprint:
    """Makes a bundle's objects for one environment's namespace."""

    def __init__(self, environment: Environment, namespace: str, archive: Archive) -> None:
        self._environment = environment
        self._namespace = namespace
        self._archive = archive

    async def of(self, bundle: Bundle, reference: BundleReference) -> RevisionObjects:
        """The revision's own and shared objects."""
        name = RevisionName(
            service=bundle.service,
            short=reference.short,
            namespace=self._namespace,
            bundle=str(reference),
            commit=bundle.commit,
        )
        manifests = await self._archive.load_manifests(reference, self._environment)
        container = bundle.plan.container or bundle.service
        return make_revision(manifests, name, image=bundle.image, container=container)


class Revisions:
    """One environment's revisions."""

    def __init__(
        self, gatekeeper: Gatekeeper, stable: StableReader, fleet: Fleet, blueprint: Blueprint
    ) -> None:
        self._gatekeeper = gatekeeper
        self._stable = stable
        self._fleet = fleet
        self._blueprint = blueprint

    @activity.defn
    async def read_stable(self, query: StableQuery) -> StableRevision | None:
        """What serves now?"""
        return await self._stable.read(query.service)

    @activity.defn
    async def create_revision(self, request: CreateRevision) -> CreatedRevision:
        """Create the objects, then wait until the pods for the first share are ready."""
        target = request.target
        bundle = await self._gatekeeper.admit(target)
        objects = await self._blueprint.of(bundle, target.bundle)
        serving = await serving_pods(self._fleet, target)
        replicas = needed(target, objects, request.weight, serving)
        adopted = await self._fleet.create(
            objects, replicas, target.release_id, bundle.plan.metrics
        )
        if adopted:
            await self._fleet.size(objects.name, replicas)
        state = await self._fleet.await_ready(objects.name, replicas)
        return CreatedRevision(
            revision=objects.name,
            ready_pods=state.ready_pods,
            adopted=adopted,
            healthy=state.phase is RolloutPhase.READY,
            sentence=state.sentence,
        )

    @activity.defn
    async def hold_capacity(self, target: RevisionRequest) -> None:
        """Keep the pods that stable has now, until the release has settled."""
        await self._gatekeeper.admit(target)
        if target.stable is not None:
            pods = await serving_pods(self._fleet, target)
            await self._fleet.keep_at_least(target.stable.revision, pods)

    @activity.defn
    async def settle_release(self, request: Settle) -> str:
        """Retire the old revision, let the new one breathe, drop what is beyond `retain`.

        Asks for no approval: it sends no user anywhere, and what an approval led to must be ended
        after the approval, or whoever gave it, is gone. In production the proof is the cluster's:
        this bundle serves everybody.
        """
        target = request.target
        bundle = await self._gatekeeper.recognise_serving(target)
        objects = await self._blueprint.of(bundle, target.bundle)
        if await self._fleet.ready_pods(target.revision) == 0:
            raise PermanentFailure(f"{target.revision} has no ready pod; nothing is retired")
        told = f"{target.revision} has settled"
        if target.stable is not None and target.stable.revision != target.revision:
            await self._fleet.retire(target.service, target.stable.revision, request.drain)
            told += f"; {target.stable.revision} is kept at zero replicas"
        await self._fleet.relax(target.revision, objects.replicas)
        dropped = await self._drop_old(target, request.retain)
        return told + (f"; {', '.join(dropped)} deleted" if dropped else "")

    async def _drop_old(self, target: RevisionRequest, retain: int) -> list[str]:
        retired = await self._fleet.retired(target.service)
        names = [d["metadata"]["name"] for d in retired if d["metadata"]["name"] != target.revision]
        for name in names[retain:]:
            await self._fleet.delete(target.service, name)
        return names[retain:]


async def serving_pods(fleet: Fleet, target: RevisionRequest) -> int:
    """Stable's ready pods now, or when the evidence was frozen if they were more.

    The load of noon is not that of the night before; and a moment's lack of pods lowers nothing.
    """
    if target.stable is None:
        return 0
    return max(target.stable.ready_pods, await fleet.ready_pods(target.stable.revision))


def needed(target: RevisionRequest, objects: RevisionObjects, weight: int, serving: int) -> int:
    """Ready pods that this weight of what `serving` pods carry asks for.

    In staging what the manifests declare.
    """
    if target.environment is not Environment.PRODUCTION or target.stable is None:
        return objects.replicas
    wanted = pods_needed(weight, serving, objects.replicas)
    scalers = [m for m in objects.own if m["kind"] == "HorizontalPodAutoscaler"]
    most = min((m["spec"]["maxReplicas"] for m in scalers), default=wanted)
    if 100 * most < weight * serving:
        raise PermanentFailure(
            f"{weight} % of what {serving} pods of {target.stable.revision} serve "
            f"needs more than the {most} pods that the autoscaler of {objects.name} allows; raise "
            "its maxReplicas"
        )
    # Above its maximum the autoscaler would take the pods away again: it costs headroom at most.
    return min(wanted, most)
