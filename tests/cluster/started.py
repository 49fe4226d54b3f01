"""A program of a bed that was started: its process, its log, and its last words."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from domain.errors import PermanentFailure

_LAST_WORDS = 2000


@dataclass(frozen=True)
class Started:
    """A running program and the file with what it says."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def last_words(self) -> str:
        """The end of its log."""
        text = self.log.read_text(errors="replace").strip()
        return text[-_LAST_WORDS:] or "it said nothing"


def refuse_ended(started: Iterable[Started]) -> None:
    """PermanentFailure with its last words when one of them has ended by itself."""
    for one in started:
        code = one.process.poll()
        if code is not None:
            raise PermanentFailure(
                f"{one.name} ended with exit code {code}; its last words in {one.log}:\n"
                f"{one.last_words}"
            )
