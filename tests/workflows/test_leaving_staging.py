"""What a release that has left staging's lane may still do there: nothing that another needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from domain.commands import CommandName
from domain.journal import UndoOutcome
from domain.lane import Ticket
from domain.phases import Outcome
from domain.release import ReleaseRequest, ReleaseState
from tests.support.conditions import eventually
from tests.support.release_records import bundle, plan, request
from tests.support.release_world import PRODUCTION, STAGING, World
from tests.workflows.conftest import SHORT

A, B = "a" * 40, "b" * 40
IN_STAGING: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "reading stable": ("read_stable", lambda asked: asked.environment is STAGING),
    "creating": ("create_revision", lambda asked: True),
    "asking it before users do": ("check_revision", lambda asked: asked.suite == "preview"),
    "shifting": ("shift_traffic", lambda asked: True),
    "testing": ("check_revision", lambda asked: asked.suite == "critical"),
    "rehearsing": ("rehearse_rollback", lambda asked: True),
    "pointing the entry": ("point_entry", lambda asked: True),
    "soaking": ("earn_window begins", lambda asked: True),
}
Stop = Callable[[World], Awaitable[object]]


def waiting(expires: str = "24h") -> ReleaseRequest:
    """A release that waits for an approval which nobody gives."""
    approval = {"on_newer": "keep", "expires": expires}
    return request(A, plan=plan(**SHORT, approval=approval))


def superseded() -> ReleaseRequest:
    return request(A, plan=plan(**SHORT))


FIRST, SECOND = waiting(), superseded().with_(commit=B, release_id=request(B).release_id)


async def rejected(world: World) -> None:
    await world.signal(CommandName.REJECT, "paul", release=FIRST.release_id)


async def expires(world: World) -> None:
    """The time passes by itself."""


async def told_of_a_newer_one(world: World) -> None:
    newer = Ticket(release_id="release-album-newer", service="album", commit="d" * 40)
    await world.handle(FIRST.release_id).signal("newer_candidate", newer)


ENDINGS: dict[Outcome, tuple[ReleaseRequest, Stop]] = {
    Outcome.REJECTED: (waiting(), rejected),
    Outcome.EXPIRED: (waiting(expires="1s"), expires),
    Outcome.SUPERSEDED: (superseded(), told_of_a_newer_one),
}


def revision(commit: str) -> str:
    return f"album-{bundle(commit).short}"


async def the_first_is_over(world: World) -> ReleaseState:
    return await world.handle(FIRST.release_id).result()


async def the_second_starts_when_the_first_waits(world: World, first: ReleaseRequest) -> None:
    await world.starts(first)
    await eventually(lambda: any("approval needed" in text for text in world.told))
    await world.starts(SECOND)


def in_staging_of_the_second(world: World, step: str, react: Callable[[], Any]) -> None:
    """Somebody acts while the second release takes a step in staging."""
    name, matches = IN_STAGING[step]

    async def once_the_first_waits() -> None:
        world.when(name, react, matches)

    world.when_told(f"tidegate approve {FIRST.release_id}", once_the_first_waits)


@pytest.mark.parametrize(
    ("outcome", "step"),
    [
        *[(Outcome.REJECTED, step) for step in IN_STAGING if step != "pointing the entry"],
        (Outcome.EXPIRED, "creating"),
        (Outcome.SUPERSEDED, "shifting"),
    ],
)
async def test_the_end_of_a_waiting_release_does_not_disturb_the_one_in_staging(
    live: World, outcome: Outcome, step: str
) -> None:
    first, stop = ENDINGS[outcome]

    async def end_the_first() -> None:
        await stop(live)
        await the_first_is_over(live)

    in_staging_of_the_second(live, step, end_the_first)
    live.approves("ann", release=SECOND.release_id)
    await the_second_starts_when_the_first_waits(live, first)
    assert (await the_first_is_over(live)).outcome is outcome
    released = await live.handle(SECOND.release_id).result()
    assert released.outcome is Outcome.RELEASED, released.sentence
    for environment in (STAGING, PRODUCTION):
        assert live.clusters[environment].is_served
        assert live.clusters[environment].entry == revision(B)


async def test_what_is_left_to_the_release_in_staging_is_said_and_keeps_its_pods(
    live: World,
) -> None:
    pods: list[int] = []

    async def reject() -> None:
        await rejected(live)
        await the_first_is_over(live)
        pods.append(live.clusters[STAGING].pods[revision(A)])

    in_staging_of_the_second(live, "soaking", reject)
    live.approves("ann", release=SECOND.release_id)
    await the_second_starts_when_the_first_waits(live, FIRST)
    state = await the_first_is_over(live)
    left = f"staging is left to {SECOND.release_id}, which has its lane now"
    assert left in state.stages[-1].sentence
    report = await live.rollback(FIRST.release_id).result()
    assert {result.outcome for result in report.results} == {UndoOutcome.LEFT}
    await live.handle(SECOND.release_id).result()
    assert pods[0] > 0


@pytest.mark.parametrize("step", ["creating", "soaking"])
async def test_an_abort_after_the_waiting_release_ended_returns_staging_to_something_with_pods(
    live: World, step: str
) -> None:
    async def end_both() -> None:
        await rejected(live)
        await the_first_is_over(live)
        await live.signal(CommandName.ABORT, "otto", release=SECOND.release_id)

    in_staging_of_the_second(live, step, end_both)
    await the_second_starts_when_the_first_waits(live, FIRST)
    assert (await live.handle(SECOND.release_id).result()).outcome is Outcome.ABORTED
    assert live.clusters[STAGING].is_served
    assert live.clusters[STAGING].entry == revision(A)


@pytest.mark.parametrize("outcome", ENDINGS)
@pytest.mark.parametrize("released", [True, False])
async def test_both_have_left_staging_and_what_serves_there_has_pods_however_the_second_ends(
    live: World, outcome: Outcome, released: bool
) -> None:
    first, stop = ENDINGS[outcome]
    word = CommandName.APPROVE if released else CommandName.ABORT

    async def end_the_first_then_decide() -> None:
        await stop(live)
        await the_first_is_over(live)
        await live.signal(word, "ann", release=SECOND.release_id)

    live.when_told(f"tidegate approve {SECOND.release_id}", end_the_first_then_decide)
    await the_second_starts_when_the_first_waits(live, first)
    assert (await the_first_is_over(live)).outcome is outcome
    state = await live.handle(SECOND.release_id).result()
    assert state.outcome is (Outcome.RELEASED if released else Outcome.ABORTED)
    assert live.clusters[STAGING].is_served
    assert live.clusters[STAGING].entry == revision(B if released else A)
    await live.lane(STAGING).result()


async def test_a_waiting_release_alone_is_undone_in_staging_under_a_place_of_its_own(
    live: World,
) -> None:
    holders: list[str] = []

    async def look() -> None:
        holder = (await live.lane_state(STAGING)).holder
        holders.append(holder.release_id if holder else "nobody")

    live.when_told("approval needed", lambda: rejected(live))
    live.when("undo", look)
    release = await live.starts(FIRST)
    assert (await release.result()).outcome is Outcome.REJECTED
    assert holders == [live.rollback(FIRST.release_id).id]
    assert live.is_restored
    await live.lane(STAGING).result()


async def test_two_that_are_rejected_together_are_both_undone(live: World) -> None:
    keep = FIRST.with_(commit=B, release_id=SECOND.release_id)

    async def reject_both() -> None:
        await rejected(live)
        await live.signal(CommandName.REJECT, "paul", release=keep.release_id)

    live.when_told(f"tidegate approve {keep.release_id}", reject_both)
    await live.starts(FIRST)
    await eventually(lambda: any("approval needed" in text for text in live.told))
    await live.starts(keep)
    for one in (FIRST, keep):
        await live.handle(one.release_id).result()
        report = await live.rollback(one.release_id).result()
        assert UndoOutcome.LEFT not in {result.outcome for result in report.results}
        assert report.is_complete
    assert live.clusters[STAGING].is_served
    assert live.clusters[STAGING].entry != revision(B)


async def test_a_terminated_rollback_frees_the_lane_it_visits_and_a_person_is_told(
    live: World,
) -> None:
    async def terminate() -> None:
        await live.rollback(FIRST.release_id).terminate("somebody clicked terminate")

    live.when_told("approval needed", lambda: rejected(live))
    live.when("undo", terminate)
    release = await live.starts(FIRST)
    assert (await release.result()).outcome is Outcome.ROLLBACK_INCOMPLETE
    await live.is_told("was closed before its end (terminated) in rollback: nothing is changed")
    await live.lane(STAGING).result()
    assert not await live.has_rolled_back(live.rollback(FIRST.release_id).id)
