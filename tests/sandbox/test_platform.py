from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from sandbox.__main__ import main
from sandbox.platform import Platform
from tests.support.sandbox import (
    PATIENCE_SECONDS,
    api_session,
    create,
    eventually,
    revision,
    route,
    running_platform,
)

ROOT = Path(__file__).parents[2]
HITS = "http_server_request_duration_seconds_count"


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    async with running_platform(tmp_path) as running:
        yield running


async def ask(method: str, url: str, status: int = 200, **body: Any) -> Any:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, json=body or None) as response,
    ):
        text = await response.text()
    assert response.status == status, text
    return json.loads(text) if response.content_type == "application/json" else text


async def instant(platform: Platform, query: str) -> list[dict[str, Any]]:
    url = f"{platform.prometheus_urls['production']}/api/v1/query"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data={"query": query}) as response,
    ):
        found: list[dict[str, Any]] = (await response.json())["data"]["result"]
    return found


async def deploy(platform: Platform, *, faults: str = "", **weights: int) -> None:
    cluster = platform.clusters["production"]
    image = platform.registry.base_image
    for version in weights:
        await create(cluster, *revision(f"album-{version}", image, faults=faults))
    await create(cluster, route("album", **weights))
    for version in weights:
        await ready(platform, f"album-{version}", bool)


async def ready(platform: Platform, name: str, accepts: Any) -> None:
    service = name.rpartition("-")[0]
    selector = {"app": service, "version": name}
    cluster = platform.clusters["production"]
    await eventually(
        lambda: accepts(len(cluster.ready_pods("production", selector))), f"ready pods of {name}"
    )


def users(platform: Platform, name: str, of: str = "requests") -> int:
    found = platform.environments["production"].traffic.users.of("album")["by_revision"]
    return int(found.get(name, {}).get(of, 0))


async def test_the_files_tell_a_client_where_everything_is(platform: Platform) -> None:
    sections = tomllib.loads(platform.connection_path.read_text())
    address = platform.registry.address
    assert sections["registry"] == {"default": address, "plain_http": [address]}
    assert sections["slack"]["url"] == platform.slack_url
    assert Path(sections["slack"]["token_file"]).read_text().strip() == platform.slack_token
    kubeconfig = yaml.safe_load(platform.kubeconfig_path.read_text())
    assert [one["name"] for one in kubeconfig["contexts"]] == ["staging", "production"]
    servers = {one["name"]: one["cluster"]["server"] for one in kubeconfig["clusters"]}
    for name in ("staging", "production"):
        environment = sections["environments"][name]
        assert environment == {
            "kubeconfig": str(platform.kubeconfig_path),
            "context": name,
            "namespace": name,
            "prometheus": platform.prometheus_urls[name],
            "scrape": f"{platform.environments[name].scrape_seconds * 1000:g}ms",
        }
        assert servers[name] == platform.clusters[name].url
    assert json.loads(platform.summary_path.read_text())["pid"] == os.getpid()
    for secret in (platform.kubeconfig_path, platform.slack_token_path):
        assert secret.stat().st_mode & 0o077 == 0


async def test_it_starts_within_half_a_second(tmp_path: Path) -> None:
    def cpu() -> float:
        return time.process_time()

    before = cpu()
    async with running_platform(tmp_path):
        took = cpu() - before
    assert took < 0.5
    assert not (tmp_path / "sandbox.json").exists()


async def test_users_reach_both_versions_and_prometheus_counts_the_same(tmp_path: Path) -> None:
    async with running_platform(tmp_path, traffic={"production": 0}) as platform:
        await deploy(platform, v1=90, v2=10)
        traffic = f"{platform.control_url}/sandbox/traffic"
        await ask("POST", traffic, production=50)
        await eventually(lambda: users(platform, "album-v2") > 100, "users of the canary")
        await ask("POST", traffic, production=0)
        sent = platform.environments["production"].traffic.users.of("album")["requests"]
        assert _served_by_pods(platform) == sent
        before = time.time()
        await eventually(lambda: _last_scrape(platform) > before, "a scrape")
        (counted,) = await instant(platform, f'sum({HITS}{{namespace="production"}})')
        assert float(counted["value"][1]) == sent


def _served_by_pods(platform: Platform) -> float:
    scrapes = platform.environments["production"].traffic.scrapes()
    return sum(
        value for scrape in scrapes for key, value in scrape.samples if ("__name__", HITS) in key
    )


def _last_scrape(platform: Platform) -> float:
    last = platform.environments["production"].scraper.last
    return max((when for when, _ in last.values()), default=0) / 1000


