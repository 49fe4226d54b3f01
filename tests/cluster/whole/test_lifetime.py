"""A bed leaves nothing, however its process ends; and nothing gets out of it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.whole import records
from tests.cluster.whole.bed import Bed
from tests.cluster.whole.cgroups import Tree
from tests.cluster.whole.enclosure import HIDDEN_SETTINGS
from tests.cluster.whole.records import MADE_FOLDERS, Record

PROJECT = Path(__file__).resolve().parents[3]
HOLD = "from tests.cluster.whole import bed; bed.start(); print('ready', flush=True); input()"
PATIENCE_SECONDS = 60.0
pytestmark = pytest.mark.usefixtures("fit")


@pytest.fixture
def owner() -> Iterator[subprocess.Popen[str]]:
    """A process that starts a bed, says `ready`, and would hold it for ever."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def bed_of(process: subprocess.Popen[str]) -> Record:
    """The bed that a process has written down as its own."""
    found: list[Record] = []

    def written() -> bool:
        found[:] = [one for one in records.records() if one.owner_id == process.pid]
        return bool(found)

    wait(written, "a bed is written down")
    return found[0]


def wait(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS:g} s: {what}"
        time.sleep(0.05)


def traces(bed: Record) -> list[str]:
    """Everything on this machine that has the bed's name."""
    name = bed.group("")
    found = [f"folder {bed.folder}"] if bed.folder.exists() else []
    found += [str(path) for path in Path("/run/netns").glob(f"{name}*")]
    for pattern in (f"{name}*", f"*/{name}*"):
        found += [str(path) for path in Path("/sys/fs/cgroup").glob(pattern)]
    found += [line for line in Path("/proc/mounts").read_text().splitlines() if bed.bed in line]
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (process / "cmdline").read_text(errors="replace")
            found += [command] if str(bed.folder) in command or name in command else []
    return found


def surroundings() -> dict[str, str]:
    """What of this machine a bed could change for everybody."""
    settings = {name: Path("/proc/sys", name).read_text() for name in HIDDEN_SETTINGS}
    folders = {str(folder): str(folder.exists()) for folder in MADE_FOLDERS}
    links = subprocess.run(("ip", "-br", "link"), capture_output=True, text=True, check=True)
    mounted = sorted(line.split()[1] for line in Path("/proc/mounts").read_text().splitlines())
    return settings | folders | {"links": links.stdout, "mounts": str(mounted)}


def children(process: int) -> list[int]:
    """Ids of the processes that it started itself."""
    path = Path(f"/proc/{process}/task/{process}/children")
    return [int(one) for one in path.read_text().split()]


def test_a_bed_whose_process_is_killed_leaves_nothing(owner: subprocess.Popen[str]) -> None:
    before = surroundings()
    bed = bed_of(owner)
    assert owner.stdout is not None
    assert owner.stdout.readline() == "ready\n"
    assert len(traces(bed)) > 20
    owner.kill()
    wait(lambda: not traces(bed), "everything of the bed is gone")
    assert surroundings() == before


def test_what_is_left_when_all_that_could_clean_was_killed_is_removed_by_its_record(
    owner: subprocess.Popen[str],
) -> None:
    before = surroundings()
    bed = bed_of(owner)
    node = bed.tree("staging")
    wait(lambda: len(node.processes()) > 3, "it is half started")
    in_bed = set().union(*(bed.tree(name).processes() for name in records.NAMES))
    for process in {*children(owner.pid)} - in_bed:
        os.kill(process, signal.SIGKILL)
    owner.kill()
    owner.wait()
    assert traces(bed)
    assert bed.bed in records.remove_left_over()
    assert traces(bed) == []
    assert surroundings() == before


def test_processes_of_others_survive_the_end_of_a_tree() -> None:
    with subprocess.Popen(["sleep", "600"]) as other, subprocess.Popen(["sleep", "600"]) as ours:
        tree = Tree(f"tidegate-test-{os.getpid()}")
        tree.make()
        try:
            tree.entrance.write_text(str(ours.pid))
            tree.kill()
            assert ours.wait(10) == -signal.SIGKILL
            assert other.poll() is None
        finally:
            other.kill()
            tree.remove()
        assert not tree.exists


def test_no_part_of_a_bed_has_a_default_route(bed: Bed) -> None:
    for name in records.NAMES:
        namespace = bed.record.group(name)
        for family in ("-4", "-6"):
            command = ("ip", family, "-n", namespace, "route", "show", "default")
            shown = subprocess.run(command, capture_output=True, text=True, check=True)
            assert shown.stdout == ""
