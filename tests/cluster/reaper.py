"""Ends what a bed started as soon as the bed's process is gone: `reaper.py RECORD GRACE_SECONDS`.

It waits for the end of its standard input, whose other end only that process holds.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from starter.process_records import Recorded

_POLL_SECONDS = 0.02
_KILLED_SECONDS = 10.0


@dataclass(frozen=True)
class Record:
    """Whose bed it is, what it started, and the folder that goes with it."""

    owner: Recorded
    processes: Sequence[Recorded]
    folder: Path | None


def write(file: Path, owner: Recorded, processes: Sequence[Recorded], folder: Path | None) -> None:
    """Put a record in place as a whole."""
    content = {
        "owner": owner,
        "processes": list(processes),
        "folder": str(folder) if folder else None,
    }
    beside = file.with_suffix(".new")
    beside.write_text(json.dumps(content))
    beside.replace(file)


def read(file: Path) -> Record | None:
    """What a file records; None when it is gone or damaged."""
    try:
        content = json.loads(file.read_text())
        folder = content["folder"]
        return Record(
            Recorded(*content["owner"]),
            [Recorded(*one) for one in content["processes"]],
            Path(folder) if folder else None,
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def reap(file: Path, grace: timedelta) -> None:
    """End every group that a record names, the last started first; then forget it."""
    record = read(file)
    if record is None:
        return
    processes = record.processes[::-1]
    if grace:
        _signal(processes, signal.SIGTERM)
        _await_end(processes, grace.total_seconds())
    _signal(processes, signal.SIGKILL)
    _await_end(processes, _KILLED_SECONDS)
    if record.folder:
        shutil.rmtree(record.folder, ignore_errors=True)
    file.unlink(missing_ok=True)


def _signal(processes: Sequence[Recorded], number: signal.Signals) -> None:
    for one in processes:
        if one.is_alive:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(one.pid, number)


def _await_end(processes: Sequence[Recorded], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while any(one.is_alive for one in processes) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)


def main(file: Path, grace: timedelta) -> None:
    """Wait for the end of standard input, then end everything recorded."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    reap(file, grace)


if __name__ == "__main__":
    main(Path(sys.argv[1]), timedelta(seconds=float(sys.argv[2])))
