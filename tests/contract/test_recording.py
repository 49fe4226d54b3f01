"""The recorder sees whatever our clients' tests send, and lets nothing by that is not listed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVER = """\
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

async def answer(request):
    return web.Response(text="x")

@asynccontextmanager
async def running(agent):
    application = web.Application()
    application.router.add_route("*", "/{anything:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with aiohttp.ClientSession(base, headers={"User-Agent": agent}) as session:
        yield session
    await runner.cleanup()

async def send(session, method, path):
    async with session.request(method, path) as response:
        await response.read()
"""
INI = "[pytest]\ntestpaths = tests\nasyncio_mode = auto\n"
# Who sends HTTP for us; each is told by its `User-Agent` or by its paths (`requests.py`).
SENDERS = {
    "clients/cluster_connection.py": "ApiClient(",
    "clients/registry_connection.py": "ClientSession(",
    "clients/slack.py": "AsyncWebClient(",
    "clients/source_http.py": "requests.Session(",
}
SENDER = re.compile(r"\b(ClientSession|requests\.Session|AsyncWebClient|ApiClient)\(")
UNLISTED = "requests without a contract"


def test_nobody_else_of_us_sends_requests_that_the_recorder_could_not_tell() -> None:
    sources = [
        file
        for folder in ("activities", "clients", "starter")
        for file in (ROOT / folder).iterdir()
    ]
    found = {
        str(file.relative_to(ROOT)): found[0]
        for file in sources
        if file.suffix == ".py" and (found := SENDER.search(file.read_text()))
    }
    assert found == SENDERS


def said(tmp_path: Path, body: str, *arguments: str) -> tuple[int, str]:
    """Exit code and words of pytest on one test file of our clients, with the recorder."""
    return said_of(tmp_path, [("clients", body)], *arguments)


def said_of(tmp_path: Path, files: list[tuple[str, str]], *arguments: str) -> tuple[int, str]:
    """The same of several files, each in its folder below `tests`, numbered from 0."""
    for number, (folder, body) in enumerate(files):
        file = tmp_path / "tests" / folder / f"test_requests_{number}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(SERVER + body)
    ini = tmp_path / "pytest.ini"
    ini.write_text(INI)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-c", str(ini), "--rootdir", str(tmp_path)),
            *("-p", "tests.contract.recording", *arguments),
        ],
        cwd=tmp_path,
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def sending(method: str, path: str, agent: str) -> str:
    """A test that sends one request."""
    return f"""
async def test_it():
    async with running("{agent}") as session:
        await send(session, "{method}", "{path}")
"""


def test_a_request_of_ours_in_no_known_form_is_told_by_its_path(tmp_path: Path) -> None:
    paths = ["/apis", "/apis/apps/v1", "/readyz", "/openapi/v3", "/api/v1"]
    files = [("clients", sending("GET", path, "tidegate/1")) for path in paths]
    code, told = said_of(tmp_path, files, "tests")
    assert code == 1
    assert told.count(UNLISTED) >= len(paths)
    assert [path for path in paths if f"kubernetes GET {path}\n" not in told] == []
    assert f"{len(paths)} failed in" in told


def test_everybody_who_uses_our_clients_is_observed(tmp_path: Path) -> None:
    folders = ["activities", "clients", "starter"]
    files = [(folder, sending("GET", "/apis", "tidegate/1")) for folder in folders]
    code, told = said_of(tmp_path, files, "tests")
    assert (code, UNLISTED in told) == (1, True)
    assert [folder for folder in folders if f"FAILED tests/{folder}/" not in told] == []


def test_a_registry_client_that_asks_elsewhere_is_told_by_its_path(tmp_path: Path) -> None:
    code, told = said(tmp_path, sending("GET", "/elsewhere", "tidegate-registry/1"), "tests")
    assert (code, "registry GET /elsewhere\n" in told) == (1, True)


def test_listed_requests_and_those_of_others_go_by(tmp_path: Path) -> None:
    requests = [
        ("/version", "tidegate/1", "clients"),
        ("/token?service=a&scope=b", "tidegate-registry/1", "activities"),
        ("/apis", "kubectl/1", "starter"),
        ("/apis", "tidegate/1", "elsewhere"),
    ]
    files = [(folder, sending("GET", path, agent)) for path, agent, folder in requests]
    code, told = said_of(tmp_path, files, "tests")
    assert code == 0, told
    assert f"{len(requests)} passed in" in told


def test_what_a_fixture_sends_when_it_begins_and_when_it_ends_is_seen(tmp_path: Path) -> None:
    body = """
@pytest.fixture
async def session():
    async with running("tidegate/1") as session:
        await send(session, "GET", "/at/the/beginning")
        yield session
        await send(session, "GET", "/at/the/end")

async def test_it(session):
    pass
"""
    code, told = said(tmp_path, body, "tests")
    assert code == 1
    assert "kubernetes GET /at/the/beginning\n" in told
    assert "kubernetes GET /at/the/end\n" in told


def test_what_fixtures_send_is_in_the_list_that_is_written(tmp_path: Path) -> None:
    body = """
@pytest.fixture
async def session():
    async with running("tidegate/1") as session:
        yield session
        await send(session, "GET", "/at/the/end")

async def test_it(session):
    pass
"""
    seen = tmp_path / "seen"
    code, told = said(tmp_path, body, "tests", "--request-shapes-to", str(seen))
    assert code == 0, told
    assert seen.read_text() == "kubernetes GET /at/the/end\n"


@pytest.mark.parametrize("arguments", [(), ("-p", "no:cacheprovider")])
def test_a_whole_run_names_what_is_listed_and_was_never_sent(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    code, told = said(tmp_path, sending("GET", "/version", "tidegate/1"), *arguments)
    assert code == 1
    assert "listed but never sent: registry GET" in told
    assert "listed but never sent: kubernetes GET /version" not in told
    assert "INTERNALERROR" not in told
