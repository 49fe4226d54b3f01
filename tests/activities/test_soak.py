from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import aiohttp
import pytest
from aiohttp import web

from activities import soak
from activities.failures import NotYet
from activities.load import Sender
from clients.cluster import Cluster
from domain.errors import TransientFailure
from domain.probes import Probe
from domain.soak import SoakWindow
from domain.soak_plan import SoakPlan
from domain.soak_windows import Finding
from domain.steps import EarnWindow, RevisionRequest
from sandbox.connection import kubeconfig
from sandbox.kubernetes.authorization import STRANGER
from tests.support.cluster_client import write_kubeconfig
from tests.support.platform_world import SandboxWorld, running_site
from tests.support.sandbox import eventually
from tests.support.site import Site
from tests.support.source_doubles import source_double
from tests.support.web import answering_with
from tests.support.world import PRODUCTION, STAGING

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
LENGTH, ZERO = timedelta(seconds=1), timedelta(0)
PROBE = Probe(path="/api/v1/albums", rate=10)
SHORTLY = timedelta(milliseconds=300)


def scrape_of(world: SandboxWorld) -> timedelta:
    return world.settings.cluster(STAGING).scrape


def requests_of(answer: SoakWindow) -> int:
    """What a healthy window says it saw."""
    found = re.fullmatch(r"healthy: (\d+) requests", answer.sentence)
    return int(found[1]) if found else 0


def requests_asked(answer: SoakWindow) -> int:
    """What a window with too few says it saw."""
    return int(answer.sentence.split()[0])


async def soaking(world: SandboxWorld) -> RevisionRequest:
    """v1 serves staging."""
    target = await world.target(world.staging, await world.bundle("v1"))
    await world.staging.serve(target)
    return target


def window(
    world: SandboxWorld,
    target: RevisionRequest,
    starts_at: datetime | None = None,
    length: timedelta = LENGTH,
) -> EarnWindow:
    return EarnWindow(
        target=target, starts_at=starts_at or datetime.now(UTC), length=length, plan=world.plan
    )


async def earned(world: SandboxWorld, request: EarnWindow) -> SoakWindow:
    """The window's answer, asked again when the activity says so, as Temporal does."""
    while True:
        try:
            return cast(SoakWindow, await world.staging.do("earn_window", request))
        except NotYet:
            """Its delays are those of a scrape at most."""


async def test_a_healthy_window_is_earned(world: SandboxWorld) -> None:
    target = await soaking(world)
    before, beats = world.staging.users()["requests"], len(world.staging.heartbeats)
    answer = await earned(world, window(world, target))
    assert (answer.healthy, answer.unknown, answer.bundle) == (True, ZERO, str(target.bundle))
    assert LENGTH - 3 * scrape_of(world) <= answer.length <= LENGTH + scrape_of(world)
    assert answer.sentence == f"healthy: {answer.counts['errors'].requests} requests"
    assert (answer.finding, answer.known) == (Finding.HEALTHY, answer.length)
    assert world.staging.users()["requests"] > before
    assert len(world.staging.heartbeats) == beats


async def test_a_window_that_lasts_is_asked_for_again_when_it_ends(world: SandboxWorld) -> None:
    target = await soaking(world)
    request = window(world, target, datetime.now(UTC) - 55 * MINUTE, HOUR)
    with pytest.raises(NotYet, match="the window ends in 4m") as later:
        await world.staging.do("earn_window", request)
    assert 4 * MINUTE < later.value.delay <= 5 * MINUTE


async def test_in_a_window_that_lasts_drift_is_looked_for_six_times(world: SandboxWorld) -> None:
    target = await soaking(world)
    with pytest.raises(NotYet, match="the window ends in 29m") as later:
        await world.staging.do("earn_window", window(world, target, length=30 * MINUTE))
    assert later.value.delay == 5 * MINUTE


@asynccontextmanager
async def somebody(world: SandboxWorld) -> AsyncIterator[Sender]:
    """Somebody else who asks staging's revisions."""
    place = world.settings.cluster(STAGING)
    cluster = await Cluster.connect(place.kubeconfig, place.context, place.namespace)
    try:
        yield Sender(cluster)
    finally:
        await cluster.close()


async def have_a_series(world: SandboxWorld, target: RevisionRequest) -> None:
    """Each pod was asked before, and scraped since."""
    async with somebody(world) as sender:
        await sender.send_all(target.revision, PROBE.with_(rate=100), 20)
    await asyncio.sleep(LENGTH.total_seconds() / 2)


