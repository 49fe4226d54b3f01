"""How long `tidegate` takes to start: `--help`, and every command ended early or by little work.

Whole processes are timed from outside, beside a real Temporal server without any worker. One round
runs every command once, so that a busy moment of the machine touches all of them alike; a bare
interpreter runs in every round, as the bound that no command can go below.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from temporalio.common import SearchAttributeKey
from temporalio.testing import WorkflowEnvironment

from benchmarks.release import Figure, report
from starter.exit_codes import ExitCode
from starter.visibility import TYPES

BARE = (sys.executable, "-c", "pass")
TIDEGATE = (sys.executable, "-m", "starter.cli")
HELP_GOAL, COMMAND_GOAL = 0.2, 0.7
# Each ends at a release that does not exist, having asked Temporal.
ASKING = (
    *("status", "watch", "evidence", "approve", "reject"),
    *("pause", "resume", "abort", "skip-soak"),
)
PLAN = """\
version: 1
services:
  album:
    path: album
    port: 8219
    image: isa/album
    manifests: deployment/{environment}
    tests: {unit: pytest}
"""
POLICY = """\
version: 1
people: [{principal: ann, emails: [ann@example.com], roles: [approver]}]
"""


class Probe(NamedTuple):
    """A command line that ends by itself, its goal in seconds, and what its figure leaves out."""

    name: str
    command: tuple[str, ...]
    ends_with: ExitCode
    goal: float | None
    excludes: str


def probes() -> list[Probe]:
    """The bound, `--help`, and every command."""
    reasoned = {"reject", "abort", "skip-soak"}
    early = [
        _probe(
            name,
            name, "release-album-0000000000-ffff", *(("--reason", "x") if name in reasoned else ()),
            code=ExitCode.NOT_FOUND, excludes="worker, policy, evidence, signing",
        )
        for name in ASKING
    ]  # fmt: skip
    return [
        Probe("python -c pass", BARE, ExitCode.OK, None, "nothing: it is the bound"),
        Probe("tidegate --help", (*TIDEGATE, "--help"), ExitCode.OK, HELP_GOAL, "nothing"),
        _probe("schema", "schema", excludes="nothing"),
        _probe("plan", "plan", "album", excludes="nothing (git is in it)"),
        _probe("release", "release", "album", excludes="nothing (git and one start are in it)"),
        _probe("list", "list", excludes="nothing"),
        *early,
        _probe("doctor", "doctor", code=ExitCode.UNEXPECTED,
               excludes="clusters, registry, Slack: none is configured"),
        _probe("worker", "worker", "--role", "moon", code=ExitCode.BAD_INPUT,
               excludes="connections; ends at the role"),
        _probe("sandbox status", "sandbox", "status", code=ExitCode.NOT_FOUND,
               excludes="a sandbox that runs"),
        _probe("sandbox down", "sandbox", "down", code=ExitCode.NOT_FOUND,
               excludes="a sandbox that runs"),
        _probe("sandbox up", "sandbox", "up", "--policy", "/nowhere", "--state", "taken/x",
               code=ExitCode.BAD_INPUT,
               excludes="all that it starts; ends at its state directory"),
    ]  # fmt: skip


def _probe(name: str, *words: str, code: ExitCode = ExitCode.OK, excludes: str) -> Probe:
    return Probe(f"tidegate {name}", (*TIDEGATE, *words), code, COMMAND_GOAL, excludes)


class Run(NamedTuple):
    """One process: seconds from start to end, and seconds of processor (its children's too)."""

    wall: float
    processor: float


def measure(wanted: list[Probe], place: Path, rounds: int) -> list[Figure]:
    """Medians of whole processes, after one run of each that fills the disk's cache."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "TIDEGATE_CONFIG": str(place / "tidegate.toml"),
    }
    taken: dict[str, list[Run]] = {probe.name: [] for probe in wanted}
    for number in range(rounds + 1):
        for probe in wanted:
            run = _run(probe, place / "service", environment)
            taken[probe.name] += [run] if number else []
    return [_figure(probe, taken[probe.name]) for probe in wanted]


def _run(probe: Probe, directory: Path, environment: dict[str, str]) -> Run:
    with tempfile.TemporaryFile() as said:
        began = time.perf_counter()
        process = subprocess.Popen(
            probe.command, cwd=directory, env=environment, stdout=said, stderr=said
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        words = said.read().decode()
    assert process.returncode == probe.ends_with, words
    return Run(wall, usage.ru_utime + usage.ru_stime)


def _figure(probe: Probe, runs: list[Run]) -> Figure:
    processor = statistics.median(run.processor for run in runs)
    excludes = f"processor {processor:.2f} s; excludes {probe.excludes}"
    wall = statistics.median(run.wall for run in runs)
    return Figure(probe.name, wall, "s", probe.goal, excludes)


def prepare(place: Path, address: str) -> None:
    """A service's repository, a policy's, and the connection file that names them."""
    for name, file, text in (
        ("service", "tidegate.yaml", PLAN),
        ("policy", "policy.yaml", POLICY),
    ):
        repository = place / name
        repository.mkdir(parents=True)
        (repository / file).write_text(text)
        for words in (
            ("init", "-q", "-b", "main"), ("config", "user.email", "eve@example.com"),
            ("config", "user.name", "eve"), ("add", "-A"), ("commit", "-q", "-m", name),
        ):  # fmt: skip
            subprocess.run(("git", *words), cwd=repository, check=True)
    exclude = place / "service" / ".git" / "info" / "exclude"
    exclude.write_text("taken\n")
    (place / "service" / "taken").write_text("a file where a directory is wanted")
    (place / "tidegate.toml").write_text(
        f'[temporal]\naddress = "{address}"\n[policy]\nrepository = "{place / "policy"}"\n'
        f'[build]\ncache = "{place / "cache"}"\n'
    )


async def serve_and_measure(rounds: int) -> list[Figure]:
    """All figures, beside a Temporal server that is stopped afterwards."""
    place = Path(tempfile.mkdtemp(prefix="tidegate-startup-"))
    keywords = [
        SearchAttributeKey.for_keyword(name) for name, kind in TYPES.items() if kind == "Keyword"
    ]
    others = [SearchAttributeKey.for_int(name) for name, kind in TYPES.items() if kind == "Int"]
    try:
        async with await WorkflowEnvironment.start_local(
            dev_server_existing_path=str(Path(sys.executable).parent / "temporal"),
            dev_server_log_level="never",
            search_attributes=[*keywords, *others],
        ) as server:
            prepare(place, server.client.service_client.config.target_host)
            return await asyncio.to_thread(measure, probes(), place, rounds)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def main() -> int:
    """Print and write the figures, each beside its goal."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--json", type=Path, default=Path(".cache/bench-startup.json"))
    wishes = options.parse_args()
    figures = asyncio.run(serve_and_measure(wishes.rounds))
    busy = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    print(f"median of {wishes.rounds} runs of the whole process; {busy}")
    report(figures, wishes.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
