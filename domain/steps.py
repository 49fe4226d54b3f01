"""What the workflows ask of the activities: one frozen request and one frozen answer each."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from domain.bundle import BundleReference, RecordReference
from domain.checks import HttpCheck
from domain.commands import AcceptedCommand, Change, Command
from domain.environments import Environment
from domain.evidence import Proof
from domain.gates import GateNote
from domain.holds import Hold
from domain.journal import Compensation
from domain.judge.rules import JudgeRules
from domain.judge.state import JudgeState
from domain.judge.verdict import Judgement, Reason
from domain.lane import Ticket
from domain.metrics.plan import MetricsPlan
from domain.plan import ServicePlan
from domain.records import Record
from domain.release import ReleaseRequest, RollbackRehearsal
from domain.scan import ScanSummary
from domain.soak import SoakRecord
from domain.traffic import StableRevision, TrafficSplit

# --- lanes -------------------------------------------------------------------------------------


class LaneRequest(Record):
    """Join an environment's lane, or tell it that this release now waits for approval."""

    environment: Environment
    ticket: Ticket


# --- build -------------------------------------------------------------------------------------


class BuildRequest(Record):
    """Make the bundle of one commit; `base` is the commit that production serves now."""

    release: ReleaseRequest
    base: str | None


class UnitTestOutcome(Record):
    """What the service's own tests said; the reports lie in the registry."""

    passed: bool
    record: RecordReference


class BuiltImage(Record):
    """An image by digest."""

    image: str
    sentence: str


class BundleRequest(Record):
    """Render the manifests and store the bundle around a built image."""

    build: BuildRequest
    image: str
    records: tuple[RecordReference, ...]


class StoredBundle(Record):
    """The bundle, and whose work it carries."""

    bundle: BundleReference
    change: Change
    sentence: str


# --- scan --------------------------------------------------------------------------------------


class ScanRequest(Record):
    """Find and judge the image's vulnerability report.

    `report` is the digest of one that was handed in with the release. Only where the image was
    built from the commit may that be of the source directory, on the word of `handed_in_by`.
    `known_refused` was told before: it is waited for another report.
    """

    bundle: BundleReference
    image: str
    report: str | None
    handed_in_by: str = ""
    built_from_commit: bool = False
    known_refused: tuple[str, ...] = ()
    block: Literal["critical", "high"]
    give_up_after: timedelta


class ScanOutcome(Record):
    """The report reduced to what the gate needs, or nothing when there is none yet.

    `refused` says which reports are no evidence, and why.
    """

    summary: ScanSummary | None
    record: RecordReference | None
    refused: tuple[str, ...] = ()


# --- revisions, traffic, checks (on the queue of one cluster) -----------------------------------


class StableQuery(Record):
    """Which revision serves now?"""

    environment: Environment
    service: str


class RevisionRequest(Record):
    """One revision of a release in one environment; `proof` is what production asks for."""

    release_id: str
    environment: Environment
    service: str
    bundle: BundleReference
    stable: StableRevision | None = None
    proof: Proof | None = None

    @property
    def revision(self) -> str:
        """Name of the revision's objects."""
        return f"{self.service}-{self.bundle.short}"


class CreateRevision(Record):
    """Create the revision's objects beside the old ones, ready for a first share of traffic."""

    target: RevisionRequest
    weight: int


class CreatedRevision(Record):
    """What was created; `adopted` when the same bundle lay there already."""

    revision: str
    ready_pods: int
    adopted: bool
    healthy: bool
    sentence: str


class CheckRevision(Record):
    """Send a suite of requests through the revision's own Service."""

    target: RevisionRequest
    suite: Literal["preview", "smoke", "critical"]
    checks: tuple[HttpCheck, ...]


class ShiftTraffic(Record):
    """Move the route from one split to another, only if the destination can carry it."""

    target: RevisionRequest
    weight: int
    old: TrafficSplit
    new: TrafficSplit


class ShiftedTraffic(Record):
    """A shift that was read back from the router."""

    split: TrafficSplit
    seconds: float
    sentence: str


class Undo(Record):
    """One compensation to carry out."""

    release_id: str
    compensation: Compensation
    drain: timedelta


class Settle(Record):
    """Retire the old revision, drop what is beyond `retain`."""

    target: RevisionRequest
    drain: timedelta
    retain: int


# --- soak, canary ------------------------------------------------------------------------------


class EarnWindow(Record):
    """Watch one window of staging time, of about `length`; `starts_at` is wall-clock time."""

    target: RevisionRequest
    starts_at: datetime
    length: timedelta
    plan: ServicePlan


class ObserveStep(Record):
    """Judge the canary at one weight until there is a verdict, or until `ends_at` (wall clock).

    `state` is the judge's after the last observation, None to start. A `watch` never promotes
    before `ends_at`: it only looks for a reason to roll back. `baseline` is the revision of the
    canary's age that serves stable's bundle, where the rules' control is one. With `tells` it
    also ends, early, when people must hear of a hold; `told` is the one that they know of.
    """

    target: RevisionRequest
    weight: int
    rules: JudgeRules
    since: datetime
    ends_at: datetime
    block: timedelta
    slow_above: timedelta
    state: JudgeState | None
    watch: bool = False
    baseline: str | None = None
    tells: bool = False
    told: Reason | None = None
    metrics: MetricsPlan = MetricsPlan()


class Observation(Record):
    """The verdict; the blocks lie in the registry so that anybody can recompute it.

    `early`: nothing is decided, people must hear of it, or the observing was given up.
    """

    judgement: Judgement
    state: JudgeState
    record: RecordReference | None
    early: bool = False


class PersonsPromotion(Record):
    """A person's promote of a held step: the signed command and what it was about."""

    target: RevisionRequest
    weight: int
    watch: bool
    held: Hold
    accepted: AcceptedCommand
    observation: RecordReference | None


class RefusedPromotion(Record):
    """A promote that counted when it was said and no longer when it was to be stored, and why."""

    why: str


# --- approval ----------------------------------------------------------------------------------


class FreezeEvidence(Record):
    """What the release knows; the activity adds policy, configuration diff and the clock."""

    target: RevisionRequest
    image: str
    change: Change
    records: tuple[RecordReference, ...]
    soak: SoakRecord
    rehearsal: RollbackRehearsal
    expires_in: timedelta
    gate_notes: tuple[GateNote, ...] = ()


class FrozenEvidence(Record):
    """The frozen evidence and who may sign it."""

    record: RecordReference
    expires_at: datetime
    eligible: tuple[str, ...]


class VerifyCommand(Record):
    """Does this command count?"""

    command: Command
    release_id: str
    evidence: RecordReference | None
    change: Change | None


class Verification(Record):
    """Whose command it is, or why it does not count."""

    accepted: bool
    principal: str
    verified: bool
    sentence: str


# --- people ------------------------------------------------------------------------------------


class Tell(Record):
    """One message of a release's thread; `key` makes sending it twice one message."""

    release_id: str
    thread: str | None
    key: str
    text: str


class Told(Record):
    """Where the thread is."""

    thread: str
