"""Which processes a state directory's sandbox has, by id and start, so that none is mistaken."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

POLL = timedelta(milliseconds=50)


class Recorded(NamedTuple):
    """A process as it was written down: an id is used again, id and start time are not."""

    name: str
    pid: int
    started: str

    @property
    def is_alive(self) -> bool:
        """Whether exactly this process still runs."""
        return start_of(self.pid) == self.started

    def end(self, patience: timedelta) -> None:
        """Ask it to end, wait, and kill it when it does not."""
        for number, wait in ((signal.SIGTERM, patience), (signal.SIGKILL, patience)):
            if not self.is_alive:
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
            self._await_end(wait)

    def _await_end(self, patience: timedelta) -> None:
        deadline = time.monotonic() + patience.total_seconds()
        while self.is_alive and time.monotonic() < deadline:
            time.sleep(POLL.total_seconds())


class ProcessRecords:
    """The file with them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, name: str, pid: int) -> None:
        """Write a process down."""
        kept = [one for one in self.read() if one.name != name]
        self._write([*kept, Recorded(name, pid, start_of(pid))])

    def read(self) -> list[Recorded]:
        """Everything written down, in the order of starting; a damaged file holds nothing."""
        try:
            return [Recorded(*entry) for entry in json.loads(self._path.read_text())]
        except (OSError, ValueError, TypeError):
            return []

    def alive(self) -> list[Recorded]:
        """Those that still run."""
        return [one for one in self.read() if one.is_alive]

    def clear(self) -> None:
        """Forget them."""
        self._path.unlink(missing_ok=True)

    def _write(self, records: list[Recorded]) -> None:
        beside = self._path.with_suffix(".new")
        beside.write_text(json.dumps(records))
        beside.replace(self._path)


def start_of(pid: int) -> str:
    """When a process began, as its system says it; empty when there is none (or only a zombie)."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return ""
        # Fields 3 and 22 of proc(5): state and start time.
        return "" if fields[0] == "Z" else fields[19]
    command = ["ps", "-p", str(pid), "-o", "lstart="]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
