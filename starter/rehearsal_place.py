"""Where a rehearsal happens: a folder of its own with two commits, people, and a sandbox."""

# ruff: noqa: PLC0415 - Temporal's client is imported while its server starts.

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import settings as configuration
from clients import processes
from domain.errors import PermanentFailure
from domain.rehearsal import LOOSEST, Rates
from settings import Settings
from starter.children import Children, ended
from starter.process_records import ProcessRecords
from starter.sandbox_files import Layout, demo_policy
from starter.source import Source

if TYPE_CHECKING:
    from starter.sandbox import Ready

AUTHOR = ("-c", "user.name=rehearsal", "-c", "user.email=rehearsal@example.com")
GIT_TIMEOUT = timedelta(seconds=60)
Result = TypeVar("Result")


@dataclass(frozen=True)
class Commits:
    """The same files twice: what serves already, and what is rehearsed."""

    repository: Path
    stable: str
    candidate: str


@dataclass(frozen=True)
class Place:
    """A running sandbox, the repository in it, and the throw-away keys of who approves."""

    ready: Ready
    settings: Settings
    commits: Commits
    keys: tuple[Path, ...]


@asynccontextmanager
async def place(
    source: Source, approvers: int, speed: float, users: Rates
) -> AsyncIterator[tuple[Place, Children]]:
    """Start it all in a folder of its own, and end and remove it however this ends."""
    from starter.sandbox import Wishes, start

    folder = Path(tempfile.mkdtemp(prefix="tidegate-rehearsal-"))
    layout = Layout(folder)
    children = Children(layout.root / "logs", ProcessRecords(layout.root / "processes.json"))
    try:
        layout.prepare()
        names = [f"approver-{number}" for number in range(1, approvers + 1)]
        await demo_policy(layout, names or ["nobody"], LOOSEST)
        commits = await _commits(source, folder / "repository")
        wishes = Wishes(
            state=folder,
            speed=speed,
            traffic=f"production={users.production},staging={users.staging}",
            ui_port=None,
            policy=None,
            wheelhouse=None,
            workers=True,
        )
        ready = await start(wishes, layout, children)
        settings = configuration.load(layout.connection)
        keys = tuple(layout.keys / name for name in names)
        yield Place(ready, settings, commits, keys), children
    finally:
        await children.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def unless_ended(children: Children, work: Coroutine[Any, Any, Result]) -> Result:
    """The work's result; PermanentFailure with its last words when a program ends before."""
    doing = asyncio.create_task(work)
    ending = asyncio.create_task(children.first_end())
    try:
        await asyncio.wait((doing, ending), return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise ended(ending.result())
        return doing.result()
    finally:
        for task in (doing, ending):
            task.cancel()
        await asyncio.gather(doing, ending, return_exceptions=True)


async def _commits(source: Source, target: Path) -> Commits:
    await source.repository.checkout(source.commit, target)
    await _git(target, "init", "--quiet", "--initial-branch=main")
    await _git(target, "add", "--all", "--force")
    await _git(target, *AUTHOR, "commit", "--quiet", "--allow-empty", "--message=what serves now")
    stable = await _git(target, "rev-parse", "HEAD")
    await _git(target, *AUTHOR, "commit", "--quiet", "--allow-empty", "--message=the new version")
    return Commits(target, stable, await _git(target, "rev-parse", "HEAD"))


async def _git(repository: Path, *arguments: str) -> str:
    done = await processes.run(["git", "-C", str(repository), *arguments], timeout=GIT_TIMEOUT)
    if done.exit_code != 0:
        raise PermanentFailure(f"the rehearsal's repository cannot be made: {done.complaint}")
    return done.stdout.decode().strip()