async def test_no_request_falls_between_two_windows(world: SandboxWorld) -> None:
    await world.tell("POST", "traffic", {"staging": 0})
    target = await soaking(world)
    await have_a_series(world, target)
    asked, counted, starts_at = 12, 0, datetime.now(UTC)
    async with somebody(world) as sender:
        sending = asyncio.create_task(sender.send_all(target.revision, PROBE, asked))
        while counted < asked:
            one = await earned(world, window(world, target, starts_at, length=LENGTH / 4))
            starts_at, counted = starts_at + one.length, counted + requests_of(one)
        assert (await sending).unexpected == 0
    assert counted == asked


async def errors(world: SandboxWorld, target: RevisionRequest) -> None:
    await world.tell("POST", "traffic", {"staging": 20})
    await world.fault(world.staging, target.revision, "errors=20%")


async def slowness(world: SandboxWorld, target: RevisionRequest) -> None:
    await world.tell("POST", "traffic", {"staging": 20})
    await world.fault(world.staging, target.revision, "latency=10x")


async def crashes(world: SandboxWorld, target: RevisionRequest) -> None:
    await world.fault(world.staging, target.revision, "crash")
    await eventually(lambda: world.staging.ready(target.revision) == 0, "the pods crash")


async def disappearance(world: SandboxWorld, target: RevisionRequest) -> None:
    world.staging.remove("Deployment", target.revision)


@pytest.mark.parametrize(
    ("misfortune", "sentence", "finding"),
    [
        (errors, r"\d+ of \d+ requests errors \(\d+.*%, limit 1%\)", Finding.LIMITS),
        (slowness, r"\d+ of \d+ requests slow \(\d+.*%, limit 5%\)", Finding.LIMITS),
        (crashes, r"album-[0-9a-f]+: (pod .* crashed \d+ times|0 of 2 pods ready)", Finding.PODS),
        (disappearance, r"drift: Deployment album-[0-9a-f]+ is gone", Finding.DRIFT),
    ],
)
async def test_an_unhealthy_window_is_not_earned_and_says_why(
    world: SandboxWorld,
    misfortune: Callable[[SandboxWorld, RevisionRequest], Awaitable[None]],
    sentence: str,
    finding: Finding,
) -> None:
    target = await soaking(world)
    await misfortune(world, target)
    answer = await earned(world, window(world, target))
    assert (answer.healthy, answer.finding) == (False, finding)
    assert re.search(sentence, answer.sentence), answer.sentence
    told = re.match(r"(\d+) of (\d+) requests (\w+)", answer.sentence)
    assert bool(answer.counts) == bool(told)
    if told:
        assert answer.counts[told[3]] == (int(told[2]), int(told[1]))


async def test_a_restart_in_the_window_counts_although_the_pod_is_ready_again(
    world: SandboxWorld,
) -> None:
    site = world.staging
    target = await soaking(world)
    request = window(world, target, datetime.now(UTC) - SHORTLY)  # scraped once since it began
    pod = site.outside.list("Pod")[0]["metadata"]["name"]
    site.edit("Pod", pod, lambda one: one["status"]["containerStatuses"][0].update(restartCount=1))
    answer = await earned(world, request)
    assert site.ready(target.revision) == 2
    assert (answer.healthy, answer.is_unknown) == (False, False)
    assert answer.sentence == "1 container restarts"


async def quiet(world: SandboxWorld, **soak: object) -> RevisionRequest:
    """v1 serves staging, where nobody comes; the plan says this of its soak."""
    await world.tell("POST", "traffic", {"staging": 0})
    world.plan = world.plan.with_(soak=SoakPlan.model_validate(soak))
    target = await soaking(world)
    await asyncio.sleep(LENGTH.total_seconds() / 2)  # what deploying asked is scraped
    return target


async def test_a_quiet_hour_counts_unless_the_plan_wants_requests_and_says_so(
    world: SandboxWorld,
) -> None:
    target = await quiet(world)
    answer = await earned(world, window(world, target))
    assert answer.healthy
    assert answer.sentence == "healthy: no request, its pods were watched"


async def test_a_window_with_too_few_requests_earns_nothing_and_says_what_to_declare(
    world: SandboxWorld,
) -> None:
    target = await quiet(world, min_requests=20)
    answer = await earned(world, window(world, target))
    assert (answer.is_unknown, answer.finding) == (True, Finding.QUIET)
    assert answer.counts["errors"].requests == requests_asked(answer)
    assert answer.sentence.endswith(
        "are needed to earn it; declare soak.probe in the plan, or send requests to staging"
    )


