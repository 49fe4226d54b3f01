"""A release as a report: what it did, who decided, and each verdict with the way to it.

`domain.report_sources` makes it, `tidegate report` shows it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from domain.bundle import BundleReference, RecordReference
from domain.judge.counts import Counts
from domain.records import Record
from domain.release import StageRecord
from domain.soak_windows import SoakStretch
from domain.trace import Trace


class Voice(Record):
    """What a person said and whether it counted; it was about `evidence`, or about what `held`."""

    at: datetime
    who: str
    said: str
    reason: str
    signed: bool
    counted: bool
    evidence: str | None = None
    held: str | None = None


class Weight(Record):
    """From when on the new revision had so many percent of production."""

    at: datetime
    percent: int


class SoakClock(Record):
    """Earned time beside elapsed time; `planned` is the goal before a rehearsal clock.

    `stretches` are its windows; records of older versions have none.
    """

    goal: timedelta
    earned: timedelta
    elapsed: timedelta
    planned: timedelta
    windows: int
    unhealthy: int
    resets: int
    on_unhealthy: str
    last: str
    sentence: str
    unknown: timedelta
    drift: str = ""
    skipped: str = ""
    stretches: tuple[SoakStretch, ...] = ()


class Usage(Record):
    """Requests that users sent while production was judged, by arm; `slow` of the same requests."""

    errors: Counts
    slow: Counts | None


class Step(Record):
    """One weight from its begin to its last verdict; a hold is judged again, so several traces."""

    title: str
    weight: int
    start: datetime
    end: datetime
    traces: tuple[Trace, ...]


class Report(Record):
    """Everything; `notes` say what is missing or does not fit, `as_of` is set while it runs."""

    release_id: str
    service: str
    commit: str = ""
    bundle: BundleReference | None = None
    image: str = ""
    revision: str = ""
    replaces: str = ""
    authors: tuple[str, ...] = ()
    started_by: str = ""
    outcome: str
    sentence: str
    as_of: datetime | None = None
    from_records_only: bool
    started_at: datetime | None = None
    ended_at: datetime | None = None
    waiting_for: str = ""
    soak_clock: str = ""
    canary_clock: str = ""
    evidence: str = ""
    config_diff: tuple[str, ...] = ()
    records: tuple[RecordReference, ...] = ()
    people: tuple[Voice, ...] = ()
    stages: tuple[StageRecord, ...] = ()
    soak: SoakClock | None = None
    rehearsal: str = ""
    weights: tuple[Weight, ...] = ()
    steps: tuple[Step, ...] = ()
    usage: Usage | None = None
    rollback: str = ""
    notes: tuple[str, ...] = ()

    @property
    def traces(self) -> tuple[Trace, ...]:
        """Every stored verdict, in order of time."""
        return tuple(trace for step in self.steps for trace in step.traces)

    @property
    def differs(self) -> bool:
        """Whether a verdict is not what its blocks say."""
        return any(trace.differences for trace in self.traces if trace.as_of is None)

    @property
    def running(self) -> Trace | None:
        """The step that is being judged, up to now; None where there is none, or none known."""
        return next((trace for trace in self.traces if trace.as_of is not None), None)
