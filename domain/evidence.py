"""Evidence: everything an approver signs, frozen when the approval gate opens."""

from __future__ import annotations

from datetime import datetime, timedelta

from domain.bundle import BundleReference, RecordReference
from domain.commands import AcceptedCommand, Change, CommandName, distinct_principals
from domain.gates import GateNote, Gates
from domain.plan import ServicePlan
from domain.policy import Policy
from domain.records import Record
from domain.release import RollbackRehearsal
from domain.soak import SoakRecord
from domain.traffic import StableRevision


class Evidence(Record):
    """What was known when the gate opened; its digest is what an approval names."""

    release_id: str
    service: str
    bundle: BundleReference
    image: str
    plan_hash: str
    policy_version: str
    change: Change
    stable: StableRevision | None
    config_diff: tuple[str, ...]
    records: tuple[RecordReference, ...]
    soak: SoakRecord
    rehearsal: RollbackRehearsal
    opened_at: datetime
    expires_at: datetime
    unknown_authors: tuple[str, ...] = ()
    gates: Gates = Gates()
    gate_notes: tuple[GateNote, ...] = ()

    @property
    def sentence(self) -> str:
        """Say it to a person, with the authors for whom the policy could exclude nobody."""
        told = f"evidence of {self.release_id}"
        if not self.unknown_authors:
            return told
        return f"{told}; authors whom the policy does not know: {', '.join(self.unknown_authors)}"


class Proof(Record):
    """What a production write must show: the evidence and who signed it."""

    evidence: RecordReference
    approvals: tuple[AcceptedCommand, ...]


class Inputs(Record):
    """What an approval is about, as it is now; any difference to the evidence voids it."""

    bundle: BundleReference
    plan_hash: str
    policy_version: str
    stable: str | None


def void(evidence: Evidence, now: Inputs, at: datetime) -> str | None:
    """Why an approval of this evidence does not count at a time, or None (design 5.5)."""
    if at > evidence.expires_at:
        return f"the evidence expired at {evidence.expires_at:%F %T %Z}"
    stable = evidence.stable.bundle if evidence.stable else None
    for what, then, current in (
        ("the bundle", str(evidence.bundle), str(now.bundle)),
        ("the plan", evidence.plan_hash, now.plan_hash),
        ("the organisation policy", evidence.policy_version, now.policy_version),
        ("the stable revision", stable, now.stable),
    ):
        if then != current:
            return f"{what} changed after the evidence was frozen ({then} -> {current})"
    return None


def shortfall(approvals: tuple[AcceptedCommand, ...], policy: Policy, plan: ServicePlan) -> str:
    """What is missing to a quorum, or an empty string; the policy's floor counts as well."""
    wanted = max(plan.approval.quorum, policy.floors.quorum)
    agreed = [a for a in approvals if a.command.name is CommandName.APPROVE]
    missing = wanted - distinct_principals(agreed)
    return f"{missing} more approval(s) of {wanted} needed" if missing > 0 else ""


def last_use(evidence: Evidence, plan: ServicePlan) -> datetime:
    """Until when an approval whose first write was in time may carry further ones.

    Its expiry and the longest canary after it.
    """
    pace = plan.pace
    per_step = pace.step_deadline * (1 + plan.canary.extensions)
    longest = per_step * len(plan.canary.steps) + pace.watch + timedelta(hours=1)
    return evidence.expires_at + longest
