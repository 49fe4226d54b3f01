"""The approval gate: freezing evidence, verifying what people say."""

from __future__ import annotations

from datetime import UTC, datetime

from temporalio import activity

from activities.archive import Archive
from clients.policy_source import PolicySource
from clients.ssh_signature import AllowedKey, verify
from domain.bundle import BundleReference
from domain.commands import APPROVAL_NAMESPACE, REQUIREMENTS, Command, eligible, refusal, unreasoned
from domain.environments import Environment
from domain.errors import PermanentFailure
from domain.evidence import Evidence
from domain.policy import Policy, Role
from domain.revision import config_diff
from domain.soak import SoakRecord
from domain.steps import (
    FreezeEvidence,
    FrozenEvidence,
    RevisionRequest,
    Verification,
    VerifyCommand,
)


class Approval:
    """Runs with the policy and the registry in reach, without any cluster."""

    def __init__(self, archive: Archive, policy: PolicySource) -> None:
        self._archive = archive
        self._policy = policy

    @activity.defn
    async def freeze_evidence(self, request: FreezeEvidence) -> FrozenEvidence:
        """Write down everything an approver signs; it does not change any more.

        Raises PermanentFailure when what soaked is another bundle.
        """
        require_own_soak(request.soak, request.target.bundle)
        policy, version = await self._policy.fetch()
        bundle = await self._archive.load_bundle(request.target.bundle)
        now = datetime.now(UTC)
        evidence = Evidence(
            release_id=request.target.release_id,
            service=request.target.service,
            bundle=request.target.bundle,
            image=request.image,
            plan_hash=bundle.plan_hash,
            policy_version=version,
            change=request.change,
            stable=request.target.stable,
            config_diff=await self._config_diff(request.target),
            records=request.records,
            soak=request.soak,
            rehearsal=request.rehearsal,
            opened_at=now,
            expires_at=now + request.expires_in,
            unknown_authors=policy.unknown(request.change.authors),
            gates=bundle.plan.gates,
            gate_notes=request.gate_notes,
        )
        record = await self._archive.store_record(
            request.target.bundle, "evidence", evidence, evidence.sentence
        )
        return FrozenEvidence(
            record=record,
            expires_at=evidence.expires_at,
            eligible=eligible(policy, Role.APPROVER, request.change),
        )

    @activity.defn
    async def verify_command(self, request: VerifyCommand) -> Verification:
        """Whose signature is it, has the person the role, is it about this evidence?

        What needs no role (abort, pause) is answered without the policy: whoever wants safety
        gets it, also when the policy cannot be read.
        """
        command = request.command
        if command.statement.release != request.release_id:
            return _no(command, f"it is about {command.statement.release}, another release")
        if REQUIREMENTS[command.name].role is None:
            why = unreasoned(command)
            return _yes(command, None) if why is None else _no(command, why)
        return await self._by_the_policy(request)

    async def _by_the_policy(self, request: VerifyCommand) -> Verification:
        command = request.command
        policy, _ = await self._policy.fetch()
        try:
            principal = signer(command, policy)
        except PermanentFailure as error:
            return _no(command, str(error))
        wanted = request.evidence.digest if request.evidence else None
        if REQUIREMENTS[command.name].binds_evidence and command.statement.evidence != wanted:
            return _no(
                command, f"it is about evidence {command.statement.evidence}, the gate has {wanted}"
            )
        why = refusal(command, policy, principal, request.change, datetime.now(UTC))
        if why is not None:
            return _no(command, why)
        return _yes(command, principal)

    async def _config_diff(self, target: RevisionRequest) -> tuple[str, ...]:
        if target.stable is None:
            return ()
        production = Environment.PRODUCTION
        stable = target.bundle.parse(target.stable.bundle)
        return config_diff(
            await self._archive.load_manifests(stable, production),
            await self._archive.load_manifests(target.bundle, production),
        )


def require_own_soak(soak: SoakRecord, bundle: BundleReference) -> None:
    """Raise PermanentFailure when it was another bundle that soaked."""
    if not soak.is_of(str(bundle)):
        raise PermanentFailure(
            f"the soak is of {soak.progress.bundle}, not of {bundle}: it counts for nothing here; "
            "let this bundle soak"
        )


def signer(command: Command, policy: Policy) -> str | None:
    """The principal whose key signed a command; None when it is not signed.

    Raises PermanentFailure with the reason when the signature is not good.
    """
    if command.signature is None:
        return None
    allowed = [
        AllowedKey(principal=person.principal, key=key)
        for person in policy.people
        for key in person.keys
    ]
    return verify(command.statement.message(), command.signature, allowed, APPROVAL_NAMESPACE)


def _yes(command: Command, principal: str | None) -> Verification:
    who = principal or command.actor
    return Verification(
        accepted=True,
        principal=who,
        verified=principal is not None,
        sentence=f"{command.name} by {who}",
    )


def _no(command: Command, why: str) -> Verification:
    return Verification(accepted=False, principal=command.actor, verified=False, sentence=why)
