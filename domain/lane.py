"""A lane: one release of a service at a time in an environment, the others wait in order."""

from __future__ import annotations

from enum import StrEnum

from domain.environments import Environment
from domain.journal import Journal
from domain.records import Record


class Ticket(Record):
    """A release's place in a lane."""

    release_id: str
    service: str
    commit: str


class Lane(Record):
    """Who holds the lane, who waits, and who has soaked and waits for approval."""

    environment: Environment
    service: str
    holder: Ticket | None = None
    queue: tuple[Ticket, ...] = ()
    candidates: tuple[Ticket, ...] = ()

    def enter(self, ticket: Ticket) -> Lane:
        """Join the queue once; asking again changes nothing."""
        if ticket == self.holder or ticket in self.queue:
            return self
        rest = tuple(t for t in self.candidates if t.release_id != ticket.release_id)
        return self.with_(queue=(*self.queue, ticket), candidates=rest)

    def admit(self) -> Lane:
        """Let the first in the queue in, if nobody holds the lane."""
        if self.holder is not None or not self.queue:
            return self
        return self.with_(holder=self.queue[0], queue=self.queue[1:])

    def leave(self, release_id: str) -> Lane:
        """Hand the lane back, or give up one's place in any list."""
        holder = self.holder
        return self.with_(
            holder=None if holder and holder.release_id == release_id else holder,
            queue=tuple(t for t in self.queue if t.release_id != release_id),
            candidates=tuple(t for t in self.candidates if t.release_id != release_id),
        )

    def announce(self, ticket: Ticket) -> tuple[Lane, tuple[Ticket, ...]]:
        """A soaked release starts to wait for approval; older candidates are told about it."""
        if ticket in self.candidates:
            return self, ()
        return self.with_(candidates=(*self.candidates, ticket)), self.candidates

    @property
    def is_idle(self) -> bool:
        """Tell whether the lane has nobody to remember."""
        return self.holder is None and not self.queue and not self.candidates


class Ending(StrEnum):
    """How a lane's holder ended, as Temporal tells it."""

    SETTLED = "settled"
    ABANDONED = "abandoned"


class HolderEnd(Record):
    """What a closed release left behind: an abandoned one is rolled back before the next enters."""

    ending: Ending
    reason: str
    journal: Journal = Journal()
    thread: str | None = None
