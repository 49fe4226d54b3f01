from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from starter.process_records import ProcessRecords, Recorded, start_of

PATIENCE = timedelta(seconds=10)
WAITING = "import sys; print('up', flush=True); sys.stdin.read()"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAITING}"


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def begin(started: list[subprocess.Popen[bytes]], code: str = WAITING) -> int:
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    started.append(process)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    return process.pid


@pytest.mark.parametrize("code", [WAITING, STUBBORN], ids=("willing", "stubborn"))
def test_a_recorded_process_is_ended(
    tmp_path: Path, started: list[subprocess.Popen[bytes]], code: str
) -> None:
    records = ProcessRecords(tmp_path / "processes.json")
    records.add("one", begin(started, code))
    (one,) = records.alive()
    one.end(timedelta(seconds=1) if code == STUBBORN else PATIENCE)
    assert records.alive() == []


def test_an_id_that_somebody_else_has_now_is_left_alone() -> None:
    other = Recorded("gone", os.getpid(), "another start")
    assert not other.is_alive
    other.end(PATIENCE)
    assert start_of(os.getpid())


def test_a_name_is_recorded_once_and_a_damaged_file_holds_nothing(tmp_path: Path) -> None:
    file = tmp_path / "processes.json"
    records = ProcessRecords(file)
    records.add("me", os.getpid())
    records.add("me", os.getpid())
    assert [one.name for one in records.alive()] == ["me"]
    file.write_text("[[1]]")
    assert records.read() == []
    records.clear()
    assert not file.exists()
