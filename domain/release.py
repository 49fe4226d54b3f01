"""A release: what was asked for, where it stands, and everything that happened to it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from domain.bundle import BundleReference, RecordReference
from domain.commands import AcceptedCommand, Change, RefusedCommand
from domain.environments import Environment
from domain.gates import GateMode, GateNote
from domain.holds import Hold
from domain.journal import Journal
from domain.phases import Outcome, Phase
from domain.plan import ServicePlan
from domain.records import Record
from domain.soak import SoakProgress
from domain.traffic import StableRevision


class ReleaseRequest(Record):
    """What a person asks for: one commit of one service, or an image that someone else built."""

    release_id: str
    service: str
    source: str = Field(description="git repository: a path or a URL")
    commit: str
    image: str | None = None
    scan_report: str | None = Field(default=None, description="digest of a report handed in")
    started_by: str
    plan: ServicePlan


class StageRecord(Record):
    """One line of the story."""

    phase: Phase
    title: str
    started_at: datetime
    ended_at: datetime | None = None
    sentence: str = ""
    ok: bool | None = None


class StepVerdict(Record):
    """What the judge said about one step, or the person `by` whom it was promoted.

    `mode` is the gate's: where it only observes, the verdict moved nothing.
    """

    weight: int
    verdict: str
    reason: str
    sentence: str
    record: RecordReference | None = None
    by: str | None = None
    mode: GateMode = GateMode.ACT


class RollbackRehearsal(Record):
    """The rollback that was tried in staging, and how long it took."""

    tried: bool
    seconds: float | None
    sentence: str


class ReleaseState(Record):
    """The whole state: what the `state` query answers, what people see, what rollback needs."""

    request: ReleaseRequest
    phase: Phase = Phase.PREPARE
    outcome: Outcome | None = None
    sentence: str = ""
    waiting_for: str | None = None
    next_wake_up: datetime | None = None
    started_at: datetime
    ended_at: datetime | None = None
    stages: tuple[StageRecord, ...] = ()
    bundle: BundleReference | None = None
    image: str | None = None
    change: Change | None = None
    stable: dict[Environment, StableRevision | None] = Field(default_factory=dict)
    weight: int = 0
    records: tuple[RecordReference, ...] = ()
    soak: SoakProgress | None = None
    rehearsal: RollbackRehearsal | None = None
    evidence: RecordReference | None = None
    evidence_expires_at: datetime | None = None
    approvals: tuple[AcceptedCommand, ...] = ()
    verdicts: tuple[StepVerdict, ...] = ()
    journal: Journal = Journal()
    paused_by: AcceptedCommand | None = None
    held: Hold | None = None
    gate_notes: tuple[GateNote, ...] = ()
    commands: tuple[AcceptedCommand, ...] = ()
    refusals: tuple[RefusedCommand, ...] = ()
    rollback: str | None = None
    thread: str | None = None
    undelivered: tuple[str, ...] = ()

    @property
    def revision(self) -> str:
        """Name of the objects of this release: `<service>-<short bundle hash>`."""
        if self.bundle is None:
            raise ValueError(f"{self.request.release_id} has no bundle yet")
        return f"{self.request.service}-{self.bundle.short}"

    @property
    def is_over(self) -> bool:
        """Tell whether the release has ended."""
        return self.outcome is not None

    def summary(self) -> dict[str, Any]:
        """The few fields that a list shows."""
        return {
            "release": self.request.release_id,
            "service": self.request.service,
            "commit": self.request.commit[:10],
            "phase": self.phase.value,
            "outcome": self.outcome.value if self.outcome else None,
            "weight": self.weight,
            "sentence": self.sentence,
        }
