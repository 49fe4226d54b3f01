"""The journal: how to undo each step, written down before the step acts."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from domain.environments import Environment
from domain.records import Record
from domain.traffic import TrafficSplit


class RestoreTraffic(Record):
    """Give the recorded split back; everything that destroys waits for this one."""

    kind: Literal["restore-traffic"] = "restore-traffic"
    environment: Environment
    service: str
    revision: str
    split: TrafficSplit
    pods: int = Field(
        default=0, ge=0, description="ready pods with which the split was served, 0 if unknown"
    )

    def __str__(self) -> str:
        return f"return {self.environment} traffic of {self.service} to {self.split}"


class RestoreEntry(Record):
    """Point the entry Service back at the revision it selected."""

    kind: Literal["restore-entry"] = "restore-entry"
    environment: Environment
    service: str
    revision: str
    previous: str | None

    def __str__(self) -> str:
        return (
            f"point {self.environment} Service {self.service} back at {self.previous or 'nothing'}"
        )


class RestoreCapacity(Record):
    """Let stable scale down again: its autoscaler's minimum as it was."""

    kind: Literal["restore-capacity"] = "restore-capacity"
    environment: Environment
    service: str
    revision: str
    min_replicas: int

    def __str__(self) -> str:
        return f"set the autoscaler minimum of {self.revision} back to {self.min_replicas}"


class RetireRevision(Record):
    """Scale a revision to zero once nobody is sent to it; its objects are kept."""

    kind: Literal["retire-revision"] = "retire-revision"
    environment: Environment
    service: str
    revision: str

    def __str__(self) -> str:
        return f"scale {self.revision} in {self.environment} to zero"


Compensation = Annotated[
    RestoreTraffic | RestoreEntry | RestoreCapacity | RetireRevision,
    Field(discriminator="kind"),
]


class Journal(Record):
    """Compensations in the order in which their steps acted."""

    compensations: tuple[Compensation, ...] = ()

    def add(self, compensation: Compensation) -> Journal:
        """Register an undo; the same one twice (a retried step) is one."""
        if compensation in self.compensations:
            return self
        return Journal(compensations=(*self.compensations, compensation))

    def undo_order(self, environment: Environment | None = None) -> tuple[Compensation, ...]:
        """Last step first, of one environment or of all."""
        wanted = [c for c in self.compensations if environment in (None, c.environment)]
        return tuple(reversed(wanted))

    def environments(self) -> tuple[Environment, ...]:
        """Where something has to be undone, the last touched first."""
        return tuple(dict.fromkeys(item.environment for item in self.undo_order()))

    def touches(self, environment: Environment) -> bool:
        """Tell whether anything in an environment has to be undone."""
        return any(item.environment is environment for item in self.compensations)


class UndoOutcome(StrEnum):
    """How one compensation ended."""

    DONE = "done"
    NOTHING_TO_DO = "nothing to do"
    SUPERSEDED = "superseded"
    LEFT = "left"
    FAILED = "failed"
    SKIPPED = "skipped"
    GIVEN_UP = "given up"


OPEN = (UndoOutcome.FAILED, UndoOutcome.SKIPPED, UndoOutcome.GIVEN_UP)


class UndoResult(Record):
    """What became of one compensation, for the report and the audit."""

    compensation: Compensation
    outcome: UndoOutcome
    sentence: str


class RollbackRequest(Record):
    """What a RollbackWorkflow is asked to undo, and why.

    `lanes_held`: environments whose lane is kept for it until it is done; it has to get the others.
    """

    release_id: str
    service: str
    reason: str
    journal: Journal
    lanes_held: tuple[Environment, ...] = ()
    thread: str | None = None


class RollbackReport(Record):
    """What a rollback did."""

    release_id: str
    results: tuple[UndoResult, ...] = ()
    stuck: UndoResult | None = None

    @property
    def is_complete(self) -> bool:
        """Tell whether nothing is left for a person to finish."""
        return not any(result.outcome in OPEN for result in self.results)

    def returned(self, environment: Environment) -> bool:
        """Tell whether the traffic that a release moved there is known to be given back."""
        tried = [
            result.outcome
            for result in self.results
            if result.compensation.environment is environment
            and isinstance(result.compensation, RestoreTraffic)
        ]
        return bool(tried) and not any(outcome in OPEN for outcome in tried)

    @property
    def given_up(self) -> bool:
        """Tell whether a person said to leave everything as it is."""
        return any(result.outcome is UndoOutcome.GIVEN_UP for result in self.results)

    @property
    def sentence(self) -> str:
        """Say it to a person."""
        done = sum(result.outcome is UndoOutcome.DONE for result in self.results)
        said = f"{done} of {len(self.results)} steps undone"
        left = dict.fromkeys(r.sentence for r in self.results if r.outcome is UndoOutcome.LEFT)
        open_ones = [str(r.compensation) for r in self.results if r.outcome in OPEN]
        rest = "still open: " + "; ".join(open_ones) if open_ones else "the rest needed nothing"
        return "; ".join((said, *left, rest))
