"""What a thousand soaks at once ask of Prometheus, the API server and Temporal.

Real windows: the shipped activity on a real Temporal dev server, its clients on the sandbox's
Prometheus and API server, which count what they are asked. So many soaks as one machine can carry
run on a fast clock (`--clock 30`: half an hour is a minute, a scrape's ten seconds a third of one).
A window asks the same at any pace: a thousand soaks ask a thousand times as much in half an hour.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import tempfile
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from temporalio import workflow
from temporalio.client import Client, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.demand import Demand
from activities.failures import FailureTranslation
from activities.soak import MISSING_SCRAPES, Soak
from benchmarks.release import Figure, report
from clients.cluster import Cluster
from clients.sources import source_at
from domain.environments import Environment
from domain.metrics.templates import OTEL_HTTP
from domain.plan import Factor, Rehearsal, ServicePlan
from domain.samples import Span
from domain.soak import SoakProgress, SoakWindow
from domain.soak_plan import SoakPlan
from domain.steps import EarnWindow
from tests.support.isa_user import make_versions
from tests.support.platform_world import SandboxWorld, running_world
from tests.support.temporal import BIN
from tests.support.world import render
from workflows import options

SOAKS, HALF_HOUR = 1_000, timedelta(minutes=30)
QUERIES_GOAL, EVENTS_GOAL = 20.0, 6.5
QUEUE, HEARTBEAT = "soaks", "RecordActivityTaskHeartbeat"
ATTEMPTS = ("RespondActivityTaskCompleted", "RespondActivityTaskFailed")
PROBE = {"path": "/api/v1/albums", "rate": 10}


@workflow.defn
class Soaking:
    """A soak alone: the windows of `workflows/staging.py`, one after the other."""

    @workflow.run
    async def run(self, request: EarnWindow, windows: int) -> SoakProgress:
        progress = SoakProgress(goal=request.length * windows)
        begun = workflow.now()
        while not progress.is_earned:
            length = progress.next_window(request.length)
            window: SoakWindow = await workflow.execute_activity_method(
                Soak.earn_window,
                request.with_(starts_at=begun + progress.elapsed, length=length),
                **options.on(QUEUE, options.POLL, "soak"),
            )
            progress = progress.add(window, "pause")
        return progress


@dataclass(frozen=True)
class Asked:
    """What the outside was asked so far."""

    queries: int
    reads: int
    attempts: float
    heartbeats: float


@dataclass(frozen=True)
class Run:
    """How one run is made."""

    soaks: int
    windows: int
    clock: float
    probe: bool

    @property
    def window(self) -> timedelta:
        """Half an hour of this clock."""
        return HALF_HOUR / self.clock


@asynccontextmanager
async def temporal() -> AsyncIterator[tuple[Client, int]]:
    """A dev server that also counts its own requests, at a port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(BIN / "temporal"),
        data_converter=pydantic_data_converter,
        dev_server_log_level="never",
        dev_server_extra_args=["--metrics-port", str(port)],
    ) as server:
        yield server.client, port


def counted(port: int, operation: str) -> float:
    """Requests of one kind that Temporal's frontend has got, by its own metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    wanted = [
        line
        for line in lines
        if line.startswith("service_requests{")
        and f'operation="{operation}"' in line
        and 'service_name="frontend"' in line
    ]
    return sum(float(line.rpartition(" ")[2]) for line in wanted)


def asked(world: SandboxWorld, port: int) -> Asked:
    """What staging's Prometheus and API server, and Temporal, have counted."""
    environment = world.platform.environments[Environment.STAGING]
    prometheus = environment.prometheus.requests
    return Asked(
        queries=sum(prometheus.count(method, "/api/v1/query") for method in ("GET", "POST")),
        reads=len(world.staging.outside.asked()),
        attempts=sum(counted(port, answer) for answer in ATTEMPTS),
        heartbeats=counted(port, HEARTBEAT),
    )


async def measured(run: Run) -> list[Figure]:
    """Soak, and say what a window has cost."""
    with tempfile.TemporaryDirectory() as folder:
        checkouts = make_versions(Path(folder) / "isa_user")
        place = (Path(folder), checkouts["v1"], await asyncio.to_thread(render, checkouts))
        async with running_world(*place, speed=run.clock) as world, temporal() as (client, port):
            return await soaked(run, world, client, port)


