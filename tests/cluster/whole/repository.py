"""The example's repository for a bed, its versions, and `tidegate` as a person runs it there."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from domain.errors import TransientFailure
from domain.phases import Phase
from domain.release import ReleaseState
from starter.releases import look
from tests.cluster.api import until
from tests.cluster.whole.bed import Bed
from tests.support.isa_user import EXAMPLE

SERVICE = "album"
HOST, PATH = "album.isa.example", "/api/v1/albums/1"
APPROVER = "alice"
AUTHOR = "dana@isa.example"
SIZE = "deployment/k8s/overlays/production/patches/size.yaml"
REPORT = EXAMPLE.parent / "ci-scan-report.json"
_AUTHOR = ("-c", "user.name=Dana Okafor", "-c", "user.email=dana@isa.example")
# 24 hours of soak in a second; a canary's minutes in seconds, so that Prometheus sees each step.
_CLOCK = """  rehearsal: {soak: 1h = 0.03s, canary: 1m = 0.5s}
  soak: {window: 6h}
"""
_RELEASE_SECONDS = 240.0
_POLL_SECONDS = 0.3


class RefusedError(Exception):
    """A command said why it does nothing."""


def _asks(state: ReleaseState) -> bool:
    return state.phase is Phase.APPROVAL and state.evidence is not None


@dataclass(frozen=True)
class Repository:
    """The example with its versions as tags v1, v2, v3; its images are built on the bed's base.

    `service` is the one that is released from it. Releases side by side need a repository each.
    """

    folder: Path
    bed: Bed
    service: str = SERVICE

    @classmethod
    def made(cls, folder: Path, bed: Bed, service: str = SERVICE) -> Repository:
        """A new one, in which v1 is the example as it is."""
        skipped = shutil.ignore_patterns("versions", "__pycache__", ".*cache")
        shutil.copytree(EXAMPLE, folder, ignore=skipped)
        repository = cls(folder, bed, service)
        repository.edit("tidegate.yaml", repository._for_the_bed)
        # Three services with two revisions each ask for more cores than a machine may have.
        repository.edit(SIZE, lambda text: text.replace("cpu: 250m", "cpu: 50m"))
        repository._git("init", "--quiet", "--initial-branch=main")
        repository.commit("album v1")
        repository.tag("v1")
        for version in ("v2", "v3"):
            repository._git("apply", str(EXAMPLE / "versions" / f"{version}.patch"))
            repository.commit(f"album {version}")
            repository.tag(version)
        return repository

    def edit(self, file: str, change: Callable[[str], str]) -> None:
        """Change a file, which must become another."""
        path = self.folder / file
        before = path.read_text()
        path.write_text(change(before))
        assert path.read_text() != before, f"{file} is as it was"

    def take(self, version: str) -> None:
        """Check out one of its versions."""
        self._git("checkout", "--quiet", version)

    def tag(self, version: str) -> None:
        """Call what is checked out so, for `take`."""
        self._git("tag", version)

    def commit(self, message: str) -> None:
        """Commit everything."""
        self._git("add", "--all")
        self._git(*_AUTHOR, "commit", "--quiet", "--message", message)

    async def release(self, *options: str) -> ReleaseState:
        """Release the head (or as the options say), approve when asked; how it ended."""
        return await self.finish(await self.begin(*options))

    async def begin(self, *options: str) -> str:
        """Start a release of the head (or as the options say); its id."""
        scanned = options or ("--scan-report", str(self._scan_report()))
        told = await self.tidegate(
            *("release", self.service, "--repository", str(self.folder), "--by", AUTHOR),
            *scanned,
            *("--output", "json"),
        )
        return str(json.loads(told)["release"])

    async def finish(self, release: str) -> ReleaseState:
        """Approve a release when it asks; how it ended."""
        if not (await self.await_approval(release)).is_over:
            await self.sign("approve", release, "--yes")
            await self.await_state(release, lambda one: one.is_over)
        told = await self.tidegate("status", release, "--output", "json")
        return ReleaseState.model_validate_json(told)

    async def await_approval(self, release: str) -> ReleaseState:
        """The state in which it asks for approval, or has ended."""
        return await self.await_state(release, lambda one: one.is_over or _asks(one))

    async def sign(self, command: str, release: str, *options: str) -> None:
        """Tell a release something that must be signed."""
        key = str(self.bed.releases.keys / APPROVER)
        await self.tidegate(command, release, "--key", key, "--as", APPROVER, *options)

    async def await_state(
        self, release: str, holds: Callable[[ReleaseState], bool]
    ) -> ReleaseState:
        """The first state seen of which that holds."""
        client = await self.bed.releases.client()
        seen: list[ReleaseState] = []

        async def held() -> bool:
            await asyncio.sleep(_POLL_SECONDS)
            with contextlib.suppress(TransientFailure):  # on a busy machine
                seen.append((await look(client, release)).state)
            return bool(seen) and holds(seen[-1])

        try:
            await until(held, f"{release} goes on", _RELEASE_SECONDS)
        except TransientFailure as late:
            told = f"{seen[-1].phase}: {seen[-1].held or seen[-1].sentence}" if seen else "nothing"
            raise TransientFailure(f"{late}; it says {told}") from late
        return seen[-1]

    async def tidegate(self, *arguments: str) -> str:
        """Run a command in the hub, and return what it prints; RefusedError when nothing."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "starter.cli", *arguments),
            env={**os.environ, **self.bed.releases.environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        printed, complaint = await process.communicate()
        if not printed:
            raise RefusedError(f"tidegate {' '.join(arguments)}: {complaint.decode()}")
        return printed.decode()

    def _scan_report(self) -> Path:
        """The example's, about the folder of this service."""
        report = self.folder.with_name(f"{self.service}-{REPORT.name}")
        report.write_text(REPORT.read_text().replace(f"/{SERVICE}", f"/{self.service}"))
        return report

    def _for_the_bed(self, plan: str) -> str:
        base = self.bed.base_image.partition("/")[2]
        lines = [
            f"    base: {base}" if line.startswith("    base: ") else line
            for line in plan.splitlines()
        ]
        return "\n".join((*lines, "")).replace("defaults:\n", f"defaults:\n{_CLOCK}")

    def _git(self, *arguments: str) -> None:
        subprocess.run(("git", *arguments), cwd=self.folder, check=True, capture_output=True)
