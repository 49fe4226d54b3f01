"""Clusters that one pytest session starts once, whichever of its processes asks first."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from domain.errors import PermanentFailure, TransientFailure
from starter.process_records import start_of
from tests.cluster import cache
from tests.cluster.clusters import Clusters

_PROJECT = Path(__file__).resolve().parents[2]
_START_SECONDS = 100.0
_STOP_SECONDS = 20.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class State:
    """What the process that holds the clusters says: why there are none, or how to reach them."""

    problem: str | None
    clusters: Clusters | None = None
    holder: int = 0

    def write(self, file: Path) -> None:
        """Put it in place as a whole."""
        text = self.clusters.to_json() if self.clusters else None
        beside = file.with_suffix(".new")
        beside.write_text(json.dumps([self.problem, text, self.holder]))
        beside.replace(file)

    @classmethod
    def read(cls, file: Path) -> State:
        """What was written; FileNotFoundError before."""
        problem, text, holder = json.loads(file.read_text())
        return cls(problem, Clusters.from_json(text) if text else None, holder)


def clusters_of(folder: Path, owner: int) -> Clusters:
    """The session's clusters, started now when nobody did; they end with the process `owner`.

    Raises PermanentFailure with the reason when they cannot start, to everybody who asks.
    """
    folder.mkdir(exist_ok=True)
    state = folder / "state.json"
    with cache.alone(folder / "lock"):
        if not state.exists():
            _await(state, _start_holder(state, owner), folder / "holder.log")
    found = State.read(state)
    if found.clusters is None:
        raise PermanentFailure(f"the clusters did not start: {found.problem}")
    return found.clusters


def stop(folder: Path) -> None:
    """End them before their owner ends; does nothing when there are none."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        holder = State.read(folder / "state.json").holder
        if holder:
            os.kill(holder, signal.SIGTERM)
            _await_end(holder)


def _start_holder(state: Path, owner: int) -> int:
    # Not a Popen: it may outlive the process that asked first, and is nobody's to wait for.
    log = os.open(state.with_name("holder.log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    command = [sys.executable, "-m", "tests.cluster.control_planes"]
    try:
        return os.posix_spawn(
            sys.executable,
            [*command, f"--owner={owner}", f"--state={state}"],
            {**os.environ, "PYTHONPATH": str(_PROJECT)},
            file_actions=[(os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)],
            setpgroup=0,
        )
    finally:
        os.close(log)


def _await(state: Path, holder: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not state.exists():
        if not start_of(holder) and not state.exists():
            raise PermanentFailure(f"the clusters did not start: {log.read_text()[-2000:]}")
        if time.monotonic() > deadline:
            os.kill(holder, signal.SIGTERM)
            raise TransientFailure(f"the clusters are not ready after {_START_SECONDS:g} s")
        time.sleep(_POLL_SECONDS)


def _await_end(holder: int) -> None:
    deadline = time.monotonic() + _STOP_SECONDS
    while start_of(holder) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(holder, os.WNOHANG)