async def soaked(run: Run, world: SandboxWorld, client: Client, port: int) -> list[Figure]:
    """Let all of them soak beside each other, on one revision."""
    world.plan = plan_of(run, world)
    target = await world.target(world.staging, await world.bundle("v1"))
    await world.staging.serve(target)
    request = EarnWindow(
        target=target, starts_at=datetime.now(UTC), length=run.window, plan=world.plan
    )
    async with Worker(
        client,
        task_queue=QUEUE,
        workflows=[Soaking],
        activities=[world.staging.methods["earn_window"]],
        interceptors=[FailureTranslation()],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        before, begun = asked(world, port), datetime.now(UTC)
        handles = [
            await client.start_workflow(
                Soaking.run,
                args=[request, run.windows],
                id=f"soak-{number}",
                task_queue=QUEUE,
                # Releases begin at all times.
                start_delay=run.window * number / run.soaks,
            )
            for number in range(run.soaks)
        ]
        done = await asyncio.gather(*(handle.result() for handle in handles))
        after, took = asked(world, port), datetime.now(UTC) - begun
    samples = await one_query(run, world, request)
    return figures(run, (before, after), done, await events_of(handles[:20]), (took, samples))


def plan_of(run: Run, world: SandboxWorld) -> ServicePlan:
    """The example's plan on this clock, with or without a probe."""
    clock = Factor(planned=timedelta(seconds=run.clock), real=timedelta(seconds=1))
    soak = {"probe": PROBE} if run.probe else {}
    return world.plan.with_(
        rehearsal=Rehearsal(soak=clock, canary=clock), soak=SoakPlan.model_validate(soak)
    )


async def one_query(run: Run, world: SandboxWorld, request: EarnWindow) -> tuple[int, int]:
    """Series and samples that the source gives for one window."""
    place = world.settings.cluster(Environment.STAGING)
    cluster = await Cluster.connect(place.kubeconfig, place.context, place.namespace)
    source = source_at(place.source)
    try:
        demand, now = Demand(cluster, source, place.scrape), datetime.now(UTC)
        since = now - run.window - MISSING_SCRAPES * place.scrape
        span = Span(since, since, now, place.scrape, seen_from=since)
        arm = await demand.arm(request.target.revision, span, OTEL_HTTP)
        series = [*arm.buckets, *arm.counts, *arm.restarts, *arm.up]
        return len(series), sum(len(one.points) for one in series)
    finally:
        await source.close()
        await cluster.close()


async def events_of(handles: Sequence[WorkflowHandle[Soaking, SoakProgress]]) -> float:
    """History events for each window, without the five of a workflow that begins and ends."""
    events = windows = 0
    for handle in handles:
        history = await handle.fetch_history()
        events += len(history.events) - 5
        windows += (await handle.result()).windows
    return events / windows


def figures(
    run: Run,
    asked: tuple[Asked, Asked],
    done: Sequence[SoakProgress],
    events: float,
    seen: tuple[timedelta, tuple[int, int]],
) -> list[Figure]:
    """What a window cost, and what a thousand soaks of half hours therefore ask in a second."""
    before, after = asked
    took, (series, samples) = seen
    windows = sum(one.windows for one in done)
    queries = (after.queries - before.queries) / windows
    reads = (after.reads - before.reads) / windows
    attempts = (after.attempts - before.attempts) / windows
    assert attempts >= 1, "Temporal's own count was not found"
    each = SOAKS / HALF_HOUR.total_seconds()
    kind = "with a probe" if run.probe else "without a probe"
    late = (took - run.window * (run.windows + 1)) / run.windows
    counted = f"{windows} windows of {run.soaks} soaks on 1:{run.clock:g}, {kind}"
    return [
        Figure("metric queries per window", queries, "queries", None, counted),
        Figure(
            "metric queries of 1,000 soaks", queries * each, "per s", QUERIES_GOAL,
            f"{queries:.2f} x 1000 / 1800 s",
        ),
        Figure("heartbeats of all windows", after.heartbeats - before.heartbeats, "calls", 0,
               "as Temporal's frontend counts them"),
        Figure("attempts of 1,000 soaks", attempts * each, "per s", None,
               f"{attempts:.1f} x 1000 / 1800 s"),
        Figure("history events per window", events, "events", EVENTS_GOAL, "messages to people"),
        Figure("series of a window", series, "series", None, "2 pods"),
        Figure("samples of a window", samples, "samples", None, "a scrape every 10 s"),
        Figure("API server requests per window", reads, "requests", None, "drift: six looks"),
        Figure("API server requests of 1,000 soaks", reads * each, "per s", None,
               f"{reads:.1f} x 1000 / 1800 s"),
        Figure("time beyond the soak, per window", late.total_seconds(), "s", None,
               "on this clock; a busy machine is in it"),
        Figure("windows not healthy", sum(one.unhealthy for one in done), "windows", 0, ""),
    ]  # fmt: skip


def main() -> int:
    """Soak twice, without and with a probe, and print goal beside figure."""
    options_ = argparse.ArgumentParser(description=__doc__)
    options_.add_argument("--soaks", type=int, default=100)
    options_.add_argument("--windows", type=int, default=2)
    options_.add_argument("--clock", type=float, default=30.0)
    options_.add_argument("--json", type=Path, default=Path(".cache/bench-soak.json"))
    wishes = options_.parse_args()
    found: list[Figure] = []
    for probe in (False, True):
        run = Run(wishes.soaks, wishes.windows, wishes.clock, probe)
        found += asyncio.run(measured(run))
    report(found, wishes.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
