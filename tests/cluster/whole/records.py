"""What beds have made on this machine, by their own records, and how it is removed.

Everything a bed makes is named by its id, and its record is written first: a bed that was killed
at any moment is removed like one that ended.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from domain.environments import RELEASE_ENVIRONMENTS
from domain.errors import PermanentFailure
from starter.process_records import Recorded, start_of
from tests.cluster import cache
from tests.cluster.whole.cgroups import Tree
from tests.cluster.whole.enclosure import HOST_FOLDERS
from tests.cluster.whole.namespaces import NAMED, Namespace

HUB = "hub"
# The id of the bed that a person keeps.
KEPT = "up"
# What a bed makes on a machine that does not have it; the second is a mount of its own.
MADE_FOLDERS = (*HOST_FOLDERS, NAMED)
# The parts of a bed.
NAMES = (HUB, *(environment.value for environment in RELEASE_ENVIRONMENTS))


@dataclass(frozen=True)
class Record:
    """One bed: its id, the folder with all its files, and the names of what it makes."""

    bed: str

    @property
    def folder(self) -> Path:
        return _folder() / self.bed

    @property
    def file(self) -> Path:
        return self.folder / "bed.json"

    def group(self, name: str) -> str:
        """The name of the control groups and of the network namespace of a part of the bed."""
        return f"tidegate-{self.bed}-{name}"

    def tree(self, name: str) -> Tree:
        return Tree(self.group(name))

    def namespace(self, name: str) -> Namespace:
        return Namespace(self.group(name))

    def write(self) -> None:
        """Write the bed down as this process's; PermanentFailure when it is there already."""
        half = self.folder.with_name(f".{self.bed}")
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir()
        missing = [str(folder) for folder in MADE_FOLDERS if not folder.exists()]
        owner = Recorded("owner", os.getpid(), start_of(os.getpid()))
        _write(half / self.file.name, owner, missing)
        try:
            # With its record at once: nobody sees a bed that is nobody's.
            half.rename(self.folder)
        except OSError:
            shutil.rmtree(half)
            raise PermanentFailure(
                f"the bed {self.bed} is there already; end it first: make cluster-down"
            ) from None

    def keep(self) -> None:
        """From now on it does not end with this process."""
        _write(self.file, None, self._read()["made_folders"])

    @property
    def is_left_over(self) -> bool:
        """Whether whoever made it is gone and did not mean it to stay."""
        owner = self._read().get("owner", ())
        return owner is not None and not (owner and Recorded(*owner).is_alive)

    @property
    def owner_id(self) -> int | None:
        """The process it ends with; None when it stays."""
        owner = self._read().get("owner")
        return Recorded(*owner).pid if owner else None

    @property
    def runs(self) -> bool:
        """Whether a program of every part of it runs."""
        return all(self.tree(name).processes() for name in NAMES)

    def remove(self) -> None:
        """End its processes and remove everything it made; what is not there is not missed."""
        with cache.alone(_folder() / "removal.lock"):
            if self.folder.exists():
                self._remove()

    def _remove(self) -> None:
        for name in NAMES:
            self.tree(name).kill()
        for name in NAMES:
            self.tree(name).remove()
            self.namespace(name).remove()
        for folder in map(Path, self._read().get("made_folders", ())):
            if folder.is_dir() and not any(folder.iterdir()):
                _remove_folder(folder)
        # The record goes last: until then another run finds what is left.
        for entry in self.folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry != self.file:
                entry.unlink()
        shutil.rmtree(self.folder)

    def _read(self) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads(self.file.read_text())
        except (OSError, ValueError):
            return {}
        return content


def _write(file: Path, owner: Recorded | None, made_folders: Sequence[str]) -> None:
    beside = file.with_suffix(".new")
    beside.write_text(json.dumps({"owner": owner, "made_folders": made_folders}))
    beside.replace(file)


def _remove_folder(folder: Path) -> None:
    while folder.is_mount():
        subprocess.run(("umount", str(folder)), check=True)
    folder.rmdir()


def records() -> Iterator[Record]:
    """Every bed written down."""
    for folder in sorted(_folder().iterdir()):
        if folder.is_dir() and not folder.name.startswith("."):
            yield Record(folder.name)


def remove_left_over() -> tuple[str, ...]:
    """Remove what killed runs left; returns their beds' ids."""
    left = [record for record in records() if record.is_left_over]
    for record in left:
        record.remove()
    return tuple(record.bed for record in left)


def _folder() -> Path:
    folder = cache.folder() / "beds"
    folder.mkdir(exist_ok=True)
    return folder
