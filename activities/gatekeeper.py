"""Before every production write: bundle, plan, policy and approval, verified here and now.

The process with production's credentials trusts no workflow input: it reads the bundle and the
evidence from the registry and the policy from its own configured git ref.
"""

from __future__ import annotations

from datetime import UTC, datetime

from temporalio import activity

from activities.approval import require_own_soak, signer
from activities.archive import Archive
from activities.stable import StableReader
from clients.policy_source import PolicySource
from domain.bundle import Bundle
from domain.commands import AcceptedCommand, Change, CommandName, refusal
from domain.environments import Environment
from domain.errors import PermanentFailure
from domain.evidence import Evidence, Inputs, last_use, shortfall, void
from domain.phases import Phase
from domain.plan import ServicePlan
from domain.policy import Policy, violations
from domain.steps import ObserveStep, PersonsPromotion, RevisionRequest


class Gatekeeper:
    """Guards one environment; anything but production is open."""

    def __init__(
        self,
        environment: Environment,
        archive: Archive,
        policy: PolicySource,
        stable: StableReader,
    ) -> None:
        self._environment = environment
        self._archive = archive
        self._policy = policy
        self._stable = stable

    async def admit(self, target: RevisionRequest) -> Bundle:
        """Return the bundle if this write may happen; PermanentFailure naming what is missing."""
        bundle = await self.recognise(target)
        policy, _ = await self._policy.fetch()
        _within_policy(bundle, policy)
        if self._environment is Environment.PRODUCTION:
            await self._approved(target, bundle, policy)
        return bundle

    async def admit_promotion(self, request: PersonsPromotion, asked_at: datetime) -> str | None:
        """Why whoever signed may not promote at `asked_at` (any more); None when it counts.

        Raises PermanentFailure where nobody signed a promote of just this hold.
        """
        await self.admit(request.target)
        evidence = await self._evidence(request.target)
        policy, _ = await self._policy.fetch()
        principal = _promoter(request, policy)
        return refusal(request.accepted.command, policy, principal, evidence.change, asked_at)

    async def recognise(self, target: RevisionRequest) -> Bundle:
        """The bundle of a request to this environment, whoever may have approved it."""
        if target.environment is not self._environment:
            raise PermanentFailure(
                f"{target.release_id} asks {self._environment}'s worker to write to "
                f"{target.environment}: check the worker's roles"
            )
        bundle = await self._archive.load_bundle(target.bundle)
        if bundle.service != target.service:
            raise PermanentFailure(f"{target.bundle} is a bundle of {bundle.service}")
        return bundle

    async def recognise_serving(self, target: RevisionRequest) -> Bundle:
        """The bundle of a request that needs no approval any more: production's users have it all.

        Raises PermanentFailure where the cluster says that it does not serve everybody.
        """
        bundle = await self.recognise(target)
        if target.environment is Environment.PRODUCTION:
            weight = await self._stable.weight_of(target.service, target.revision)
            serving = await self._stable.read(target.service)
            if weight != 100 or serving is None or serving.bundle != str(target.bundle):
                raise PermanentFailure(
                    f"{target.revision} gets {weight} % of {target.service}'s traffic; only"
                    " the bundle that serves everybody needs no approval any more"
                )
        return bundle

    async def plan_to_observe(self, request: ObserveStep) -> ServicePlan:
        """The approved plan of an observation, as the registry has it.

        At 100 % the approval has been used, whoever gave it may be gone, and whoever observes
        sends no user anywhere any more.
        """
        serves_everybody = request.weight == 100
        read = self.recognise_serving if serves_everybody else self.admit
        return (await read(request.target)).plan

    @activity.defn
    async def confirm_approval(self, target: RevisionRequest) -> str | None:
        """Why the approval no longer counts: expired, or an input changed; None when it does."""
        bundle = await self._archive.load_bundle(target.bundle)
        evidence = await self._evidence(target)
        stable = await self._stable.read(target.service)
        _, version = await self._policy.fetch()
        return void(
            evidence,
            Inputs(
                bundle=target.bundle,
                plan_hash=bundle.plan_hash,
                policy_version=version,
                stable=stable.bundle if stable else None,
            ),
            datetime.now(UTC),
        )

    async def _approved(self, target: RevisionRequest, bundle: Bundle, policy: Policy) -> None:
        evidence = await self._evidence(target)
        assert target.proof is not None  # noqa: S101 - `_evidence` has looked
        for approval in target.proof.approvals:
            _still_good(approval, target, policy, evidence.change)
        missing = shortfall(target.proof.approvals, policy, bundle.plan)
        if missing:
            raise PermanentFailure(f"{target.release_id}: {missing}")
        await self._in_time(target, evidence, bundle.plan)

    async def _in_time(
        self, target: RevisionRequest, evidence: Evidence, plan: ServicePlan
    ) -> None:
        """Expiry ends a choice, never a canary that has users: those it was used for in time."""
        now = datetime.now(UTC)
        if now <= evidence.expires_at:
            return
        if await self._stable.weight_of(target.service, target.revision) > 0:
            return
        if now <= last_use(evidence, plan) and await self._stable.is_up(target.revision):
            return
        raise PermanentFailure(
            f"the approval of {target.release_id} expired at {evidence.expires_at:%F %T %Z}"
        )

    async def _evidence(self, target: RevisionRequest) -> Evidence:
        if target.proof is None:
            raise PermanentFailure(f"{target.release_id} shows no approval for production")
        evidence = await self._archive.load_record(target.bundle, target.proof.evidence, Evidence)
        if evidence.bundle != target.bundle or evidence.release_id != target.release_id:
            raise PermanentFailure(
                f"evidence {target.proof.evidence.digest} is about {evidence.release_id} and "
                f"{evidence.bundle}, not {target.release_id} and {target.bundle}"
            )
        require_own_soak(evidence.soak, target.bundle)
        _same_stable(evidence, target)
        return evidence


