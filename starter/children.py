"""Programs that `sandbox up` runs: started, recorded, missed when they end, stopped by id."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from domain.errors import PermanentFailure
from starter.process_records import ProcessRecords

GRACE = timedelta(seconds=5)
LAST_WORDS = 2000
# It needs nothing but the standard library, and of the environment nothing at all.
_CHILD = (sys.executable, "-I", "-S", str(Path(__file__).with_name("child.py")))


def ending_with_us(command: Sequence[str | Path]) -> list[str]:
    """The command, wrapped so that the system (Linux) ends it when this process is gone.

    Start it in the main thread: Linux ends a child with the thread of its start.
    """
    return [*_CHILD, str(os.getpid()), *map(str, command)]


@dataclass(frozen=True)
class Program:
    """What to run, and under which name people see it."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Child:
    """A running program and where its output goes."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    @property
    def last_words(self) -> str:
        """The end of what it printed."""
        text = self.log.read_text(errors="replace").strip()
        return text[-LAST_WORDS:] or "it said nothing"


class Children:
    """Everything that one `sandbox up` started; all of it ends with it, however it ends."""

    def __init__(self, logs: Path, records: ProcessRecords) -> None:
        self._logs = logs
        self._records = records
        self._children: list[Child] = []

    async def start(self, program: Program) -> Child:
        """Start a program in a session of its own, so that Ctrl-C reaches only us."""
        log = self._logs / f"{program.name}.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *ending_with_us(program.command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(program.environment),
                start_new_session=True,
            )
        self._records.add(program.name, process.pid)
        child = Child(program.name, process, log)
        self._children.append(child)
        return child

    async def first_end(self) -> Child:
        """Wait until one of them ends by itself."""
        waits = {asyncio.create_task(child.process.wait()): child for child in self._children}
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return waits[done.pop()]

    def refuse_ended(self) -> None:
        """PermanentFailure with its last words when one of them has ended."""
        for child in self._children:
            if child.process.returncode is not None:
                raise ended(child)

    async def stop(self) -> None:
        """End them, the last started first; who does not go in time is killed."""
        for child in reversed(self._children):
            await _stop(child.process)
        self._children.clear()


def ended(child: Child) -> PermanentFailure:
    """What to say of a program that ended by itself."""
    return PermanentFailure(
        f"{child.name} ended with exit code {child.process.returncode}; its last words "
        f"({child.log}):\n{child.last_words}"
    )


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(GRACE.total_seconds()):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
