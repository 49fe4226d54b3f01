"""What happens to the scraped pods, step by step, each step seen by every server; and the truth."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from clients.prometheus import RESTARTS, UP, Matches, Prometheus
from domain.metrics.places import PrometheusPlace
from domain.metrics.source import Asked
from domain.metrics.templates import OTEL_HTTP
from domain.samples import Arm, Samples, Series, Span, sample
from tests.cluster.processes import Processes
from tests.sources import servers
from tests.sources.exposition import NAMESPACE, Exposition, Pod, scrape_settings

SCRAPE, BLOCK = 0.5, timedelta(seconds=1)
SLOW_ABOVE = timedelta(seconds=1)
BEFORE, A_MINUTE = timedelta(seconds=8), timedelta(minutes=1)
BORN, VANISHED, UNSCRAPED, RESTARTED = "canary-3", "stable-2", "stable-3", "canary-2"
ARMS = {
    "canary": ("canary-1", RESTARTED, BORN),
    "stable": ("stable-1", VANISHED, UNSCRAPED),
}
# What the steps below count after `since`: requests, bad, slow; and restarts.
TRUTH = {"canary": (25, 3, 2), "stable": (34, 0, 1)}
RESTARTS_TRUTH = 1
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass
class Scenario:
    """Servers that know what happened between `since` and `until`; `gone`: one pod's end."""

    processes: Processes
    exposition: Exposition
    places: Mapping[str, PrometheusPlace]
    created: dict[str, datetime] = field(default_factory=dict)
    since: datetime = _NEVER
    gone: datetime = _NEVER
    until: datetime = _NEVER

    @property
    def span(self) -> Span:
        """All of it."""
        return Span(self.since, self.since, self.until, BLOCK, self.since - BEFORE)

    @asynccontextmanager
    async def client(self, server: str, **changes: object) -> AsyncIterator[Prometheus]:
        """Our client of one server; `changes` are of the place that it has."""
        client = Prometheus(self.places[server].model_copy(update=changes))
        try:
            yield client
        finally:
            await client.close()

    def asked(self, arm: str, namespace: str = NAMESPACE) -> Asked:
        """What an observing activity asks of one arm, over all of the scenario."""
        pods = {name: self.created[name] for name in ARMS[arm]}
        return Asked(arm, namespace, pods, OTEL_HTTP, self.span)

    async def arm(self, server: str, arm: str) -> Arm:
        """What our client reads there."""
        async with self.client(server) as client:
            return await client.arm(self.asked(arm))

    async def samples(self, server: str) -> Samples:
        """The blocks of both arms as one server has them."""
        canary, stable = [await self.arm(server, arm) for arm in ARMS]
        return sample(canary, stable, self.span, SLOW_ABOVE)

    def ask(self, server: str, metric: str, *pods: str) -> list[Series]:
        """The pods' series of the last minute, for who waits."""

        async def asked() -> list[Series]:
            named = Matches.any_of(*pods)
            matchers: dict[str, str | Matches] = {"namespace": NAMESPACE, "pod": named}
            async with self.client(server) as client:
                return await client.raw_series(metric, matchers, datetime.now(UTC), A_MINUTE)

        return asyncio.run(asked())

    def latest(self, server: str) -> dict[tuple[str, str], float]:
        """By pod and status code, how many requests were counted, as a server knows by now."""
        found = self.ask(server, f"{OTEL_HTTP.latency}_bucket", *self.exposition.pods)
        return {
            (one.pod, one.labels["http_response_status_code"]): one.points[-1][1]
            for one in found
            if one.labels["le"] == "+Inf"
        }

    def scrapes(self, server: str) -> dict[str, list[tuple[float, float]]]:
        """When each pod was scraped, and whether it answered (1 or 0)."""
        found: dict[str, list[tuple[float, float]]] = {}
        for one in self.ask(server, UP, *self.exposition.pods):
            found.setdefault(one.pod, []).extend(one.points)
        return found

    def until_seen(self, what: str, holds: Callable[[str], bool]) -> None:
        """Wait until a condition holds of every server."""
        for server, place in self.places.items():

            def known() -> bool:
                servers.hurry(server, place)  # noqa: B023 - it is over when the loop goes on
                return holds(server)  # noqa: B023

            alive = self.processes.refuse_ended
            servers.until(known, f"{server} knows that {what}", alive)

    def until_counted(self) -> None:
        """Wait until every server knows what every pod has counted by now."""
        wanted = {
            (name, code): float(up_to[-1])
            for name, pod in self.exposition.pods.items()
            if pod.there and pod.answers
            for code, up_to in pod.counted.items()
        }
        self.until_seen(
            f"{wanted} were counted",
            lambda server: wanted.items() <= self.latest(server).items(),
        )

    def until_scraped(self, after: datetime) -> None:
        """Wait until every server has scraped the pods that answer after a moment.

        Each replica has: a querier that joins them may show the other one to the next question.
        Restarts are scraped elsewhere, at another time.
        """
        names = {name for name, pod in self.exposition.pods.items() if pod.there and pod.answers}
        since = after.timestamp()

        def scraped(server: str) -> bool:
            ups, told = (self.ask(server, metric, *names) for metric in (UP, RESTARTS))
            return (
                names <= {one.pod for one in ups} & {one.pod for one in told}
                and all(any(at > since and up for at, up in one.points) for one in ups)
                and all(one.points[-1][0] > since for one in told)
            )

        self.until_seen(f"it is later than {after}", scraped)


