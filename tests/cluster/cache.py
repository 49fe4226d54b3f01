"""What is made once and kept outside the checkout; nothing half-made is ever seen there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from domain.errors import PermanentFailure

CACHE_VARIABLE = "TIDEGATE_CACHE"
Report = Callable[[str], None]


def silent(_: str) -> None:
    """For who does not want to hear of progress."""


def folder() -> Path:
    """$TIDEGATE_CACHE, else $XDG_CACHE_HOME/tidegate, else ~/.cache/tidegate.

    Raises PermanentFailure when it cannot be made.
    """
    chosen = os.environ.get(CACHE_VARIABLE)
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    path = (Path(chosen) if chosen else Path(base) / "tidegate").expanduser().absolute()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PermanentFailure(
            f"the cache {path} cannot be made: {error.strerror}; name another by {CACHE_VARIABLE}"
        ) from error
    return path


def made_once(place: Path, make: Callable[[Path], None], report: Report = silent) -> Path:
    """A folder that `make` fills the first time; it appears under its name only when whole.

    Two processes do not make it at once: the second waits for the first. What a killed one left
    half-made is thrown away. PermanentFailure with the remedy when the disk is full.
    """
    if place.exists():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with alone(place.with_name(f"{place.name}.lock"), report):
        if not place.exists():
            _make(place, make)
    return place


@contextlib.contextmanager
def alone(lock: Path, report: Report = silent) -> Iterator[None]:
    """Hold a lock that ends with this process, however it ends."""
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(f"another process holds {lock.name}; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make(place: Path, make: Callable[[Path], None]) -> None:
    half = place.with_name(f"{place.name}.half")
    # The lock is ours, so whoever left this behind is gone.
    shutil.rmtree(half, ignore_errors=True)
    try:
        half.mkdir()
        make(half)
        half.rename(place)
    except OSError as error:
        raise PermanentFailure(
            f"cannot make {place}: {error.strerror}; free some of its disk, or name another "
            f"folder by {CACHE_VARIABLE}"
        ) from error
    finally:
        shutil.rmtree(half, ignore_errors=True)
