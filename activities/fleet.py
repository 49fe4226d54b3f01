"""Revisions in one cluster: their objects, their pods, and taking them away safely."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio import activity

from activities.beat import heartbeats
from activities.demand import Demand
from activities.route import Route
from activities.service_objects import ensure_service_object
from clients.cluster import Cluster
from domain import labels
from domain.drain import note_of, noted_measure
from domain.errors import Conflict, PermanentFailure, TransientFailure
from domain.metrics.measure import Measure
from domain.metrics.plan import MetricsPlan
from domain.records import Record
from domain.revision import Manifest, RevisionObjects
from domain.rollout import Rollout, RolloutPhase, rollout
from domain.routes import annotate, selected_revision
from domain.traffic import pods_to_carry

FIRST_POLL, LONGEST_POLL = timedelta(milliseconds=100), timedelta(seconds=2)
WHILE_STARTING = timedelta(minutes=12)


class Draining(Record):
    """One revision's wait for silence; the heartbeat carries it over a lost worker."""

    revision: str
    since: datetime
    deadline: datetime


class Fleet:
    """Creates, scales and retires revisions; never edits a pod template."""

    def __init__(self, cluster: Cluster, route: Route, demand: Demand) -> None:
        self._cluster = cluster
        self._route = route
        self._demand = demand

    async def create(
        self, revision: RevisionObjects, replicas: int, release_id: str, metrics: MetricsPlan
    ) -> bool:
        """Create a revision's objects; True when the same revision lay there already.

        `metrics`, of its verified plan, is noted for whoever retires it.

        Raises PermanentFailure when an object of that name has another content.
        """
        for manifest in revision.shared:
            await ensure_service_object(self._cluster, manifest)
        adopted = False
        for manifest in revision.own:
            wanted = _sized(manifest, replicas)
            wanted["metadata"]["annotations"] = {
                **wanted["metadata"].get("annotations", {}),
                labels.RELEASE: release_id,
            }
            if manifest["kind"] == "Deployment":
                wanted["metadata"]["annotations"][labels.METRICS] = note_of(metrics)
            try:
                await self._cluster.create(wanted)
            except Conflict:
                await self._same(wanted, revision.spec_hash)
                adopted = adopted or manifest["kind"] == "Deployment"
        return adopted

    async def size(self, revision: str, replicas: int) -> None:
        """Give a revision at least so many replicas; it is never made smaller here."""
        deployment = await self._deployment(revision)
        current = deployment["spec"].get("replicas", 1)
        if current < replicas:
            operations = _replace("/spec/replicas", current, replicas)
            await self._resize("Deployment", revision, operations)
        await self.keep_at_least(revision, replicas)

    async def keep_at_least(self, revision: str, replicas: int) -> None:
        """Raise the autoscaler's minimum (never above its maximum), so that it does not shrink."""
        scaler = await self._scaler(revision)
        if scaler is None:
            return
        current = scaler["spec"].get("minReplicas", 1)
        wanted = min(replicas, scaler["spec"]["maxReplicas"])
        if current < wanted:
            await self._set_minimum(scaler, wanted)

    async def relax(self, revision: str, declared: int) -> None:
        """Back to the declared size: the autoscaler's minimum, or the replicas without one."""
        scaler = await self._scaler(revision)
        if scaler is not None:
            await self.restore_minimum(revision, declared)
            return
        current = (await self._deployment(revision))["spec"].get("replicas", 1)
        if current > declared:
            operations = _replace("/spec/replicas", current, declared)
            await self._resize("Deployment", revision, operations)

    async def restore_minimum(self, revision: str, minimum: int) -> bool:
        """Set the autoscaler's minimum back; False when there is nothing to do."""
        scaler = await self._scaler(revision)
        if scaler is None or scaler["spec"].get("minReplicas", 1) == minimum:
            return False
        await self._set_minimum(scaler, minimum)
        return True

    async def minimum_of(self, revision: str) -> int | None:
        """The autoscaler's minimum, None without an autoscaler."""
        scaler = await self._scaler(revision)
        return scaler["spec"].get("minReplicas", 1) if scaler else None

    async def maximum_of(self, revision: str) -> int | None:
        """The autoscaler's maximum, None without an autoscaler."""
        scaler = await self._scaler(revision)
        return int(scaler["spec"]["maxReplicas"]) if scaler else None

    async def await_ready(self, revision: str, needed: int) -> Rollout:
        """Wait until so many pods are ready, or until it is clear that they will not be."""
        selector = {labels.REVISION: revision.rpartition("-")[2]}
        deadline, pause = datetime.now(UTC) + WHILE_STARTING, FIRST_POLL
        async with heartbeats(f"waiting for {revision}") as pulse:
            while True:
                deployment = await self._deployment(revision)
                pods = await self._cluster.list("Pod", selector)
                state = rollout(deployment, pods, needed)
                pulse.carry(state.sentence)
                if state.phase is not RolloutPhase.WAITING:
                    return state
                if datetime.now(UTC) > deadline:
                    raise TransientFailure(f"{state.sentence} after {WHILE_STARTING}")
                await asyncio.sleep(pause.total_seconds())
                pause = min(pause * 1.5, LONGEST_POLL)

    async def ready_pods(self, revision: str) -> int:
        """How many pods serve now; 0 when the revision is gone."""
        deployment = await self._cluster.read("Deployment", revision)
        return int((deployment or {}).get("status", {}).get("readyReplicas", 0))

    async def require_carrying(self, revision: str, weight: int, beside: str) -> None:
        """Raise PermanentFailure when a revision could not carry its weight alone.

        `beside` is the revision that is about to go: its ready pods tell what the traffic takes.
        """
        deployment = await self._cluster.read("Deployment", revision) or {}
        asked = int(deployment.get("spec", {}).get("replicas", 1))
        ready = int(deployment.get("status", {}).get("readyReplicas", 0))
        needed = pods_to_carry(weight, asked, await self.ready_pods(beside))
        if ready < needed:
            having = f"{ready} of the {needed} ready pods it needs" if ready else "a ready pod"
            raise PermanentFailure(
                f"{revision} serves {weight} % {'with' if ready else 'without'} {having}; "
                f"{beside} is kept"
            )

    async def retire(self, service: str, revision: str, drain: timedelta) -> bool:
        """Scale a revision to zero, if nobody is sent to it and somebody else serves.

        Returns False when it has no replicas already; raises PermanentFailure when it is still
        reachable. Waits for silence: no request seen by what its plan counts, or the drain
        deadline.
        """
        deployment = await self._cluster.read("Deployment", revision)
        if deployment is None or deployment["spec"].get("replicas", 1) == 0:
            return False
        await self._refuse_if_reachable(service, revision)
        await self._await_silence(revision, noted_measure(deployment), drain)
        # The wait may have been long: an autoscaler, or somebody with a route, was busy meanwhile.
        await self._refuse_if_reachable(service, revision)
        deployment = await self._deployment(revision)
        replicas = deployment["spec"].get("replicas", 1)
        if replicas == 0:
            return False
        stamp = annotate(deployment, {labels.RETIRED_AT: datetime.now(UTC).isoformat()})
        operations = _replace("/spec/replicas", replicas, 0) + stamp
        await self._resize("Deployment", revision, operations)
        return True

    async def retired(self, service: str) -> list[Manifest]:
        """Deployments of a service that are scaled to zero, the latest first."""
        found = await self._cluster.list("Deployment", {labels.SERVICE: service})
        idle = [d for d in found if d["spec"].get("replicas", 1) == 0]
        stamped = [d for d in idle if labels.RETIRED_AT in d["metadata"].get("annotations", {})]
        return sorted(
            stamped,
            key=lambda d: str(d["metadata"]["annotations"][labels.RETIRED_AT]),
            reverse=True,
        )

    async def delete(self, service: str, revision: str) -> None:
        """Delete a retired revision's objects, exactly those that were just seen."""
        await self._refuse_if_reachable(service, revision)
        selector = {labels.SERVICE: service, labels.REVISION: revision.rpartition("-")[2]}
        for kind in (
            "HorizontalPodAutoscaler",
            "PodDisruptionBudget",
            "Deployment",
            "Service",
            "ConfigMap",
        ):
            for found in await self._cluster.list(kind, selector):
                metadata = found["metadata"]
                await self._cluster.delete(kind, metadata["name"], uid=metadata["uid"])

    async def _refuse_if_reachable(self, service: str, revision: str) -> None:
        split = await self._route.split(service)
        entry = await self._cluster.read("Service", service)
        if split is not None and split.weight_of(revision) > 0:
            raise PermanentFailure(
                f"{revision} still gets {split.weight_of(revision)} % of {service}'s traffic"
            )
        if entry is not None and selected_revision(entry) == revision.rpartition("-")[2]:
            raise PermanentFailure(f"Service {service} still selects {revision}")
        for backend in split.backends if split else ():
            await self.require_carrying(backend.revision, backend.weight, revision)

    async def _await_silence(
        self, revision: str, measure: Measure | None, drain: timedelta
    ) -> None:
        """Wait until nobody asks, `drain` at most, however many attempts that takes."""
        wait = _draining(revision, drain)
        if measure is None:
            told = "the annotation %s of %s cannot be read: only the drain's deadline ends its wait"
            activity.logger.warning(told, labels.METRICS, revision)
        async with heartbeats(wait):
            while (left := wait.deadline - datetime.now(UTC)) > timedelta(0):
                if measure and await self._demand.is_silent(revision, wait.since, measure):
                    return
                pause = min(left, max(FIRST_POLL, self._demand.scrape))
                await asyncio.sleep(pause.total_seconds())

    async def _resize(self, kind: str, name: str, operations: list[dict[str, Any]]) -> None:
        """Write a number of pods; whoever was faster, an autoscaler for one, is looked at again."""
        try:
            await self._cluster.patch(kind, name, operations)
        except Conflict as conflict:
            raise TransientFailure(str(conflict)) from conflict

    async def _deployment(self, revision: str) -> Manifest:
        deployment = await self._cluster.read("Deployment", revision)
        if deployment is None:
            raise PermanentFailure(f"Deployment {revision} is gone from {self._cluster.namespace}")
        return deployment

    async def _scaler(self, revision: str) -> Manifest | None:
        short = revision.rpartition("-")[2]
        scalers = await self._cluster.list("HorizontalPodAutoscaler", {labels.REVISION: short})
        own = [s for s in scalers if s["spec"]["scaleTargetRef"]["name"] == revision]
        return own[0] if own else None

    async def _set_minimum(self, scaler: Manifest, minimum: int) -> None:
        current = scaler["spec"].get("minReplicas", 1)
        operations = _replace("/spec/minReplicas", current, minimum)
        await self._resize("HorizontalPodAutoscaler", scaler["metadata"]["name"], operations)

    async def _same(self, wanted: Manifest, spec_hash: str) -> None:
        kind, name = wanted["kind"], wanted["metadata"]["name"]
        live = await self._cluster.read(kind, name)
        found = (live or {}).get("metadata", {}).get("annotations", {}).get(labels.SPEC_HASH)
        if live is None or found != spec_hash or _content(live) != _content(wanted):
            raise PermanentFailure(
                f"{kind} {name} exists with another content (spec hash {found}); it was changed "
                "by hand or belongs to somebody else: delete or rename it"
            )


