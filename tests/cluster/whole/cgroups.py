"""Control groups of the kernel: a tree per cluster, by which its processes are found and ended.

Both forms are known: version 1 (a hierarchy per controller) and version 2 (one for all).
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from domain.errors import PermanentFailure

# In version 2 a group with children may hold no process itself: ours are in this leaf.
LEAF = "system"
_CONTROLLERS = ("cpu", "cpuset", "memory", "pids", "io", "hugetlb")
_MOUNTS = Path("/proc/self/mounts")
_END_SECONDS = 20.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Tree:
    """The groups called `name` at the top of every hierarchy; pods get theirs below."""

    name: str

    def make(self) -> None:
        """Make them; PermanentFailure when this machine does not let us."""
        try:
            for root in _hierarchies():
                (root / self.name).mkdir(exist_ok=True)
                if (root / "cgroup.subtree_control").exists() and len(_hierarchies()) == 1:
                    _enable(root)
                    _enable(root / self.name)
            self.entrance.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise PermanentFailure(
                f"cannot make the control group {self.name}: {error.strerror}; run as root on a "
                "machine whose /sys/fs/cgroup may be written"
            ) from error

    @property
    def entrance(self) -> Path:
        """The file a process writes its id to in order to join."""
        return _finder() / self.name / LEAF / "cgroup.procs"

    def processes(self) -> set[int]:
        """Ids of everything that runs in the tree."""
        found: set[int] = set()
        for group in _groups_below(_finder() / self.name):
            # A pod's group may vanish while we look.
            with contextlib.suppress(OSError):
                found |= {int(line) for line in (group / "cgroup.procs").read_text().split()}
        return found

    def kill(self) -> None:
        """End everything in the tree; PermanentFailure naming what does not end."""
        deadline = time.monotonic() + _END_SECONDS
        while left := self.processes():
            if time.monotonic() > deadline:
                raise PermanentFailure(f"processes {sorted(left)} of {self.name} do not end")
            for process in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            time.sleep(_POLL_SECONDS)

    def remove(self) -> None:
        """Remove the groups, which hold no process any more."""
        for root in _hierarchies():
            for folder in sorted(_groups_below(root / self.name), reverse=True):
                with contextlib.suppress(FileNotFoundError):
                    folder.rmdir()

    @property
    def exists(self) -> bool:
        return any((root / self.name).exists() for root in _hierarchies())


def _groups_below(top: Path) -> Iterator[Path]:
    for folder, _, _ in os.walk(top):
        yield Path(folder)


@cache
def _hierarchies() -> tuple[Path, ...]:
    lines = [line.split() for line in _MOUNTS.read_text().splitlines()]
    roots = tuple(Path(where) for _, where, kind, *_ in lines if kind in ("cgroup", "cgroup2"))
    if not roots:
        raise PermanentFailure("no control groups are mounted here; mount /sys/fs/cgroup")
    return roots


@cache
def _finder() -> Path:
    """The hierarchy that knows every process of a tree."""
    roots = _hierarchies()
    named = [root for root in roots if root.name == "pids"]
    if named:
        return named[0]
    if len(roots) == 1:
        return roots[0]
    raise PermanentFailure("the control group `pids` is not mounted here; mount it")


def _enable(group: Path) -> None:
    offered = (group / "cgroup.controllers").read_text().split()
    wanted = " ".join(f"+{name}" for name in _CONTROLLERS if name in offered)
    (group / "cgroup.subtree_control").write_text(wanted)
