"""Staging and production as two real control planes, side by side.

`python -m tests.cluster.control_planes` starts them for a person until Ctrl-C; `--owner PID` and
`--state FILE` are how a pytest session has them (`session.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from domain.errors import PermanentFailure, ReleaseError
from starter.process_records import start_of
from tests.cluster import manifests, programs
from tests.cluster.clusters import COMMANDS, GUARDIAN, STRANGER, WORKER, Clusters
from tests.cluster.control_plane import PROGRAMS, ControlPlane, ControlPlaneSettings
from tests.cluster.processes import Processes, end_left_over
from tests.cluster.session import State
from tests.cluster.traefik import traefik

BOTH = (ControlPlaneSettings("staging"), ControlPlaneSettings("production"))
_OWNER_POLL_SECONDS = 0.2
_FAILED = 2


def refuse_unbuilt() -> None:
    """PermanentFailure with the remedy when starting would have to build (minutes) or install."""
    missing = [name for name in PROGRAMS if programs.built(name) is None]
    if missing or not manifests.fetched():
        raise PermanentFailure(
            f"not built yet: {', '.join(missing) or 'manifests'}; say `make test-real`, or "
            "`python -m tests.cluster.programs` (minutes, once)"
        )
    traefik()


@asynccontextmanager
async def running(
    folder: Path | None = None, settings: Sequence[ControlPlaneSettings] = BOTH
) -> AsyncIterator[Clusters]:
    """Staging and production, ready, and gone at the end; `folder` None: a temporary one.

    Raises what `ControlPlane.start` raises; nothing is left then either.
    """
    with Processes(folder) as started:
        planes = [ControlPlane(one, started.folder / one.name, started) for one in settings]
        await _start(planes)
        clusters = Clusters(started.folder, *(plane.cluster for plane in planes))
        clusters.write_kubeconfigs()
        yield clusters


async def _start(planes: Sequence[ControlPlane]) -> None:
    try:
        async with asyncio.TaskGroup() as starting:
            for plane in planes:
                starting.create_task(plane.start())
    except ExceptionGroup as failures:
        # The second cluster fails only because the first one's failure ended it.
        raise failures.exceptions[0] from None


def main(arguments: Sequence[str]) -> int:
    """Run them until Ctrl-C, SIGTERM or the owner's end; 2 with one line when they cannot start."""
    options = _options().parse_args(arguments)
    try:
        for ended in end_left_over():
            _say(f"ended {ended}, which a killed earlier run left")
        for name in PROGRAMS:
            programs.program(name, _say)
        asyncio.run(_serve(options.owner, options.state))
    except (ReleaseError, OSError) as problem:
        if options.state:
            State(str(problem)).write(options.state)
        _say(f"cluster-control: {problem}")
        return _FAILED
    except KeyboardInterrupt:
        _say("stopped; nothing half-built is kept")
        return _FAILED
    return 0


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="control_planes", description=__doc__)
    options.add_argument("--owner", type=int, help="end when this process is gone")
    options.add_argument("--state", type=Path, help="write here how to reach them")
    return options


async def _serve(owner: int | None, state: Path | None) -> None:
    serving = asyncio.create_task(_hold(state))
    stopping = asyncio.create_task(_stop_wished(owner))
    done, pending = await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.wait(pending)
    if serving in done:
        serving.result()
    _say("stopped; nothing is left")


async def _hold(state: Path | None) -> None:
    began = time.monotonic()
    async with running() as clusters:
        took = time.monotonic() - began
        if state:
            State(None, clusters, os.getpid()).write(state)
        _say(f"staging and production are ready after {took:.1f} s")
        if not state:
            _tell(clusters)
        await asyncio.Event().wait()


async def _stop_wished(owner: int | None) -> None:
    wished = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, wished.set)
    began = start_of(owner) if owner else ""
    while not wished.is_set() and (owner is None or start_of(owner) == began):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_OWNER_POLL_SECONDS):
                await wished.wait()


def _tell(clusters: Clusters) -> None:
    kubectl = programs.built("kubectl") or "kubectl"
    _say(f"export KUBECONFIG={clusters.kubeconfig()}   # contexts staging and production")
    _say(f"{kubectl} --context production get nodes")
    for user in (WORKER, GUARDIAN, COMMANDS, STRANGER):
        _say(f"as {user}: {clusters.kubeconfig(user)}")
    for cluster in clusters:
        _say(f"{cluster.name}: {cluster.server}, every request in {cluster.audit_log}")
    _say("Ctrl-C stops them and removes their files")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
