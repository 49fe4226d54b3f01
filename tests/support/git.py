"""Real git repositories for tests, made commit by commit with fixed authors and times."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

EPOCH = 1_767_225_600  # 2026-01-01T00:00:00Z


class Worktree:
    """A repository with a work tree; each commit is a minute after the one before."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._commits = 0
        path.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str, **environment: str) -> str:
        """Run git here, independent of the configuration of whoever runs the tests."""
        inherited = {key: text for key, text in os.environ.items() if not key.startswith("GIT_")}
        fixed = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}
        done = subprocess.run(
            ["git", "-C", str(self.path), *arguments],
            env={**inherited, **fixed, **environment},
            capture_output=True,
            check=True,
            text=True,
        )
        return done.stdout.strip()

    def write(self, path: str, text: str) -> None:
        target = self.path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def commit(
        self, message: str = "change", author: str = "ann@example.com", committer: str = ""
    ) -> str:
        """Commit everything in the work tree and return the commit's id."""
        self.git("add", "--all")
        time = f"{EPOCH + 60 * self._commits} +0000"
        self._commits += 1
        self.git(
            "commit",
            "--quiet",
            "--allow-empty",
            f"--message={message}",
            GIT_AUTHOR_NAME=author.partition("@")[0],
            GIT_AUTHOR_EMAIL=author,
            GIT_AUTHOR_DATE=time,
            GIT_COMMITTER_NAME="committer",
            GIT_COMMITTER_EMAIL=committer or author,
            GIT_COMMITTER_DATE=time,
        )
        return self.git("rev-parse", "HEAD")
