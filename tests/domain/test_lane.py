"""The lane: at most one holder, nobody lost, in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from domain.environments import Environment
from domain.lane import Lane, Ticket


def ticket(number: int) -> Ticket:
    return Ticket(release_id=f"release-album-{number}", service="album", commit=str(number) * 10)


EMPTY = Lane(environment=Environment.PRODUCTION, service="album")
tickets = st.integers(1, 5).map(ticket)


class Lanes(RuleBasedStateMachine):
    """Releases come and go in any order; the model is a list in the order of arrival."""

    def __init__(self) -> None:
        super().__init__()
        self.lane = EMPTY
        self.present: list[Ticket] = []
        self.holder: Ticket | None = None
        self.candidates: list[Ticket] = []

    @rule(who=tickets)
    def enter(self, who: Ticket) -> None:
        self.lane = self.lane.enter(who)
        assert self.lane.enter(who) == self.lane
        if who not in self.present:
            self.present.append(who)
        self.candidates = [c for c in self.candidates if c != who]

    @rule()
    def admit(self) -> None:
        self.lane = self.lane.admit()
        assert self.lane.admit() == self.lane
        if self.holder is None and self.present:
            self.holder = self.present[0]

    @rule(who=tickets)
    def leave(self, who: Ticket) -> None:
        self.lane = self.lane.leave(who.release_id)
        assert self.lane.leave(who.release_id) == self.lane
        self.present = [t for t in self.present if t != who]
        self.candidates = [c for c in self.candidates if c != who]
        self.holder = None if self.holder == who else self.holder

    @rule(who=tickets)
    def announce(self, who: Ticket) -> None:
        if who in self.present:
            return
        self.lane, told = self.lane.announce(who)
        older = [c for c in self.candidates if c != who]
        assert list(told) == ([] if who in self.candidates else older)
        if who not in self.candidates:
            self.candidates.append(who)
        assert self.lane.announce(who) == (self.lane, ())

    @invariant()
    def nobody_is_lost_and_the_order_is_kept(self) -> None:
        held = [self.lane.holder] if self.lane.holder else []
        assert [*held, *self.lane.queue] == self.present

    @invariant()
    def only_leaving_ends_a_hold(self) -> None:
        assert self.lane.holder == self.holder

    @invariant()
    def candidates_are_those_who_wait_for_approval(self) -> None:
        assert list(self.lane.candidates) == self.candidates

    @invariant()
    def it_is_idle_only_when_it_has_nobody_to_remember(self) -> None:
        assert self.lane.is_idle is not bool(self.present or self.candidates)


TestLanes = Lanes.TestCase


@given(st.lists(tickets, unique=True, min_size=1))
def test_those_who_wait_get_in_one_after_the_other_in_the_order_of_arrival(
    arriving: list[Ticket],
) -> None:
    lane, admitted = EMPTY, []
    for one in arriving:
        lane = lane.enter(one)
    while not lane.is_idle:
        lane = lane.admit()
        assert lane.holder is not None
        admitted.append(lane.holder)
        lane = lane.leave(lane.holder.release_id)
    assert admitted == arriving


def test_a_newer_candidate_is_told_to_the_older_ones_only() -> None:
    lane, nobody = EMPTY.announce(ticket(1))
    lane, older = lane.announce(ticket(2))
    assert (nobody, older) == ((), (ticket(1),))
    lane = lane.enter(ticket(2))
    assert lane.candidates == (ticket(1),)


def test_a_rollback_waits_behind_another_rollback_and_never_behind_a_release() -> None:
    visitor, other = (Ticket(release_id=f"rollback-{n}", service="album", commit="") for n in "12")
    assert EMPTY.in_the_way_of(visitor) is None
    assert EMPTY.enter(other).admit().in_the_way_of(visitor) is None
    assert EMPTY.enter(ticket(1)).in_the_way_of(visitor) == ticket(1)
    assert EMPTY.enter(other).admit().enter(ticket(1)).in_the_way_of(visitor) == ticket(1)
    assert EMPTY.enter(visitor).enter(ticket(1)).in_the_way_of(visitor) is None
