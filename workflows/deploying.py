"""What staging and production have in common: lanes, revisions, checks, shifts of traffic."""

from __future__ import annotations

from contextlib import suppress
from enum import StrEnum
from typing import Literal

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.checks import Checks
    from activities.lanes import Lanes
    from activities.revisions import Revisions
    from activities.traffic import Traffic
    from domain.checks import ChecksReport, HttpCheck
    from domain.environments import CONTROL_QUEUE, Environment, cluster_queue, lane_id
    from domain.evidence import Proof
    from domain.journal import Compensation, RestoreEntry, RestoreTraffic, RetireRevision
    from domain.lane import Ticket
    from domain.steps import (
        CheckRevision,
        CreatedRevision,
        CreateRevision,
        LaneRequest,
        RevisionRequest,
        ShiftedTraffic,
        ShiftTraffic,
    )
    from domain.traffic import TrafficSplit
    from workflows import options
    from workflows.build import Building


class Place(StrEnum):
    """Where a release stands with a lane."""

    CANDIDATE = "candidate"
    QUEUED = "queued"
    HOLDER = "holder"


class Deploying(Building):
    """The steps of putting a revision into an environment, each undone by the journal."""

    def __init__(self) -> None:
        super().__init__()
        self._lanes: dict[Environment, Place] = {}
        self._splits: dict[Environment, TrafficSplit] = {}

    @workflow.signal(description="sent by the lane: this release is admitted")
    def lane_granted(self, environment: Environment) -> None:
        self._lanes[environment] = Place.HOLDER

    @property
    def _ticket(self) -> Ticket:
        request = self._state.request
        return Ticket(release_id=request.release_id, service=request.service, commit=request.commit)

    async def _enter(self, environment: Environment) -> None:
        """Wait for this environment's lane."""
        if self._holds(environment):
            return
        self._lanes[environment] = Place.QUEUED
        await self._do(
            Lanes.enter_lane,
            LaneRequest(environment=environment, ticket=self._ticket),
            queue=CONTROL_QUEUE,
            options=options.QUICK,
            summary=f"enter {environment}'s lane",
        )
        if not self._holds(environment):
            self._wait_note(f"{environment}'s lane: another release of the service holds it")
            await self._until(lambda: self._holds(environment), summary=f"{environment} lane")
            self._wait_note("")

    def _holds(self, environment: Environment) -> bool:
        return self._lanes.get(environment) is Place.HOLDER

    async def _leave(self, environment: Environment) -> None:
        """Hand the lane back, or give up the place in its queue or among its candidates."""
        if self._lanes.pop(environment, None) is None:
            return
        lane = workflow.get_external_workflow_handle(lane_id(environment, self._ticket.service))
        with suppress(ApplicationError):
            await self._surely(lane.signal("leave", self._ticket.release_id))

    def _target(self, environment: Environment) -> RevisionRequest:
        """This release's revision in an environment, with what production asks for."""
        request, bundle = self._state.request, self._state.bundle
        assert bundle is not None  # noqa: S101 - the build stage has completed
        proof = None
        if environment is Environment.PRODUCTION and self._state.evidence is not None:
            proof = Proof(evidence=self._state.evidence, approvals=self._state.approvals)
        return RevisionRequest(
            release_id=request.release_id,
            environment=environment,
            service=request.service,
            bundle=bundle,
            stable=self._state.stable.get(environment),
            proof=proof,
        )

    async def _create_revision(self, environment: Environment, weight: int) -> CreatedRevision:
        """Bring the revision up beside stable; no user is sent to it yet."""
        target = self._target(environment)
        if target.stable is None or target.stable.revision != target.revision:
            self._register(
                RetireRevision(
                    environment=environment, service=target.service, revision=target.revision
                )
            )
        created = await self._do(
            Revisions.create_revision,
            CreateRevision(target=target, weight=weight),
            queue=cluster_queue(environment),
            options=options.ROLLOUT,
            summary=f"create {target.revision} in {environment}",
        )
        self._say(created.sentence)
        return created

    async def _check(
        self,
        environment: Environment,
        suite: Literal["preview", "smoke", "critical"],
        checks: tuple[HttpCheck, ...],
    ) -> ChecksReport:
        """Ask the revision through its own Service."""
        return await self._do(
            Checks.check_revision,
            CheckRevision(target=self._target(environment), suite=suite, checks=checks),
            queue=cluster_queue(environment),
            options=options.QUICK,
            summary=f"{len(checks)} {suite} checks in {environment}",
        )

    async def _shift(self, environment: Environment, weight: int) -> ShiftedTraffic:
        """Give the revision `weight` percent; the old split is in the journal before it moves."""
        target = self._target(environment)
        stable = target.stable.revision if target.stable else None
        old = self._splits.get(environment, TrafficSplit.all_to(stable))
        new = TrafficSplit.step(weight, target.revision, stable)
        self._register(
            RestoreTraffic(
                environment=environment,
                service=target.service,
                revision=target.revision,
                split=TrafficSplit.all_to(stable),
                pods=target.stable.ready_pods if target.stable else 0,
            )
        )
        shifted = await self._do(
            Traffic.shift_traffic,
            ShiftTraffic(target=target, weight=weight, old=old, new=new),
            queue=cluster_queue(environment),
            options=options.ROLLOUT,
            summary=f"{environment}: {weight} % to {target.revision}",
        )
        self._splits[environment] = shifted.split
        self._say(shifted.sentence)
        return shifted

    async def _point_entry(self, environment: Environment) -> None:
        """Let the entry Service, and so callers inside the cluster, follow the route."""
        target = self._target(environment)
        self._register(
            RestoreEntry(
                environment=environment,
                service=target.service,
                revision=target.revision,
                previous=target.stable.revision if target.stable else None,
            )
        )
        await self._do(
            Traffic.point_entry,
            target,
            queue=cluster_queue(environment),
            options=options.QUICK,
            summary=f"point {environment} Service {target.service} at {target.revision}",
        )

    def _register(self, compensation: Compensation) -> None:
        """Write the undo down before the step acts."""
        self._change(journal=self._state.journal.add(compensation))
