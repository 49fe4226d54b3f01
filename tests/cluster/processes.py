"""Programs of a bed: started, written down, and ended by id, also when we are killed.

A reaper beside us holds the other end of a pipe: however we end, it ends what we started. What it
could not (it was killed as well) the next bed finds written down and ends, by id and start time.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from starter.children import ending_with_us
from starter.process_records import Recorded, start_of
from tests.cluster import cache
from tests.cluster.reaper import read, reap, write
from tests.cluster.started import Started, refuse_ended

_PROJECT = Path(__file__).resolve().parents[2]
_PATIENCE_SECONDS = 20.0


class Processes:
    """What one bed started, with its folder; to be stopped, by `with` or `stop()`.

    `folder` None: a temporary one, removed at the end. `grace` is how long they are asked before
    they are killed. Start them in the main thread: Linux ends a child with the thread of its start.
    """

    def __init__(self, folder: Path | None = None, grace: timedelta = timedelta(0)) -> None:
        end_left_over()
        self._temporary = folder is None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="tidegate-bed-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self._started: list[Started] = []
        self._recorded: list[Recorded] = []
        self._record = _records_folder() / f"{os.getpid()}-{time.monotonic_ns()}.json"
        self._write()
        self._reaper = self._start_reaper(grace)

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> Started:
        """Start a program in a group of its own; its output goes to `<folder>/<name>.log`."""
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ending_with_us(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                cwd=directory or self.folder,
                start_new_session=True,
            )
        started = Started(name, process, log)
        self._started.append(started)
        self._recorded.append(Recorded(name, process.pid, start_of(process.pid)))
        self._write()
        return started

    @property
    def alive(self) -> dict[str, int]:
        """The ids of those that run, by name."""
        return {one.name: one.process.pid for one in self._started if one.process.poll() is None}

    def refuse_ended(self) -> None:
        """PermanentFailure with its last words when one of them has ended by itself."""
        refuse_ended(self._started)

    def stop(self) -> None:
        """End them all, and what only this bed used."""
        # The reaper does what it would do had we been killed: one way to end, used every time.
        if self._reaper.stdin:
            self._reaper.stdin.close()
        self._reaper.wait(_PATIENCE_SECONDS)
        for one in self._started:
            one.process.wait(_PATIENCE_SECONDS)

    def _start_reaper(self, grace: timedelta) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.cluster.reaper", str(self._record)]
        return subprocess.Popen(
            [*command, str(grace.total_seconds())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            cwd=_PROJECT,
            start_new_session=True,
        )

    def _write(self) -> None:
        own = Recorded("owner", os.getpid(), start_of(os.getpid()))
        recorded = [one for one in self._recorded if one.started]
        write(self._record, own, recorded, self.folder if self._temporary else None)


def end_left_over() -> tuple[str, ...]:
    """End what killed earlier beds left, by their own records; says what that was."""
    ended: list[str] = []
    for file in sorted(_records_folder().glob("*.json")):
        record = read(file)
        if record is None or record.owner.is_alive:
            continue
        ended += [f"{one.name} (pid {one.pid})" for one in record.processes if one.is_alive]
        reap(file, timedelta(0))
    return tuple(ended)


def _records_folder() -> Path:
    folder = cache.folder() / "running"
    folder.mkdir(exist_ok=True)
    return folder
