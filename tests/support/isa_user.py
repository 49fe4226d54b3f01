"""The example repository with its versions as commits, and its services as running processes."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).parents[2] / "examples" / "isa_user"
VERSIONS = ("v1", "v2", "v3")
_ENVIRONMENT = {
    "PATH": os.environ.get("PATH", os.defpath),
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
}


def run(folder: Path, *arguments: str) -> str:
    """Run a program in `folder`; an AssertionError with its output when it fails."""
    done = subprocess.run(
        arguments, cwd=folder, env=_ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def make_versions(folder: Path) -> dict[str, Path]:
    """Return a checkout per version of a git repository made from the example and its patches."""
    repository = folder / "repository"
    shutil.copytree(EXAMPLE, repository, ignore=shutil.ignore_patterns("__pycache__", ".*cache"))
    run(repository, "git", "init", "--quiet", "--initial-branch=main")
    checkouts = {}
    for version in VERSIONS:
        if version != "v1":
            run(
                repository,
                "git",
                "apply",
                "--index",
                str(EXAMPLE / "versions" / f"{version}.patch"),
            )
        run(repository, "git", "add", "--all")
        author = ("-c", "user.name=Dana", "-c", "user.email=dana@isa.example")
        run(repository, "git", *author, "commit", "--quiet", "--message", version)
        checkouts[version] = folder / version
        run(repository, "git", "worktree", "add", "--quiet", "--detach", str(checkouts[version]))
    return checkouts


@dataclass
class RunningService:
    """A service as its image's entrypoint starts it."""

    process: subprocess.Popen[str]
    said: queue.SimpleQueue[str | None]
    url: str = ""
    lines: list[str] = field(default_factory=list)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """Return status and body."""
        address = self.url + path
        request = urllib.request.Request(address, headers=dict(headers or {}))  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                return answer.status, answer.read()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read()

    def stop(self) -> int:
        """Send SIGTERM, keep all it said in `lines`, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Return the exit code once it has ended by itself."""
        while self.next_line() is not None:
            """Its output ends with it."""
        return self.process.wait(timeout=30)

    def next_line(self) -> str | None:
        """Wait for the next line of its output; None at the end."""
        line = self.said.get(timeout=30)
        if line is not None:
            self.lines.append(line)
        return line

    def log(self) -> list[dict[str, Any]]:
        """Return what it logged; every line must be JSON."""
        return [json.loads(line) for line in self.lines]


@contextlib.contextmanager
def running(checkout: Path, service: str, **environment: str) -> Iterator[RunningService]:
    """Start `python -m microservices.<service>` on a free port; killed in the end if need be."""
    with subprocess.Popen(
        [sys.executable, "-m", f"microservices.{service}"],
        cwd=checkout,
        env={**_ENVIRONMENT, "HOST": "127.0.0.1", "PORT": "0", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        said: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        # A pipe that nobody reads would stop the service after 64 KiB of log.
        reader = threading.Thread(target=_pass_on, args=(process, said))
        reader.start()
        try:
            yield _once_listening(RunningService(process, said))
        finally:
            process.kill()
            reader.join()


def _pass_on(process: subprocess.Popen[str], said: queue.SimpleQueue[str | None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        said.put(line)
    said.put(None)


def _once_listening(service: RunningService) -> RunningService:
    while (line := service.next_line()) is not None:
        listening = re.search(r"running on (http://127\.0\.0\.1:\d+)", line)
        if listening:
            service.url = listening.group(1)
            return service
    said = "".join(service.lines)
    raise AssertionError(f"it ended with {service.process.wait()} before it listened: {said}")
