"""What a person sees before deciding, and what their command is made from."""

from __future__ import annotations

from dataclasses import dataclass

from temporalio.client import Client

from domain.commands import REQUIREMENTS, CommandName, untimely
from domain.errors import ReleaseError
from domain.evidence import Evidence
from domain.policy import Policy
from domain.release import ReleaseState
from settings import Settings
from starter.exit_codes import Refused
from starter.releases import find, look
from starter.signer import Signer
from starter.source import git_email, read_policy


@dataclass(frozen=True)
class Prospect:
    """What is known before a person decides; `email` is who git says they are."""

    state: ReleaseState
    evidence: Evidence | None
    policy: Policy | None
    email: str


async def look_ahead(
    client: Client, settings: Settings, name: CommandName, release: str, signer: Signer
) -> Prospect:
    """Read all of it; Refused when the command makes no sense now, before anybody is asked."""
    state = (await look(client, await find(client, release))).state
    _refuse_untimely(name, state)
    evidence = await _evidence(settings, state) if name is CommandName.APPROVE else None
    return Prospect(
        state=state,
        evidence=evidence,
        policy=await _policy(settings, signer, name),
        email=await git_email(".") or "somebody",
    )


async def _evidence(settings: Settings, state: ReleaseState) -> Evidence:
    # The registry's client takes 0.15 s to import; the other commands never ask it.
    from starter.registries import registry_of  # noqa: PLC0415
    from starter.statements import evidence_bytes, parse_evidence  # noqa: PLC0415

    async with registry_of(settings) as registry:
        return parse_evidence(await evidence_bytes(registry, state))


def _refuse_untimely(name: CommandName, state: ReleaseState) -> None:
    if (why := untimely(name, state.phase)) is None:
        return
    release = state.request.release_id
    ended = f", it ended {state.outcome}; tidegate status {release}" if state.outcome else ""
    raise Refused(f"{name} of {release} refused: {why}{ended}")


async def _policy(settings: Settings, signer: Signer, name: CommandName) -> Policy | None:
    """Whose key is whose, as far as this machine may read it; the gate itself reads it anew."""
    if signer.signature is not None or not (signer.key or REQUIREMENTS[name].signed):
        return None
    try:
        return await read_policy(settings)
    except ReleaseError:
        return None