@contextmanager
def played(folder: Path) -> Iterator[Scenario]:
    """The whole scenario over every server that is built."""
    pods = {name: Pod() for names in ARMS.values() for name in names}
    for name in pods.keys() - {BORN}:
        pods[name].count(fast=40)
    pods[BORN].answers = False
    with Exposition(pods) as exposition, Processes(folder) as processes:
        running = servers.start(processes, scrape_settings(exposition, SCRAPE))
        scenario = Scenario(processes, exposition, running.places)
        created = datetime.now(UTC) - timedelta(hours=1)
        scenario.created = dict.fromkeys(pods, created)
        scenario.until_counted()
        scenario.since = now()
        # What grew over a change of weights belongs to nobody: it is counted from the next scrape.
        scenario.until_scraped(scenario.since)
        _play(scenario, exposition)
        yield scenario


def _play(scenario: Scenario, exposition: Exposition) -> None:
    pods, moving = exposition.pods, exposition.moving
    _first_requests(scenario, exposition)
    with moving:
        pods[RESTARTED].counted.clear()
        pods[RESTARTED].count(fast=4)
        pods[RESTARTED].restarts += 1
        pods[UNSCRAPED].answers = False
    _until_unscraped(scenario)
    with moving:
        pods[UNSCRAPED].count(fast=6)
        pods[UNSCRAPED].answers = True
        scenario.created[BORN] = now()
        pods[BORN].count(fast=6, slow=1)
        pods[BORN].answers = True
        pods[VANISHED].count(fast=2)
    scenario.until_counted()
    with moving:
        pods[VANISHED].there = False
        scenario.gone = now()
    _until_gone(scenario)
    with moving:
        pods["canary-1"].count(fast=1)
        pods["stable-1"].count(fast=1)
    scenario.until_counted()
    # Two blocks later: the last of the scenario is closed.
    scenario.until = now() + 2 * BLOCK
    scenario.until_scraped(scenario.until)


def _first_requests(scenario: Scenario, exposition: Exposition) -> None:
    pods = exposition.pods
    with exposition.moving:
        pods["canary-1"].count(fast=8, middling=1, slow=1)
        pods["stable-1"].count(fast=18, middling=1, slow=1)
        pods[VANISHED].count(fast=5)
    scenario.until_counted()
    with exposition.moving:
        pods["canary-1"].count(fast=3, code="500")
    scenario.until_counted()


def _until_unscraped(scenario: Scenario) -> None:
    """Each server has seen a scrape that was refused, and the restart."""
    since = scenario.since.timestamp()

    def refused(server: str) -> bool:
        return any(at > since and not up for at, up in scenario.scrapes(server)[UNSCRAPED])

    scenario.until_seen(f"{UNSCRAPED} does not answer", refused)
    scenario.until_counted()


def _until_gone(scenario: Scenario) -> None:
    """No server has heard anything of the vanished pod for longer than the judge's patience."""
    patience = scenario.span.patience.total_seconds() + SCRAPE

    def is_gone(server: str) -> bool:
        found = scenario.scrapes(server)
        return found["stable-1"][-1][0] - found[VANISHED][-1][0] > patience

    scenario.until_seen(f"{VANISHED} is gone", is_gone)


def now() -> datetime:
    """To the millisecond, as samples are."""
    return datetime.fromtimestamp(round(time.time(), 3), UTC)
