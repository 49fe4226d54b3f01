from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from domain.errors import PermanentFailure
from starter.process_records import start_of
from tests.cluster import cache
from tests.cluster.processes import Processes, end_left_over

PROJECT = Path(__file__).resolve().parents[2]
PATIENCE = timedelta(seconds=20)
# Deaf to what the system sends a child whose parent is gone: only who kills it ends it.
DEAF = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); "
    "signal.pause()"
)
OWNER = f"""
import pathlib, signal, sys
from tests.cluster.processes import Processes
bed = Processes()
bed.start("deaf", [sys.executable, "-c", {DEAF!r}])
while "deaf" not in (bed.folder / "deaf.log").read_text():
    pass
print(bed.alive["deaf"], bed._reaper.pid, bed.folder, flush=True)
signal.pause()
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The records of this test alone."""
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path))
    return tmp_path


def test_stopping_ends_them_and_removes_what_only_they_used(own_cache: Path) -> None:
    with Processes() as bed:
        pid = bed.start("deaf", [sys.executable, "-c", DEAF]).process.pid
        assert bed.alive == {"deaf": pid}
        folder = bed.folder
        assert folder.exists()
    assert not start_of(pid)
    assert not folder.exists()
    assert records(own_cache) == []


def test_a_folder_that_was_given_stays(tmp_path: Path) -> None:
    with Processes(tmp_path / "bed") as bed:
        bed.start("true", ["true"])
    assert (tmp_path / "bed" / "true.log").exists()


def test_they_are_asked_first_when_there_is_time(tmp_path: Path) -> None:
    code = (
        "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: (print('asked'), sys.exit()))"
        "; print('ready', flush=True); signal.pause()"
    )
    with Processes(tmp_path / "bed", grace=PATIENCE) as bed:
        log = bed.start("polite", [sys.executable, "-c", code]).log
        await_that(lambda: "ready" in log.read_text())
    assert "asked" in log.read_text()


def test_who_ended_by_itself_is_named_with_its_last_words() -> None:
    with Processes() as bed:
        failing = bed.start("etcd", ["sh", "-c", "echo no such option --port >&2; exit 3"])
        failing.process.wait()
        with pytest.raises(PermanentFailure, match=r"etcd ended with exit code 3.*\n.*--port"):
            bed.refuse_ended()


def test_nothing_is_left_when_the_owner_is_killed(own_cache: Path) -> None:
    owner, child, _, folder = killable_owner()
    owner.kill()
    owner.wait()
    await_that(lambda: not start_of(child) and not folder.exists() and not records(own_cache))
    close(owner)


def test_what_is_left_when_the_reaper_is_killed_too_the_next_run_ends(own_cache: Path) -> None:
    owner, child, reaper, folder = killable_owner()
    os.kill(reaper, signal.SIGKILL)
    owner.kill()
    owner.wait()
    assert start_of(child)
    assert end_left_over() == (f"deaf (pid {child})",)
    await_that(lambda: not start_of(child))
    assert not folder.exists()
    assert records(own_cache) == []
    close(owner)


def test_what_a_living_owner_has_is_left_alone() -> None:
    owner, child, _, folder = killable_owner()
    assert end_left_over() == ()
    assert start_of(child)
    owner.kill()
    owner.wait()
    await_that(lambda: not folder.exists())
    close(owner)


def test_an_id_that_another_program_has_meanwhile_is_left_alone(own_cache: Path) -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as somebody_else:
        running = own_cache / "running"
        running.mkdir()
        processes = [["etcd", somebody_else.pid, "1"]]
        record = {"owner": ["owner", os.getpid(), "1"], "processes": processes, "folder": None}
        (running / "record.json").write_text(json.dumps(record))
        assert end_left_over() == ()
        assert somebody_else.poll() is None
        assert records(own_cache) == []
        somebody_else.kill()


def killable_owner() -> tuple[subprocess.Popen[str], int, int, Path]:
    """A process with a bed: it, its child, its reaper, its folder."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout
    child, reaper, folder = owner.stdout.readline().split()
    return owner, int(child), int(reaper), Path(folder)


def close(owner: subprocess.Popen[str]) -> None:
    if owner.stdout:
        owner.stdout.close()


def records(own_cache: Path) -> list[Path]:
    return list((own_cache / "running").glob("*.json"))


def await_that(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE.total_seconds()
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
