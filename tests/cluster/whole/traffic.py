"""Users of a whole cluster, a bounded number a second, and what its gateway counted of them."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from tests.cluster.api import Api
from tests.cluster.whole.cluster import Cluster

MOST_PER_SECOND = 200.0
_COUNTED = re.compile(
    r'traefik_service_requests_total\{code="(\d+)".*service="[^"]*-svc-(?P<rest>[^"@]+)@.*\} (\S+)'
)
_POLL_SECONDS = 0.1
_PATIENCE = aiohttp.ClientTimeout(total=10)


@dataclass
class Users:
    """What users got: (unix time, HTTP status) per request; status 0 where no answer came."""

    answers: list[tuple[float, int]] = field(default_factory=list)

    def since(self, count: int) -> Users:
        """What they got after so many answers."""
        return Users(self.answers[count:])

    @property
    def failed(self) -> int:
        """Requests without an answer, or answered with 5xx."""
        return sum(status == 0 or status >= 500 for _, status in self.answers)


@asynccontextmanager
async def users(cluster: Cluster, host: str, path: str, per_second: float) -> AsyncIterator[Users]:
    """Users ask the gateway all the while, evenly spread."""
    assert 0 < per_second <= MOST_PER_SECOND
    seen = Users()
    async with aiohttp.ClientSession(headers={"Host": host}, timeout=_PATIENCE) as session:

        async def ask() -> None:
            status = 0
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with session.get(f"{cluster.addresses.gateway}{path}") as answer:
                    await answer.read()
                    status = answer.status
            seen.answers.append((time.time(), status))

        async def go_on() -> None:
            async with asyncio.TaskGroup() as asking:
                while True:
                    asking.create_task(ask())
                    await asyncio.sleep(1 / per_second)

        async with _beside(go_on()):
            yield seen


@dataclass(frozen=True)
class Moment:
    """What the gateway had counted at a time, by Service and status, and the route's weights."""

    at: float
    counted: Mapping[str, Mapping[int, float]]
    weights: Mapping[str, int]

    def requests(self, service: str) -> float:
        return sum(self.counted.get(service, {}).values())

    def answered(self, service: str, status: int) -> float:
        return self.counted.get(service, {}).get(status, 0.0)

    def bad(self, service: str) -> float:
        answered = self.counted.get(service, {})
        return sum(count for status, count in answered.items() if status >= 500)


@dataclass
class Observed:
    """The gateway's own counters from moment to moment."""

    moments: list[Moment] = field(default_factory=list)

    def requests_by_step(self, service: str) -> dict[int, float]:
        """How many requests a Service got while its weight was that."""
        found: dict[int, float] = defaultdict(float)
        for before, after in zip(self.moments, self.moments[1:], strict=False):
            # The gateway forgets the counters of a Service that it routes to no more.
            grown = max(0.0, after.requests(service) - before.requests(service))
            found[before.weights.get(service, 0)] += grown
        return dict(found)

    def between(self, start: float, end: float) -> Observed:
        """What was observed in a stretch of unix time."""
        return Observed([one for one in self.moments if start <= one.at <= end])

    def bad(self, service: str) -> float:
        """How many of them were answered with 5xx."""
        return sum(
            max(0.0, after.bad(service) - before.bad(service))
            for before, after in zip(self.moments, self.moments[1:], strict=False)
        )

    @property
    def failed(self) -> float:
        """Answers with 5xx, of all Services that the route ever named."""
        return sum(map(self.bad, {name for one in self.moments for name in one.weights}))

    def share_at(self, service: str, weight: int) -> float:
        """Which part of all requests a Service got while its weight was that."""
        own = all_of_them = 0.0
        for before, after in zip(self.moments, self.moments[1:], strict=False):
            if before.weights.get(service) == after.weights.get(service) == weight:
                grown = {
                    name: after.requests(name) - before.requests(name) for name in after.weights
                }
                own += grown[service]
                all_of_them += sum(grown.values())
        return own / all_of_them

    def seconds_from_first_bad_answer_to_none(self, service: str) -> float | None:
        """Until the last request that a Service got; None where it gave no bad answer."""
        first = next((one.at for one in self.moments if one.bad(service)), None)
        if first is None:
            return None
        last = first
        for before, after in zip(self.moments, self.moments[1:], strict=False):
            if after.requests(service) > before.requests(service):
                last = max(last, after.at)
        return last - first


@asynccontextmanager
async def observed(cluster: Cluster, route: str) -> AsyncIterator[Observed]:
    """The gateway and a route are read all the while."""
    seen = Observed()
    async with aiohttp.ClientSession(timeout=_PATIENCE) as session, cluster.api() as api:

        async def go_on() -> None:
            while True:
                seen.moments.append(await moment(session, api, cluster, route))
                await asyncio.sleep(_POLL_SECONDS)

        async with _beside(go_on()):
            yield seen


async def moment(session: aiohttp.ClientSession, api: Api, cluster: Cluster, route: str) -> Moment:
    """Counters and weights now."""
    namespace = cluster.environment.value
    path = f"apis/gateway.networking.k8s.io/v1/namespaces/{namespace}/httproutes/{route}"
    found = await api.get(path)
    rules = found.body["spec"]["rules"] if found.status == 200 else []
    weights = {ref["name"]: ref.get("weight", 1) for rule in rules for ref in rule["backendRefs"]}
    async with session.get(cluster.addresses.gateway_metrics) as answer:
        counted = counts(await answer.text(), namespace)
    return Moment(time.time(), counted, weights)


def counts(exposition: str, namespace: str) -> dict[str, dict[int, float]]:
    """Requests by Service and status, as Traefik exposes them (`...-svc-NS-NAME-N@...`)."""
    found: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for match in _COUNTED.finditer(exposition):
        # The name ends with the rule's number.
        service = match["rest"].removeprefix(f"{namespace}-").rpartition("-")[0]
        found[service][int(match[1])] += float(match[3])  # type: ignore[assignment]
    return {service: dict(answered) for service, answered in found.items()}


@asynccontextmanager
async def _beside(coroutine: object) -> AsyncIterator[None]:
    task = asyncio.ensure_future(coroutine)  # type: ignore[call-overload]
    try:
        yield
        if task.done():
            await task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
