"""One environment's cluster as workflow tests see it: who gets traffic, which pods live."""

from __future__ import annotations

from dataclasses import dataclass, field

from domain.environments import Environment
from domain.errors import Conflict
from domain.journal import (
    Compensation,
    RestoreCapacity,
    RestoreEntry,
    RestoreTraffic,
    RetireRevision,
    UndoOutcome,
)
from domain.steps import RevisionRequest, Settle, ShiftTraffic
from domain.traffic import StableRevision, TrafficSplit

NOBODY = TrafficSplit()


@dataclass
class ClusterDouble:
    """Remembers what was written, and every write that would have hurt users."""

    environment: Environment
    split: TrafficSplit = NOBODY
    entry: str | None = None
    pods: dict[str, int] = field(default_factory=dict)
    minimums: dict[str, int] = field(default_factory=dict)
    known: dict[str, StableRevision] = field(default_factory=dict)
    history: list[TrafficSplit] = field(default_factory=list)
    accidents: list[str] = field(default_factory=list)

    def serve(self, stable: StableRevision) -> None:
        """An older release has left this revision in charge."""
        self.split, self.entry = TrafficSplit.all_to(stable.revision), stable.revision
        self.pods[stable.revision] = stable.ready_pods
        self.minimums[stable.revision] = stable.min_replicas or 1
        self.known[stable.revision] = stable

    def picture(self) -> tuple[object, ...]:
        """What users and operators notice."""
        alive = {name: pods for name, pods in self.pods.items() if pods}
        return self.split, self.entry, alive, dict(self.minimums)

    def stable(self) -> StableRevision | None:
        """The revision that serves; while a canary shares the route, the entry tells which."""
        found = [backend.revision for backend in self.split.backends]
        if not found:
            return None
        return self.known[found[0] if len(found) == 1 else self.entry or ""]

    def create(self, target: RevisionRequest, commit: str, pods: int) -> None:
        """Bring a revision up; it may become the stable one later."""
        self.pods[target.revision] = pods
        self.known[target.revision] = StableRevision(
            environment=self.environment,
            revision=target.revision,
            bundle=str(target.bundle),
            commit=commit,
            ready_pods=pods,
        )

    def shift(self, request: ShiftTraffic) -> None:
        """Move the route, if it is where the request believes it is."""
        if self.split not in (request.old, request.new):
            raise Conflict(f"{self.environment} gives {self.split}, not {request.old}")
        self.set_split(request.new)

    def set_split(self, split: TrafficSplit) -> None:
        """Send users somewhere; to a revision without pods is an accident."""
        for backend in split.backends:
            if not self.pods.get(backend.revision):
                self.accidents.append(f"users sent to {backend.revision}, which has no pods")
        self.split = split
        self.history.append(split)

    def retire(self, revision: str) -> None:
        """Scale to zero; with users on it that is an accident."""
        if self.split.weight_of(revision):
            self.accidents.append(f"{revision} destroyed while it had {self.split}")
        self.pods[revision] = 0

    def settle(self, request: Settle) -> None:
        """Retire the old revision."""
        old = request.target.stable
        if old is not None:
            self.retire(old.revision)

    def must_serve(self, split: TrafficSplit, pods: int) -> None:
        """Nobody returns to a revision that cannot take them: it is scaled up before."""
        for backend in split.backends:
            self.pods[backend.revision] = max(self.pods.get(backend.revision, 0), pods, 1)

    @property
    def is_served(self) -> bool:
        """Whether route and entry lead to one revision, which has pods."""
        return self.split == TrafficSplit.all_to(self.entry) and bool(
            self.entry and self.pods.get(self.entry)
        )

    def undo(self, compensation: Compensation) -> UndoOutcome:
        """Carry out one compensation as the real activity does."""
        before = self.picture()
        match compensation:
            case RestoreTraffic() if self.split == compensation.split:
                pass
            case RestoreTraffic() if self.split.weight_of(compensation.revision) == 0:
                return UndoOutcome.SUPERSEDED
            case RestoreTraffic():
                self.must_serve(compensation.split, compensation.pods)
                self.set_split(compensation.split)
            case RestoreEntry() if self.entry == compensation.revision:
                self.must_serve(TrafficSplit.all_to(compensation.previous), 1)
                self.entry = compensation.previous
            case RestoreCapacity():
                self.minimums[compensation.revision] = compensation.min_replicas
            case RetireRevision():
                self.retire(compensation.revision)
        return UndoOutcome.DONE if self.picture() != before else UndoOutcome.NOTHING_TO_DO
