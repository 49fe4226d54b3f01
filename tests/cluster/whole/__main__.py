"""`python -m tests.cluster.whole up|down|shell|status|prepare`: whole clusters for a person."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

from domain.errors import ReleaseError
from tests.cluster import cache
from tests.cluster.whole import guide, records
from tests.cluster.whole.machine import refuse_unfit
from tests.cluster.whole.records import HUB, KEPT, Record

_FAILED = 2


def main(arguments: list[str]) -> int:
    """Run one command; 2 with one message when it cannot be done."""
    wished = _parser().parse_args(arguments)
    try:
        return int(wished.run(wished))
    except (ReleaseError, TimeoutError) as problem:
        _say(f"cluster: {problem}")
    except KeyboardInterrupt:
        _say("cluster: stopped; what it had made is removed")
    return _FAILED


def up(wished: argparse.Namespace) -> int:
    """Start a bed that stays, with Temporal and workers in its hub."""
    # Both are slow to import, and `down` must be quick.
    from tests.cluster.whole import bed  # noqa: PLC0415
    from tests.cluster.whole.releases import Wishes  # noqa: PLC0415

    if Record(KEPT).runs:
        _say("the clusters run already")
        return _tell()
    if Record(KEPT).folder.exists() and Record(KEPT).owner_id is None:
        # Of before a restart of the machine, most likely: its programs do not run.
        Record(KEPT).remove()
    wishes = Wishes(wished.wheelhouse, wished.policy)
    started = bed.start(wishes, kept=True, report=_timed())
    guide.write(started.bed)
    return _tell()


def down(wished: argparse.Namespace) -> int:
    """Remove the bed that stayed, and what killed runs left."""
    removed = list(records.remove_left_over())
    if Record(KEPT).folder.exists():
        Record(KEPT).remove()
        removed.append(KEPT)
    _say(f"removed: {', '.join(removed)}" if removed else "there is nothing of ours here")
    return 0


def status(wished: argparse.Namespace) -> int:
    """Say which beds there are."""
    for record in records.records():
        state = "left over" if record.is_left_over else "runs" if record.runs else "half"
        _say(f"{record.bed:<8} {state:<10} {record.folder}")
    return _tell() if Record(KEPT).runs else 1


def shell(wished: argparse.Namespace) -> int:
    """Become a shell (or a command) in the hub, with everything within reach."""
    record = Record(KEPT)
    if not record.runs:
        _say("the clusters do not run; start them: make cluster-up")
        return 1
    environment = {**os.environ, **guide.environment(record)}
    command = wished.command or [os.environ.get("SHELL", "/bin/sh")]
    inside = ["nsenter", f"--net={record.namespace(HUB).path}", "--", *command]
    return _become(inside, environment)


def _become(command: list[str], environment: dict[str, str]) -> NoReturn:
    os.execvpe(command[0], command, environment)  # noqa: S606 - a program found on PATH


def prepare(wished: argparse.Namespace) -> int:
    """Make everything that a bed is made of, unless none can run here (in CI that is a failure)."""
    from tests.cluster.whole import bed  # noqa: PLC0415

    try:
        refuse_unfit()
    except ReleaseError as problem:
        if os.environ.get("CI") == "true":
            raise
        _say(f"whole clusters do not run here: {problem}")
        return 0
    bed.prepare(_timed())
    return 0


def remove_after(wished: argparse.Namespace) -> int:
    """Wait for the end of standard input, then remove a bed unless told to keep it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if sys.stdin.buffer.read() != b"keep":
        Record(wished.bed).remove()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.whole", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    for run in (up, down, shell, status, prepare):
        command = commands.add_parser(run.__name__, help=run.__doc__)
        command.set_defaults(run=run)
        if run is up:
            command.add_argument("--wheelhouse", type=Path, help="wheels for the assemble builder")
            command.add_argument("--policy", help="the organisation's policy repository")
        if run is shell:
            command.add_argument("command", nargs="*", help="instead of a shell")
    ending = commands.add_parser("remove-after")
    ending.add_argument("bed")
    ending.set_defaults(run=remove_after)
    return parser


def _timed() -> cache.Report:
    began = time.monotonic()
    return lambda line: _say(f"{time.monotonic() - began:6.1f} s  {line}")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _tell() -> int:
    sys.stdout.write(guide.read(Record(KEPT)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
