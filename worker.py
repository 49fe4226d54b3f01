"""The composition root: settings -> clients -> activities -> one Temporal worker per role."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

from temporalio.client import Client
from temporalio.worker import Worker

from activities.approval import Approval
from activities.archive import Archive
from activities.build import Build, ImageBuilder
from activities.builders import AssembleBuilder, DockerfileBuilder
from activities.canary import Canary
from activities.checks import Checks
from activities.demand import Demand
from activities.drift import Drift
from activities.entry import Entry
from activities.failures import FailureTranslation
from activities.fleet import Fleet
from activities.gatekeeper import Gatekeeper
from activities.lanes import Lanes
from activities.load import Load, Sender
from activities.notification import Notification
from activities.observer import Observer
from activities.places import Places
from activities.revisions import Blueprint, Revisions
from activities.route import Route
from activities.scan import Scan
from activities.soak import Soak
from activities.stable import StableReader
from activities.traffic import Traffic
from activities.undo import Undoing
from clients.cluster import Cluster
from clients.docker_engine import DockerEngine
from clients.policy_source import PolicySource
from clients.registry import Registry
from clients.registry_auth import docker_config
from clients.slack import Slack
from clients.sources import source_at
from domain.environments import (
    BUILD_QUEUE,
    CONTROL_QUEUE,
    RELEASE_ENVIRONMENTS,
    Environment,
    cluster_queue,
)
from domain.errors import PermanentFailure
from domain.metrics.source import MetricSource
from settings import (
    Settings,
    docker_credentials,
    process_environment,
    visible_cluster_credentials,
)
from starter import event_loop
from starter.connection import connect
from workflows.lane import LaneWorkflow
from workflows.release import ReleaseWorkflow
from workflows.rollback import RollbackWorkflow

WORKFLOWS = (ReleaseWorkflow, RollbackWorkflow, LaneWorkflow)
ROLES = (CONTROL_QUEUE, BUILD_QUEUE, *map(cluster_queue, RELEASE_ENVIRONMENTS))
GRACE = timedelta(seconds=20)
Activities = Sequence[Callable[..., Any]]

log = logging.getLogger("tidegate.worker")


def run(roles: tuple[str, ...], settings: Settings) -> int:
    """Serve the roles until SIGTERM or SIGINT; returns the exit code."""
    refuse_unfit(roles, settings)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    event_loop.run(serve(roles, settings))
    return 0


def refuse_unfit(roles: tuple[str, ...], settings: Settings) -> None:
    """No process may hold more than its role needs; PermanentFailure says what to change."""
    unknown = [role for role in roles if role not in ROLES]
    if unknown or not roles:
        raise PermanentFailure(
            f"unknown role {', '.join(unknown) or '(none)'}; roles are {', '.join(ROLES)}"
        )
    if BUILD_QUEUE not in roles:
        return
    if len(roles) > 1:
        raise PermanentFailure("the build role runs code of services: give it its own process")
    seen = visible_cluster_credentials(settings)
    if seen:
        raise PermanentFailure(
            f"the build role can see cluster credentials ({', '.join(seen)}); start it where "
            "there are none"
        )


async def serve(roles: tuple[str, ...], settings: Settings) -> None:
    """Run the roles' workers in this process until it is told to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        client = await connect(settings.temporal)
        for role in roles:
            activities = await stack.enter_async_context(_activities_of(role, settings, client))
            await stack.enter_async_context(make_worker(client, role, activities))
            log.info("serving role %s", role)
        await stop.wait()
        log.info("stopping; running activities get %s s", GRACE.total_seconds())


def make_worker(client: Client, role: str, activities: Activities) -> Worker:
    """One role's worker; workflows run in the control role only."""
    return Worker(
        client,
        task_queue=role,
        workflows=WORKFLOWS if role == CONTROL_QUEUE else (),
        activities=activities,
        interceptors=[FailureTranslation()],
        graceful_shutdown_timeout=GRACE,
        max_heartbeat_throttle_interval=timedelta(seconds=2),
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=2),
    )


