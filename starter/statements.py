"""What is signed: the frozen evidence, and a command's statement about it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from domain.commands import REQUIREMENTS, CommandName, Statement
from domain.errors import NotFound, PermanentFailure
from domain.evidence import Evidence
from domain.release import ReleaseState

if TYPE_CHECKING:
    from clients.registry import Registry

# How long a command that is about no evidence may travel before it no longer counts.
FRESH = timedelta(minutes=10)


async def evidence_bytes(registry: Registry, state: ReleaseState) -> bytes:
    """The frozen evidence, verified against its digest; NotFound before the gate opened."""
    if state.evidence is None or state.bundle is None:
        raise NotFound(
            f"{state.request.release_id} has no evidence yet: it is frozen when the approval gate "
            f"opens, and the release is in {state.phase}"
        )
    return await registry.get_blob(state.bundle.repository, state.evidence.digest)


def parse_evidence(content: bytes) -> Evidence:
    """Read evidence; PermanentFailure when it was written by another version of Tidegate."""
    try:
        return Evidence.model_validate_json(content)
    except ValueError as error:
        raise PermanentFailure(
            f"the evidence was written by another version of Tidegate: {error}"
        ) from error


def statement_of(command: CommandName, state: ReleaseState, reason: str) -> Statement:
    """What is signed: about the evidence or the hold that the command is about.

    What is about no evidence is good for ten minutes.
    """
    requirement = REQUIREMENTS[command]
    binds = requirement.binds_evidence
    if binds and (state.evidence is None or state.evidence_expires_at is None):
        raise NotFound(
            f"{state.request.release_id} has no evidence to {command} yet; it is in {state.phase}"
        )
    if requirement.binds_hold and state.held is None:
        raise NotFound(
            f"{state.request.release_id} holds for nothing that a person could {command}; it is in "
            f"{state.phase}: look (tidegate status {state.request.release_id})"
        )
    expires_at = state.evidence_expires_at if binds else None
    return Statement(
        command=command,
        release=state.request.release_id,
        evidence=state.evidence.digest if binds and state.evidence else None,
        reason=reason,
        expires_at=expires_at or datetime.now(UTC) + FRESH,
        held=state.held.name if requirement.binds_hold and state.held else None,
    )
