"""What the judge's read-only commands share: an environment's pods and metrics, limits, labels."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from activities.demand import Demand, Pods
from activities.observer import Observer
from clients.cluster import Cluster
from clients.files import read_file
from clients.plan_file import STAND_INS, plan_of
from clients.sources import source_at
from domain.errors import NotFound, PermanentFailure
from domain.plan import ServicePlan
from domain.quantities import format_duration
from domain.selectors import parse_selector
from settings import ClusterSettings


@dataclass(frozen=True)
class Sight:
    """One environment as it can be looked at: nothing here writes."""

    cluster: Cluster
    demand: Demand
    observer: Observer


@asynccontextmanager
async def sight_of(place: ClusterSettings) -> AsyncIterator[Sight]:
    """Clients of an environment's cluster and metrics source, closed at the end."""
    cluster = await Cluster.connect(place.kubeconfig, place.context, place.namespace)
    source = source_at(place.source)
    try:
        demand = Demand(cluster, source, place.scrape)
        yield Sight(cluster, demand, Observer(cluster, demand))
    finally:
        await source.close()
        await cluster.close()


def selected_pods(text: str) -> Pods:
    """Pods by labels alone: they are no revision, whose name proxies would know."""
    return Pods("", parse_selector(text))


def plan_in(file: Path, service: str | None) -> ServicePlan:
    """A service's plan; PermanentFailure or NotFound when it cannot be used."""
    if service is None:
        raise PermanentFailure(f"--plan {file} may hold several services: name one by --service")
    try:
        text = read_file(file)
    except OSError as error:
        raise NotFound(f"plan {file} cannot be read: {error.strerror}; correct --plan") from error
    return plan_of(text, str(file), service, None)


def plan_by_limits(limits: str | None, words: Mapping[str, object] | None = None) -> ServicePlan:
    """The default plan with limits from the command line (`errors=1%,p95=500ms`), and `words`.

    Raises PermanentFailure naming what cannot be read.
    """
    parts = [part.strip().partition("=")[::2] for part in (limits or "").split(",") if part]
    given = dict(parts)
    if twice := [name for name in given if [one for one, _ in parts].count(name) > 1]:
        raise PermanentFailure(f"--limits says {twice[0]} more than once: leave one of them out")
    try:
        return ServicePlan.model_validate({**STAND_INS, "limits": given, **(words or {})})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise PermanentFailure(
            f"{name}: {first['msg']}; limits are written as errors=1%,p95=500ms"
        ) from error


def told_limits(plan: ServicePlan) -> str:
    """The limits in words."""
    return f"errors {100 * plan.limits.errors:g} %, p95 {format_duration(plan.limits.p95)}"