@asynccontextmanager
async def _activities_of(
    role: str, settings: Settings, client: Client
) -> AsyncIterator[Activities]:
    """A role's activities on clients that are closed again."""
    async with _registry(settings) as registry:
        if role == CONTROL_QUEUE:
            yield _control(settings, client, registry)
        elif role == BUILD_QUEUE:
            yield _build(settings, registry)
        else:
            environment = next(e for e in RELEASE_ENVIRONMENTS if cluster_queue(e) == role)
            place = settings.cluster(environment)
            cluster = await Cluster.connect(place.kubeconfig, place.context, place.namespace)
            source = source_at(place.source)
            try:
                yield _cluster(environment, settings, registry, cluster, source)
            finally:
                await source.close()
                await cluster.close()


def _registry(settings: Settings) -> Registry:
    path = settings.registry.docker_config or docker_credentials()
    return Registry(settings.registry.plain_http, docker_config(path))


def _policy(settings: Settings) -> PolicySource:
    place = settings.policy_place()
    cache, variables = settings.build.cache, process_environment()
    return PolicySource(place.repository, place.ref, place.path, cache, variables)


def _control(settings: Settings, client: Client, registry: Registry) -> Activities:
    archive = Archive(registry)
    slack = None
    if settings.slack is not None:
        token = settings.slack.token_file.read_text().strip()
        slack = Slack(token, settings.slack.channel, settings.slack.url)
    lanes, notification = Lanes(client), Notification(slack)
    approval, scan = Approval(archive, _policy(settings)), Scan(registry, archive)
    return (
        lanes.enter_lane,
        lanes.announce_candidate,
        lanes.visit_lane,
        lanes.await_release_end,
        notification.tell,
        approval.freeze_evidence,
        approval.verify_command,
        scan.judge_report,
    )


def _build(settings: Settings, registry: Registry) -> Activities:
    place = settings.build
    places = Places(settings.registry.default, place.cache, process_environment())
    credentials = docker_config(settings.registry.docker_config or docker_credentials())
    builders: dict[str, ImageBuilder] = {
        "assemble": AssembleBuilder(registry, place.wheelhouse, places),
        "dockerfile": DockerfileBuilder(DockerEngine(registry, place.docker_host, credentials)),
    }
    build = Build(registry, Archive(registry), _policy(settings), builders, places)
    return (build.run_unit_tests, build.build_image, build.store_bundle)


def _cluster(
    environment: Environment,
    settings: Settings,
    registry: Registry,
    cluster: Cluster,
    source: MetricSource,
) -> Activities:
    archive = Archive(registry)
    demand = Demand(cluster, source, settings.cluster(environment).scrape)
    route, entry = Route(cluster), Entry(cluster)
    fleet = Fleet(cluster, route, demand)
    stable = StableReader(environment, cluster, route, fleet)
    gatekeeper = Gatekeeper(environment, archive, _policy(settings), stable)
    blueprint = Blueprint(environment, cluster.namespace, archive)
    canary = Canary(demand, archive, gatekeeper)
    drift, sender = Drift(cluster, route, archive, blueprint), Sender(cluster)
    revisions = Revisions(gatekeeper, stable, fleet, blueprint)
    traffic = Traffic(gatekeeper, fleet, route, entry, blueprint)
    return (
        revisions.read_stable,
        revisions.create_revision,
        revisions.hold_capacity,
        revisions.settle_release,
        traffic.shift_traffic,
        traffic.rehearse_rollback,
        traffic.point_entry,
        gatekeeper.confirm_approval,
        Checks(cluster).check_revision,
        Soak(cluster, demand, drift, sender).earn_window,
        Observer(cluster, demand).verify_observer,
        Load(gatekeeper, sender).send_load,
        canary.observe_step,
        canary.record_promotion,
        Undoing(cluster, route, entry, fleet).undo,
    )
