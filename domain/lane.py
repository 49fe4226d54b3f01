"""A lane: one release of a service at a time in an environment, the others wait in order."""

from __future__ import annotations

from domain.decisions import Report
from domain.environments import Environment, is_rollback
from domain.journal import Journal
from domain.phases import Phase
from domain.records import Record


class Ticket(Record):
    """A place in a lane: a release's, or that of a rollback that undoes one after it has left."""

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

    def in_the_way_of(self, visitor: Ticket) -> Ticket | None:
        """The release that holds the lane, or will next; a rollback queues up behind none.

        Behind another rollback it does wait: that one only undoes, and does not stay.
        """
        ahead = (self.holder, *self.queue)
        releases = [t for t in ahead if t is not None and not is_rollback(t.release_id)]
        return releases[0] if releases and visitor not in ahead else None

    def announce(self, ticket: Ticket) -> tuple[Lane, tuple[Ticket, ...]]:
        """A soaked release starts to wait for approval; older candidates are told about it."""
        if ticket in self.candidates:
            return self, ()
        return self.with_(candidates=(*self.candidates, ticket)), self.candidates

    @property
    def is_idle(self) -> bool:
        """Tell whether the lane has nobody to remember."""
        return self.holder is None and not self.queue and not self.candidates


class HolderEnd(Record):
    """How a lane's holder ended: phase and signal for the table, and what it left behind."""

    phase: Phase
    report: Report
    journal: Journal = Journal()
    thread: str | None = None
