from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from domain.errors import PermanentFailure
from starter.process_records import start_of
from tests.cluster import cache, ports, session
from tests.cluster.api import until
from tests.cluster.clusters import Clusters
from tests.cluster.control_plane import ControlPlaneSettings
from tests.cluster.control_planes import running

PROJECT = Path(__file__).resolve().parents[3]


# A session that asks for the clusters and then hangs, as one does that somebody kills.
HANGING_SESSION = """
import pathlib, signal
from tests.cluster.fixtures import control_planes

def test_hangs(control_planes):
    half = pathlib.Path("half.json")
    half.write_text(control_planes.to_json())
    half.rename("clusters.json")
    signal.pause()
"""


@pytest.mark.usefixtures("programs_built")
@pytest.mark.parametrize("workers", [0, 2], ids=["alone", "parallel"])
async def test_nothing_is_left_when_pytest_is_killed(tmp_path: Path, workers: int) -> None:
    (tmp_path / "test_hanging.py").write_text(HANGING_SESSION)
    written = tmp_path / "clusters.json"
    async with _process(
        *("-m", "pytest", "test_hanging.py", f"-n{workers}", f"--basetemp={tmp_path / 'base'}"),
        *(f"--rootdir={tmp_path}", "-p", "no:cacheprovider"),
        directory=tmp_path,
    ) as tests:
        await until(_exists(written), "the session has its clusters", seconds=60)
        clusters = Clusters.from_json(written.read_text())
        holder = session.State.read(tmp_path / "base" / "control-planes" / "state.json").holder
        ids = [holder, *_recorded_ids(holder)]
        assert len(ids) == 13
        tests.kill()
        await tests.wait()

        async def all_gone() -> bool:
            return not any(map(start_of, ids)) and not clusters.folder.exists()

        await until(all_gone, "every program and every file of theirs is gone")
    assert _recorded_ids(holder) == []


@pytest.mark.usefixtures("programs_built")
async def test_nothing_is_left_when_their_holder_is_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state.json"
    async with started_for_a_person("--state", state) as (person, said):
        with capsys.disabled():
            sys.stderr.write(said)
        ids = _recorded_ids(person.pid)
        clusters = session.State.read(state).clusters
        assert clusters is not None
        person.kill()
        await person.wait()

        async def all_gone() -> bool:
            return not any(map(start_of, ids)) and not clusters.folder.exists()

        await until(all_gone, "every program and every file of theirs is gone")


@pytest.mark.usefixtures("programs_built")
async def test_ctrl_c_stops_everything_and_says_so() -> None:
    async with started_for_a_person() as (person, told):
        assert "kubeconfigs/admin.yaml" in told
        ids = _recorded_ids(person.pid)
        person.send_signal(signal.SIGINT)
        _, last = await person.communicate()
        assert (person.returncode, last.decode()) == (0, "stopped; nothing is left\n")
        assert not any(map(start_of, ids))


@pytest.mark.usefixtures("programs_built")
async def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server((ports.HOST, 0)) as listening:
        port = listening.getsockname()[1]
        wished = (ControlPlaneSettings("staging", port=port), ControlPlaneSettings("production"))
        with pytest.raises(PermanentFailure, match=f"port {port} .*API server of staging.* taken"):
            async with running(tmp_path / "bed", wished):
                pytest.fail("it started on a port that somebody else has")
    assert not list((tmp_path / "bed").glob("*.log"))


@asynccontextmanager
async def started_for_a_person(
    *options: str | Path,
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """`make cluster-control`, and what it says until both are ready."""
    last = "are ready after" if options else "Ctrl-C stops them"
    async with _process("-m", "tests.cluster.control_planes", *options) as person:
        assert person.stderr
        said = ""
        while last not in said:
            line = (await person.stderr.readline()).decode()
            assert line, f"it ended: {said}"
            said += line
        yield person, said


@asynccontextmanager
async def _process(
    *arguments: str | Path, directory: Path = PROJECT
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A Python process, killed at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=directory,
        env=_environment(),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def _environment() -> dict[str, str]:
    # A session in a session: it must not take itself for a part of ours.
    ours = {name: text for name, text in os.environ.items() if not name.startswith("PYTEST_")}
    return {**ours, "PYTHONPATH": str(PROJECT)}


def _exists(file: Path) -> Callable[[], Awaitable[bool]]:
    async def exists() -> bool:
        return file.exists()

    return exists


def _recorded_ids(owner: int) -> list[int]:
    files = (cache.folder() / "running").glob(f"{owner}-*.json")
    return [pid for file in files for _, pid, _ in json.loads(file.read_text())["processes"]]
