"""`tidegate` as people run it: a process of its own, with a connection file and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

from starter.cli import main
from starter.sandbox_files import toml
from tests.support.git import Worktree

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 60.0
POLICY = """\
version: 1
defaults: {tests: {unit: make test}}
people:
  - {principal: alice, emails: [alice@example.com], roles: [approver, operator]}
  - {principal: bob, emails: [bob@example.com], roles: [approver, release-manager]}
"""
PLAN = """\
version: 1
services:
  album:
    path: microservices/album
    port: 8219
    image: isa/album
    manifests: deployment/{environment}
"""


@dataclass(frozen=True)
class Done:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


class Running:
    """A command under way, with the lines it has printed so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    async def line(self, containing: str) -> str:
        """Read on until a line contains the text; AssertionError when it ends before."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            while line := (await self.process.stdout.readline()).decode():
                self.lines.append(line.rstrip())
                if containing in line:
                    return line.rstrip()
        assert self.process.stderr is not None
        complaint = (await self.process.stderr.read()).decode()
        raise AssertionError(f"it ended without saying {containing!r}: {self.lines} {complaint}")

    async def problem(self, containing: str) -> str:
        """The next line on stderr, which must contain the text."""
        assert self.process.stderr is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            line = (await self.process.stderr.readline()).decode().rstrip()
        assert containing in line, line
        return line

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    async def end(self) -> Done:
        """Wait for its end."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            out, err = await self.process.communicate()
        told = "\n".join([*self.lines, out.decode()])
        return Done(self.process.returncode or 0, told, err.decode())


@dataclass
class Cli:
    """A person with a directory, a connection file and a git identity."""

    directory: Path
    configuration: Path
    sections: dict[str, dict[str, object]] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)

    def connect(self, **sections: dict[str, object]) -> None:
        """Write sections of the connection file, over those of before."""
        self.sections |= sections
        self.configuration.write_text(toml(self.sections))

    async def start(self, *arguments: str) -> Running:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "starter.cli", *arguments),
            cwd=self.directory,
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=1 << 24,
        )
        return Running(process)

    async def spawn(self, *arguments: str) -> Done:
        """Run a command to its end in a process of its own."""
        return await (await self.start(*arguments)).end()

    async def run(self, *arguments: str) -> Done:
        """Run a command to its end in a thread: as `spawn`, without the start of an interpreter."""
        return await asyncio.to_thread(self.tell, *arguments)

    def tell(self, *arguments: str) -> Done:
        """Run a command to its end here, where no event loop runs."""
        kept = io.BytesIO(), io.BytesIO()
        out, err = (io.TextIOWrapper(one, "utf-8", write_through=True) for one in kept)
        with (
            patch.dict(os.environ, self.environment, clear=True),
            contextlib.chdir(self.directory),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = main(arguments)
        return Done(code, *(one.getvalue().decode() for one in kept))

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.configuration.parent),
            "PYTHONPATH": str(ROOT),
            "GIT_CONFIG_NOSYSTEM": "1",
            "COLUMNS": "200",
            "TIDEGATE_CONFIG": str(self.configuration),
            **self.variables,
        }


def make_service(path: Path, plan: str = PLAN) -> Worktree:
    """A service's repository with one commit by dana."""
    worktree = Worktree(path)
    worktree.git("config", "user.email", "dana@example.com")
    worktree.write("tidegate.yaml", plan)
    worktree.commit("first", author="dana@example.com")
    return worktree


def make_policy(path: Path, policy: str = POLICY) -> dict[str, object]:
    """A policy repository, and the section of the connection file that names it."""
    worktree = Worktree(path)
    worktree.write("policy.yaml", policy)
    worktree.commit("policy")
    return {"repository": str(path)}