async def test_a_request_through_the_gateway_is_a_users_and_one_through_the_proxy_is_not(
    tmp_path: Path,
) -> None:
    async with running_platform(tmp_path, traffic={"production": 0, "staging": 0}) as platform:
        await deploy(platform, v1=100)
        cluster = platform.clusters["production"]
        proxied = "api/v1/namespaces/production/services/album-v1:8219/proxy/api/v1/albums"
        async with api_session(cluster) as session, session.get(proxied) as response:
            assert (await response.json())["service"] == "album"
        assert users(platform, "album-v1") == 0
        await ask("GET", f"{cluster.gateway_url}/api/v1/albums")
        url = f"{platform.control_url}/sandbox/users/production/album"
        one = {"requests": 1, "failed": 0}
        assert await ask("GET", url) == {**one, "by_revision": {"album-v1": one}}
        assert _served_by_pods(platform) == 2


async def test_a_request_through_the_gateway_that_nobody_answers_is_a_failed_users(
    tmp_path: Path,
) -> None:
    async with running_platform(tmp_path, traffic={"production": 0, "staging": 0}) as platform:
        cluster = platform.clusters["production"]
        await create(cluster, route("album", v1=100))
        await ask("GET", f"{cluster.gateway_url}/api/v1/albums", status=500)
        url = f"{platform.control_url}/sandbox/users/production/album"
        assert (await ask("GET", url))["failed"] == 1


async def test_a_fault_of_a_live_version_begins_and_ends_on_demand(platform: Platform) -> None:
    await deploy(platform, v1=50, v2=50)
    url = f"{platform.control_url}/sandbox/faults"
    await ask("POST", url, environment="production", revision="album-v2", fault="errors=100%")
    before = users(platform, "album-v1", "failed"), users(platform, "album-v2", "failed")
    await eventually(lambda: users(platform, "album-v2", "failed") > before[1] + 500, "failures")
    assert users(platform, "album-v1", "failed") < before[0] + 100
    assert (await ask("DELETE", url)) == {"ended": 1}
    served = users(platform, "album-v2")
    failed = users(platform, "album-v2", "failed")
    await eventually(lambda: users(platform, "album-v2") > served + 1000, "users")
    assert users(platform, "album-v2", "failed") < failed + 200


async def test_a_live_version_crashes_on_demand_and_recovers(platform: Platform) -> None:
    await deploy(platform, v1=100)
    url = f"{platform.control_url}/sandbox/faults"
    await ask("POST", url, environment="production", service="album", fault="crash")
    await ready(platform, "album-v1", lambda count: count == 0)
    await eventually(
        lambda: any(
            one["restarts"] > 0
            for one in platform.environments["production"].state()["revisions"].values()
        ),
        "restarts",
    )
    await ask("DELETE", f"{url}?environment=production&service=album")
    await ready(platform, "album-v1", bool)


async def test_each_system_goes_down_and_comes_back_alone(platform: Platform) -> None:
    url = f"{platform.control_url}/sandbox/outage"

    async def statuses() -> dict[str, int]:
        cluster = platform.clusters["staging"]
        found = {}
        async with api_session(cluster) as session:
            for system, address in {
                "registry": f"{platform.registry_url}/v2/",
                "slack": f"{platform.slack_url}auth.test",
                "prometheus": f"{platform.prometheus_urls['staging']}/-/ready",
                "kubernetes": f"{cluster.url}/api/v1/namespaces",
                "gateway": f"{cluster.gateway_url}/",
            }.items():
                async with session.get(address, raise_for_status=False) as response:
                    found[system] = response.status
        return found

    up = await statuses()
    assert set(up.values()) == {200, 404}
    for system in ("registry", "slack", "prometheus", "kubernetes"):
        await ask("POST", url, system=system, environment="staging")
        assert await statuses() == {**up, system: 503}
        await ask("DELETE", url, system=system)
        assert await statuses() == up
    await ask("POST", url, system="prometheus", environment="production")
    assert await statuses() == up
    await ask("DELETE", url)
    assert await ask("GET", url) == {"outages": []}


async def test_an_outage_with_an_end_ends_by_itself(platform: Platform) -> None:
    url = f"{platform.control_url}/sandbox/outage"
    await ask("POST", url, system="registry", seconds=0.2)
    await ask("GET", f"{platform.registry_url}/v2/", status=503)
    await eventually(lambda: not platform.registry.outage.active, "the end of the outage")
    await ask("GET", f"{platform.registry_url}/v2/")


async def test_an_outage_that_hangs_accepts_and_answers_nothing_until_it_is_lifted(
    platform: Platform,
) -> None:
    url = f"{platform.control_url}/sandbox/outage"
    await ask("POST", url, system="prometheus", environment="staging", mode="hang")
    waiting = asyncio.create_task(
        ask("GET", f"{platform.prometheus_urls['staging']}/-/ready", status=503)
    )
    await ask("GET", f"{platform.prometheus_urls['production']}/-/ready")
    assert not waiting.done()
    await ask("DELETE", url)
    await waiting


