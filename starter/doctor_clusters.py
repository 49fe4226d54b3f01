"""What `tidegate doctor` asks each environment's cluster and its Prometheus."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from clients.cluster import Cluster
from clients.cluster_rights import RIGHTS
from clients.prometheus import Prometheus
from clients.sources import source_at
from domain.environments import Environment
from domain.metrics.places import PrometheusPlace
from domain.metrics.source import MetricSource
from settings import ClusterSettings, Settings
from starter.examination import Check, Examination

METRIC = "http_server_request_duration_seconds_count"
LOOK_BACK = timedelta(minutes=5)


def examinations(settings: Settings) -> list[Examination]:
    """Each environment's API server, namespace, rights, routes and metrics."""
    return [
        examination
        for environment, place in settings.environments.items()
        for examination in (_cluster(environment, place), _metrics(environment, place))
    ]


def _cluster(environment: Environment, place: ClusterSettings) -> Examination:
    async def examine() -> list[Check]:
        cluster = await Cluster.connect(place.kubeconfig, place.context, place.namespace)
        try:
            return [
                Check(f"{environment} cluster", True, await cluster.version()),
                await _namespace(environment, cluster),
                await _rights(environment, cluster),
                await _routes(environment, cluster),
            ]
        finally:
            await cluster.close()

    fix = f"correct kubeconfig and context in [environments.{environment}]"
    return Examination(f"{environment} cluster", examine, fix)


async def _namespace(environment: Environment, cluster: Cluster) -> Check:
    there = await cluster.read("Namespace", cluster.namespace) is not None
    told = f"{cluster.namespace} {'is there' if there else 'does not exist'}"
    fix = f"kubectl create namespace {cluster.namespace}"
    return Check(f"{environment} namespace", there, told, fix)


async def _rights(environment: Environment, cluster: Cluster) -> Check:
    missing = [
        f"{verb} {right.resource}"
        for right in RIGHTS
        for verb in right.verbs
        if not await cluster.is_allowed(verb, right.group, right.resource)
    ]
    told = f"missing: {', '.join(missing)}" if missing else "may do all that a release does"
    fix = f"bind the Role of deployment/kubernetes/role.yaml in namespace {cluster.namespace}"
    return Check(f"{environment} rights", not missing, told, fix)


async def _routes(environment: Environment, cluster: Cluster) -> Check:
    routes = await cluster.list("HTTPRoute")
    names = ", ".join(route["metadata"]["name"] for route in routes) or "none yet"
    return Check(f"{environment} gateway", True, f"HTTPRoutes are served: {names}")


def _metrics(environment: Environment, place: ClusterSettings) -> Examination:
    name, where = f"{environment} metrics", place.source
    fix = f"correct [environments.{environment}.metrics]"
    if place.prometheus:
        fix = f"correct prometheus in [environments.{environment}]"
    fix += ", or let it scrape the services"

    async def examine() -> list[Check]:
        source = source_at(where)
        try:
            if problem := await source.problem():
                return [Check(name, False, problem, fix)]
            told = await _requests_of(place, source)
        finally:
            await source.close()
        return [Check(name, True, f"{where.url} {told}")]

    return Examination(name, examine, fix)


async def _requests_of(place: ClusterSettings, source: MetricSource) -> str:
    """Before the first release nothing is measured: that is no fault."""
    where = place.source
    if not isinstance(source, Prometheus) or not isinstance(where, PrometheusPlace):
        return f"answers ({where.kind})"
    matchers = {where.namespace_label: place.namespace}
    found = await source.raw_series(METRIC, matchers, datetime.now(UTC), LOOK_BACK)
    if found:
        return f"has {len(found)} series of requests"
    return f"is ready; no {METRIC} of {place.namespace} in 5 minutes yet"