def _same_stable(evidence: Evidence, target: RevisionRequest) -> None:
    """Who is compared, kept and returned to is the revision that the approvers saw."""
    seen, told = (
        (one.revision, one.bundle) if one else None for one in (evidence.stable, target.stable)
    )
    if seen != told:
        raise PermanentFailure(
            f"{target.release_id} says that {told[0] if told else 'nobody'} serves, the approved "
            f"evidence says {seen[0] if seen else 'nobody'}"
        )


def _within_policy(bundle: Bundle, policy: Policy) -> None:
    if not bundle.plan.has_digest(bundle.plan_hash):
        raise PermanentFailure(f"the plan of {bundle.service} is not what its bundle's hash says")
    below = [f"{'.'.join(v.where)} {v.what}" for v in violations(bundle.plan, policy)]
    if below:
        raise PermanentFailure(f"the plan of {bundle.service} is looser than the policy: {below}")


def _still_good(
    approval: AcceptedCommand, target: RevisionRequest, policy: Policy, change: Change
) -> None:
    command, proof = approval.command, target.proof
    assert proof is not None  # noqa: S101 - the caller has looked
    principal = signer(command, policy)
    if principal is None or principal != approval.principal:
        raise PermanentFailure(f"the approval by {approval.principal} is not signed by its key")
    statement = command.statement
    if statement.evidence != proof.evidence.digest or statement.release != target.release_id:
        raise PermanentFailure(f"the approval by {principal} is about something else")
    why = refusal(command, policy, principal, change, statement.expires_at)
    if why is not None:
        raise PermanentFailure(f"the approval by {principal} does not count: {why}")


def _promoter(request: PersonsPromotion, policy: Policy) -> str:
    """Who signed a promote of just this hold; PermanentFailure when nobody has."""
    accepted, held = request.accepted, request.held
    command, statement = accepted.command, accepted.command.statement
    principal = signer(command, policy)
    if principal is None or principal != accepted.principal:
        raise PermanentFailure(f"the promote by {accepted.principal} is not signed by its key")
    said = (command.name, statement.release, statement.held)
    if said != (CommandName.PROMOTE, request.target.release_id, held.name):
        raise PermanentFailure(
            f"{principal} signed {command.name} of {statement.release} about {statement.held}, not "
            f"promote of {request.target.release_id} about {held.name}"
        )
    phase = Phase.WATCH if request.watch else Phase.CANARY
    if (held.phase, held.weight) != (phase, request.weight):
        raise PermanentFailure(
            f"the promote by {principal} is of {held.name}, not of {phase} {request.weight} %"
        )
    return principal
