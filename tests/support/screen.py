"""A command at a terminal: a pseudo-terminal with a size, keys to press, and what was drawn."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import struct
import sys
import termios
from asyncio.subprocess import Process

from tests.support.cli import PATIENCE_SECONDS, Cli

ROWS, COLUMNS = 30, 100


class Screen:
    """Everything that was written to the terminal so far, escape sequences and all."""

    def __init__(self, process: Process, terminal: int) -> None:
        self._process = process
        self._terminal = terminal
        self._grew = asyncio.Event()
        self.text = ""
        asyncio.get_running_loop().add_reader(terminal, self._read)

    @classmethod
    async def of(cls, cli: Cli, *arguments: str) -> Screen:
        """Run a command at a terminal of 100 x 30."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        environment = {key: text for key, text in cli.environment.items() if key != "COLUMNS"}
        process = await asyncio.create_subprocess_exec(
            # A session of its own with the terminal as its controlling one: Ctrl-C is a key.
            *(sys.executable, "-c", _IN_FOREGROUND, sys.executable, "-m", "starter.cli"),
            *arguments,
            cwd=cli.directory,
            env={**environment, "TERM": "xterm-256color"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        return cls(process, ours)

    async def shows(self, text: str) -> None:
        """Wait until the text has been drawn."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while text not in self.text:
                await self._grew.wait()
                self._grew.clear()

    def press(self, keys: bytes) -> None:
        """Type something."""
        os.write(self._terminal, keys)

    async def end(self) -> int:
        """Wait for the command's end; returns its exit code."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            code = await self._process.wait()
        self._read()
        asyncio.get_running_loop().remove_reader(self._terminal)
        os.close(self._terminal)
        return code

    def _read(self) -> None:
        try:
            self.text += os.read(self._terminal, 1 << 16).decode(errors="replace")
        except OSError:
            # The other side is gone, and everything was read.
            asyncio.get_running_loop().remove_reader(self._terminal)
        self._grew.set()


_IN_FOREGROUND = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