def _draining(revision: str, drain: timedelta) -> Draining:
    """The wait that an attempt before this one began, else a new one."""
    for details in activity.info().heartbeat_details:
        if isinstance(details, dict) and details.get("revision") == revision:
            return Draining.model_validate(details)
    now = datetime.now(UTC)
    return Draining(revision=revision, since=now, deadline=now + drain)


def _sized(manifest: Manifest, replicas: int) -> Manifest:
    spec: dict[str, Any] = dict(manifest.get("spec", {}))
    if manifest["kind"] == "Deployment":
        spec["replicas"] = replicas
    elif manifest["kind"] == "HorizontalPodAutoscaler":
        spec["minReplicas"] = min(replicas, spec["maxReplicas"])
    else:
        return {**manifest, "metadata": dict(manifest["metadata"])}
    return {**manifest, "metadata": dict(manifest["metadata"]), "spec": spec}


def _content(manifest: Manifest) -> list[Any]:
    """What an edit by hand would change under an unchanged hash: configuration and images."""
    pod = manifest.get("spec", {}).get("template", {}).get("spec", {})
    images = {one["name"]: one["image"] for one in pod.get("containers", [])}
    # The server stores base64 in one line, however it was given.
    files = {name: b64decode(text) for name, text in (manifest.get("binaryData") or {}).items()}
    return [manifest.get("data") or {}, files, images]


def _replace(path: str, old: Any, new: Any) -> list[dict[str, Any]]:
    return [
        {"op": "test", "path": path, "value": old},
        {"op": "replace", "path": path, "value": new},
    ]