async def test_the_declared_probe_fills_a_quiet_window_and_no_more_than_that(
    world: SandboxWorld,
) -> None:
    target = await quiet(world, min_requests=8, probe={"path": PROBE.path, "rate": 10})
    await have_a_series(world, target)
    before, beats = proxied(world), len(world.staging.heartbeats)
    answer = await earned_in_time(world, window(world, target, length=LENGTH * 2))
    assert answer.healthy, answer.sentence
    assert requests_of(answer) == 8
    assert proxied(world) - before == 8
    assert len(world.staging.heartbeats) == beats


async def test_where_nobody_ever_asked_the_first_requests_are_not_counted_and_sent_again(
    world: SandboxWorld,
) -> None:
    target = await quiet(world, min_requests=8, probe={"path": PROBE.path, "rate": 10})
    answer = await earned_in_time(world, window(world, target))
    assert answer.healthy, answer.sentence
    assert requests_of(answer) >= 8


async def test_a_window_with_enough_requests_is_not_filled(world: SandboxWorld) -> None:
    soak = SoakPlan.model_validate({"min_requests": 8, "probe": {"path": PROBE.path, "rate": 10}})
    world.plan = world.plan.with_(soak=soak)
    target = await soaking(world)
    users = world.platform.environments[STAGING.value].traffic.users
    await eventually(lambda: users.of("album")["requests"] > 0, "users come")
    before, started = proxied(world), datetime.now(UTC)
    # Long enough for what they ask to be scraped before the probe would be sent.
    length = 4 * LENGTH
    answer = await earned_in_time(world, window(world, target, started, length))
    assert answer.healthy, answer.sentence
    assert proxied(world) == before


async def test_a_probe_that_is_answered_otherwise_makes_the_window_unhealthy(
    world: SandboxWorld,
) -> None:
    probe = {"path": PROBE.path, "rate": 10, "contains": "a word that is not there"}
    target = await quiet(world, min_requests=10, probe=probe)
    answer = await earned_in_time(world, window(world, target))
    assert not answer.healthy
    assert (answer.is_unknown, answer.finding) == (False, Finding.PROBE)
    assert "probe GET /api/v1/albums: 0 of" in answer.sentence
    assert "body does not contain" in answer.sentence


async def test_a_window_that_is_long_over_is_not_filled_any_more(world: SandboxWorld) -> None:
    target = await quiet(world, min_requests=10, probe={"path": PROBE.path, "rate": 10})
    before = proxied(world)
    answer = await world.staging.do(
        "earn_window", window(world, target, datetime.now(UTC) - 5 * MINUTE, LENGTH)
    )
    assert not answer.healthy
    assert proxied(world) == before


def proxied(world: SandboxWorld) -> int:
    """Requests that we sent to pods through the API server."""
    return world.staging.requests("proxy", "services/proxy")


async def earned_in_time(world: SandboxWorld, request: EarnWindow) -> SoakWindow:
    """As `earned`, with the attempts counted as Temporal does."""
    attempt = 0
    while True:
        attempt += 1
        try:
            return cast(SoakWindow, await world.staging.do("earn_window", request, attempt=attempt))
        except NotYet:
            """Its delays are those of a scrape at most."""


@asynccontextmanager
async def misconfigured(
    world: SandboxWorld, url: str | None = None, **place: object
) -> AsyncIterator[Site]:
    """Staging's activities beside another Prometheus, by default one without staging's pods."""
    other = url or world.settings.cluster(PRODUCTION).prometheus
    places = world.settings.environments
    wrong = {**places, STAGING: places[STAGING].with_(**{"prometheus": other, **place})}
    async with running_site(
        STAGING, world.settings.with_(environments=wrong), world.registry, world.platform
    ) as site:
        yield site


async def test_a_window_without_any_metrics_is_waited_for_and_then_neither_earned_nor_unhealthy(
    world: SandboxWorld,
) -> None:
    target = await soaking(world)
    just_over = window(world, target, datetime.now(UTC) - HOUR, HOUR)
    long_over = window(world, target, datetime.now(UTC) - HOUR - 2 * MINUTE, HOUR)
    async with misconfigured(world) as site:
        with pytest.raises(NotYet, match=f"not yet: no metrics of {target.revision}"):
            await site.do("earn_window", just_over)
        answer = await site.do("earn_window", long_over)
    assert (answer.is_unknown, answer.finding) == (True, Finding.SILENT)
    assert answer.sentence.startswith(f"no metrics of {target.revision}")


async def test_prometheus_out_of_reach_is_waited_for(world: SandboxWorld) -> None:
    target = await soaking(world)
    await world.tell("POST", "outage", {"system": "prometheus"})
    request = window(world, target, datetime.now(UTC) - MINUTE, MINUTE)
    with pytest.raises(TransientFailure, match="503"):
        await world.staging.do("earn_window", request)
    await world.tell("DELETE", "outage")
    assert (await earned(world, request)).healthy


