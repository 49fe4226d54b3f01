"""`tidegate sandbox`: a platform, a Temporal server and workers in the foreground."""

# ruff: noqa: PLC0415 - Temporal's client is imported while its server starts.

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from domain.environments import BUILD_QUEUE
from domain.errors import Conflict, TransientFailure
from settings import TemporalSettings
from starter import sandbox_programs as programs
from starter.children import Children, ended
from starter.event_loop import run
from starter.exit_codes import ExitCode
from starter.output import Format, say, say_json
from starter.ports import HOST, choose
from starter.process_records import ProcessRecords
from starter.sandbox_files import Layout, demo_policy, write_connections
from starter.sandbox_words import ready_words

if TYPE_CHECKING:
    from temporalio.client import Client

PATIENCE = timedelta(seconds=60)
STOP_PATIENCE = timedelta(seconds=30)
POLL = timedelta(milliseconds=50)
SELF = "up"


@dataclass(frozen=True)
class Wishes:
    """What was asked for on the command line."""

    state: Path
    speed: float
    traffic: str | None
    ui_port: int | None
    policy: str | None
    wheelhouse: Path | None
    workers: bool


@dataclass(frozen=True)
class Ready:
    """A sandbox that serves: a client of its Temporal, and its addresses."""

    client: Client
    temporal: Mapping[str, str]
    urls: Mapping[str, Any]


def up(wishes: Wishes) -> ExitCode:
    """Start everything, say what to type next, and stop everything on Ctrl-C."""
    layout = Layout(wishes.state.resolve())
    layout.prepare()
    with _alone_in(layout):
        records = _records(layout)
        for orphan in reversed(records.alive()):
            say(f"ending {orphan.name} (process {orphan.pid}) of an earlier run")
            orphan.end(STOP_PATIENCE)
        records.clear()
        records.add(SELF, os.getpid())
        try:
            return run(_up(wishes, layout, records))
        finally:
            records.clear()


def down(state: Path) -> ExitCode:
    """End a running sandbox and whatever is left of a killed one."""
    records = _records(Layout(state.resolve()))
    alive = records.alive()
    if not alive:
        say(f"no sandbox runs in {state}")
        return ExitCode.NOT_FOUND
    # The foreground process was written down first, and stops the others itself.
    for process in alive:
        process.end(STOP_PATIENCE)
    say(f"the sandbox in {state} is stopped")
    return ExitCode.OK


def status(state: Path, output: Format) -> ExitCode:
    """Say which of its processes run."""
    layout = Layout(state.resolve())
    alive = _records(layout).alive()
    if output is Format.JSON:
        processes = {one.name: one.pid for one in alive}
        say_json({"state": str(layout.root), "running": bool(alive), "processes": processes})
    elif alive:
        say("\n".join(f"{one.name:<16} process {one.pid}" for one in alive))
        say(f"{'connection':<16} {layout.connection}")
    else:
        say(f"no sandbox runs in {state}; start it: tidegate sandbox up --state {state}")
    return ExitCode.OK if alive else ExitCode.NOT_FOUND


async def _up(wishes: Wishes, layout: Layout, records: ProcessRecords) -> ExitCode:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - we are in one
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    children = Children(layout.root / "logs", records)
    began = time.monotonic()
    try:
        ready = await start(wishes, layout, children)
        say(ready_words(layout, ready.temporal, ready.urls, wishes, time.monotonic() - began))
        raise ended(await children.first_end())
    except asyncio.CancelledError:
        task.uncancel()
        say("\nstopping")
        return ExitCode.OK
    finally:
        await children.stop()


async def start(wishes: Wishes, layout: Layout, children: Children) -> Ready:
    """Start everything, and wait until it serves; PermanentFailure when a part ends."""
    wished = {programs.UI_PORT: wishes.ui_port} if wishes.ui_port else {}
    names = (*programs.PLATFORM_PORTS, programs.TEMPORAL_PORT, programs.UI_PORT)
    ports = choose(layout.root / "ports.json", names, wished)
    layout.summary.unlink(missing_ok=True)
    await children.start(programs.temporal_server(layout, ports))
    await children.start(programs.platform(layout, ports, wishes.speed, wishes.traffic))
    policy = {"repository": wishes.policy} if wishes.policy else await demo_policy(layout)
    temporal = {
        "address": f"{HOST}:{ports[programs.TEMPORAL_PORT]}",
        "namespace": "default",
        "ui": f"http://{HOST}:{ports[programs.UI_PORT]}",
    }
    await _until(lambda: _exists(layout.summary), "the platform", children)
    urls = await write_connections(layout, temporal, policy, wishes.wheelhouse)
    client = await _temporal_client(temporal, children)
    if wishes.workers:
        await _start_workers(layout, children, client)
    return Ready(client, temporal, urls)


async def _temporal_client(temporal: dict[str, str], children: Children) -> Client:
    from starter.connection import connect
    from starter.pollers import is_polled

    place = TemporalSettings.model_validate(temporal)
    found: list[Client] = []

    async def answers() -> bool:
        with contextlib.suppress(TransientFailure):
            found.append(await connect(place))
            await is_polled(found[-1], BUILD_QUEUE)
            return True
        return False

    await _until(answers, "Temporal", children)
    return found[-1]


async def _start_workers(layout: Layout, children: Children, client: Client) -> None:
    from starter.pollers import is_polled

    since = datetime.now(UTC)
    for program in programs.workers(layout):
        await children.start(program)
    for queue in (*programs.CLUSTER_ROLES, BUILD_QUEUE):
        polled = partial(is_polled, client, queue, since)
        await _until(polled, f"worker {queue}", children)


async def _until(holds: Callable[[], Awaitable[bool]], what: str, children: Children) -> None:
    """Wait for a condition; PermanentFailure as soon as one of the programs has ended."""
    deadline = time.monotonic() + PATIENCE.total_seconds()
    while not await holds():
        children.refuse_ended()
        if time.monotonic() > deadline:
            raise TransientFailure(f"{what} was not ready within {PATIENCE.seconds} s; see its log")
        await asyncio.sleep(POLL.total_seconds())


async def _exists(path: Path) -> bool:
    return path.exists()


@contextlib.contextmanager
def _alone_in(layout: Layout) -> Iterator[None]:
    with (layout.root / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(
                f"a sandbox runs in {layout.root} already; use it, stop it (tidegate sandbox down "
                f"--state {layout.root}), or choose another --state"
            ) from None
        yield


def _records(layout: Layout) -> ProcessRecords:
    return ProcessRecords(layout.root / "processes.json")
