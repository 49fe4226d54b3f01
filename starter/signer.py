"""What the command line says about a signature."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from domain.errors import PermanentFailure


@dataclass(frozen=True)
class Signer:
    """Who signs: a key file, a signature made elsewhere, or (neither) ssh-agent."""

    key: Path | None = None
    signature: Path | None = None
    statement: Path | None = None
    principal: str | None = None

    def check(self) -> None:
        """PermanentFailure for options that contradict each other."""
        if self.key and self.signature:
            raise PermanentFailure("say either --key or --signature, not both")
        if self.statement and not self.signature:
            raise PermanentFailure("--statement is what --signature is over: give both")