async def test_the_rate_of_users_is_changed_on_demand(platform: Platform) -> None:
    url = f"{platform.control_url}/sandbox/traffic"
    assert await ask("POST", url, production=200) == {"staging": 2.0, "production": 200.0}


async def test_a_person_sees_routes_revisions_users_and_addresses(platform: Platform) -> None:
    await deploy(platform, v1=100)
    state = await ask("GET", f"{platform.control_url}/sandbox/state")
    production = state["environments"]["production"]
    (album,) = production["routes"]
    assert album["backends"] == [{"service": "album-v1", "weight": 100, "ready_pods": 2}]
    assert production["revisions"]["album-v1"]["running"] == 2
    assert state["urls"]["registry"] == platform.registry_url


@pytest.mark.parametrize(
    ("method", "path", "body", "named"),
    [
        (
            "POST",
            "faults",
            {"environment": "production", "fault": "crash"},
            "service or a revision",
        ),
        ("POST", "faults", {"environment": "x", "service": "a", "fault": "crash"}, "environment"),
        ("POST", "faults", {"environment": "staging", "service": "a", "fault": "fire"}, "fire"),
        ("POST", "faults", {"environment": "staging", "service": "a"}, "name a fault"),
        ("POST", "outage", {"system": "temporal"}, "temporal"),
        ("POST", "outage", {"system": "registry", "seconds": -1}, "seconds"),
        ("POST", "outage", {"system": "registry", "mode": "slow"}, "slow"),
        ("POST", "traffic", {"production": "many"}, "many"),
        ("GET", "users/nowhere/album", {}, "nowhere"),
    ],
)
async def test_a_bad_wish_is_refused_with_a_sentence(
    platform: Platform, method: str, path: str, body: dict[str, Any], named: str
) -> None:
    text = await ask(method, f"{platform.control_url}/sandbox/{path}", status=400, **body)
    assert named in text


async def test_an_image_that_is_not_in_the_registry_is_never_pulled(platform: Platform) -> None:
    cluster = platform.clusters["staging"]
    await create(cluster, *revision("album-v1", f"{platform.registry.address}/album:none"))

    def reasons() -> list[str]:
        return [
            status["state"].get("waiting", {}).get("reason", "")
            for pod in cluster.store.list("pods")
            for status in (pod.get("status") or {}).get("containerStatuses") or ()
        ]

    await eventually(lambda: "ErrImagePull" in reasons() or "ImagePullBackOff" in reasons(), "pull")


@contextlib.asynccontextmanager
async def started(*options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sandbox", *options),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def line_of(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), PATIENCE_SECONDS)).decode()


async def refusal(*options: str) -> tuple[int | None, str]:
    async with started(*options) as process:
        _, problem = await asyncio.wait_for(process.communicate(), PATIENCE_SECONDS)
        return process.returncode, problem.decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_program_says_when_it_is_ready_and_stops_cleanly(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with started("--state", str(tmp_path), "--speed", "120") as process:
        assert (await line_of(process)).startswith("sandbox ready ")
        urls = json.loads((tmp_path / "sandbox.json").read_text())["urls"]
        assert (await ask("GET", f"{urls['control']}/sandbox/state"))["speed"] == 120
        process.send_signal(number)
        assert await asyncio.wait_for(process.wait(), PATIENCE_SECONDS) == 0
        assert process.stderr is not None
        assert await process.stderr.read() == b""
    assert not (tmp_path / "sandbox.json").exists()


async def test_the_program_ends_with_its_parent(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE
    )
    options = ("--state", str(tmp_path), "--parent-pid", str(parent.pid))
    async with started(*options) as process:
        await line_of(process)
        await parent.communicate(b"\n")
        assert await asyncio.wait_for(process.wait(), PATIENCE_SECONDS) == 0


async def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for name in ("registry", "staging", "production-prometheus"):
            code, problem = await refusal("--state", str(tmp_path), "--ports", f"{name}={port}")
            assert (code, problem.count("\n")) == (2, 1)
            assert str(port) in problem


async def test_two_sandboxes_never_share_a_directory(tmp_path: Path) -> None:
    async with started("--state", str(tmp_path)) as process:
        await line_of(process)
        code, problem = await refusal("--state", str(tmp_path))
        assert code == 2
        assert "another sandbox runs" in problem
        assert (tmp_path / "sandbox.json").exists()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--speed", "0"), "above zero"),
        (("--speed", "fast"), "fast"),
        (("--traffic", "prod=3"), "prod"),
        (("--traffic", "staging=-1"), "negative"),
        (("--ports", "web=80"), "web"),
        (("--ports", "slack=70000"), "70000"),
    ],
)
def test_a_wrong_option_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    named: str,
) -> None:
    monkeypatch.setattr(sys, "argv", ["sandbox", "--state", str(tmp_path), *options])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert named in capsys.readouterr().err.splitlines()[-1]