async def test_a_source_that_refuses_us_is_waited_for(world: SandboxWorld) -> None:
    """An expired token says nothing of the revision: the release does not end by it."""
    target = await soaking(world)
    request = window(world, target, datetime.now(UTC) - MINUTE, MINUTE)
    async with source_double("prometheus") as double:
        double.status = 401
        async with misconfigured(world, double.url) as site:
            blind = r"nobody sees its requests: .* answered 401"
            with pytest.raises(TransientFailure, match=blind):
                await site.do("earn_window", request)


def over(world: SandboxWorld, target: RevisionRequest, since: timedelta) -> EarnWindow:
    """A window of an hour that ended so long ago."""
    return window(world, target, datetime.now(UTC) - HOUR - since, HOUR)


@pytest.mark.parametrize(
    ("system", "what"), [("prometheus", "its requests"), ("kubernetes", "its objects")]
)
async def test_what_does_not_answer_is_waited_for_and_then_the_window_is_unknown(
    world: SandboxWorld, system: str, what: str
) -> None:
    target = await soaking(world)
    await world.tell("POST", "outage", {"system": system, "environment": "staging"})
    with pytest.raises(TransientFailure, match=f"^nobody sees {what}: .*down on purpose"):
        await world.staging.do("earn_window", over(world, target, ZERO))
    answer = await world.staging.do("earn_window", over(world, target, 2 * MINUTE))
    assert (answer.is_unknown, answer.finding) == (True, Finding.SILENT)
    assert answer.reason == f"silent: nobody sees {what}"
    assert HOUR + 2 * MINUTE <= answer.length < HOUR + 3 * MINUTE


async def test_a_source_that_hangs_does_not_end_the_attempt_before_its_answer(
    world: SandboxWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = await soaking(world)
    monkeypatch.setattr(soak, "LONGEST_LOOK", SHORTLY)
    outage = {"system": "prometheus", "environment": "staging", "mode": "hang"}
    await world.tell("POST", "outage", outage)
    answer = await world.staging.do("earn_window", over(world, target, 2 * MINUTE))
    assert (answer.is_unknown, answer.reason) == (True, "silent: nobody sees it")


async def test_a_cluster_that_lets_us_in_no_more_is_no_drift_and_ends_nothing(
    world: SandboxWorld, tmp_path: Path
) -> None:
    target = await soaking(world)
    file = tmp_path / "kubeconfig"
    file.write_text(kubeconfig([world.platform.clusters["staging"].kubeconfig(STRANGER)]))
    async with misconfigured(world, kubeconfig=file) as site:
        with pytest.raises(TransientFailure, match=r"nobody sees its objects: .*cannot get"):
            await site.do("earn_window", over(world, target, ZERO))
        answer = await site.do("earn_window", over(world, target, 2 * MINUTE))
    assert (answer.is_unknown, answer.drift) == (True, "")


async def test_a_route_that_we_may_not_read_is_no_drift(
    world: SandboxWorld, tmp_path: Path
) -> None:
    """Its other objects are seen: only the right on routes was taken away."""
    target = await soaking(world)
    cluster = world.platform.clusters["staging"]
    token = cluster.kubeconfig()["users"][0]["user"]["token"]

    async def without_routes(request: web.Request) -> web.Response:
        if "httproutes" in request.path:
            said = {"kind": "Status", "code": 403, "message": "bob cannot get httproutes"}
            return web.json_response(said, status=403)
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
            session.get(f"{cluster.url}{request.path_qs}", ssl=False) as found,
        ):
            return web.json_response(await found.json(), status=found.status)

    async with answering_with(without_routes) as url:
        file = write_kubeconfig(tmp_path, url, token)
        async with misconfigured(world, kubeconfig=file, context="x") as site:
            with pytest.raises(TransientFailure, match=r"nobody sees its objects: .*HTTPRoute"):
                await site.do("earn_window", over(world, target, ZERO))


async def test_hours_in_which_nobody_asked_have_passed_and_are_not_known(
    world: SandboxWorld,
) -> None:
    """The deadline is counted by the clock; one length is left to the next window."""
    target = await soaking(world)
    late = window(world, target, datetime.now(UTC) - 2 * HOUR, LENGTH)
    answer = await world.staging.do("earn_window", late)
    assert 2 * HOUR - MINUTE < answer.length < 2 * HOUR
    assert answer.unknown >= answer.length - LENGTH
    await crashes(world, target)
    answer = await world.staging.do("earn_window", late)
    assert (answer.healthy, answer.is_unknown, answer.finding) == (False, False, Finding.PODS)
    assert answer.length - answer.unknown == LENGTH
