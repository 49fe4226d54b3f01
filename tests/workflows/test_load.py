"""on_quiet: synthetic: the declared load is sent once a step, beside the judge, then it decides."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain.commands import CommandName
from domain.errors import PermanentFailure
from domain.judge.rules import OnQuiet
from domain.judge.verdict import Reason, Verdict
from domain.load import LoadReport, Tally
from domain.phases import Outcome, Phase
from domain.steps import ObserveStep
from tests.support.release_records import plan, request
from tests.support.release_world import World
from tests.workflows.test_holding import length_of

HOLD, BACK, GOOD = Verdict.HOLD, Verdict.ROLL_BACK, Verdict.PROMOTE
LOAD = {"on_quiet": "synthetic", "load": {"path": "/api/v1/albums", "rate": 5}}
NOT_SENT = "the declared load was not sent to its end in its time; quiet proves nothing"
SENT = LoadReport(canary=Tally(sent=300), stable=Tally(sent=2700))


@pytest.fixture
def quiet(world: World) -> World:
    """A plan with a load, and an approver."""
    world.request = request(plan=plan(canary=LOAD))
    world.approves()
    return world


def looks(world: World, weight: int) -> list[ObserveStep]:
    asked = [call.asked for call in world.calls if call.name == "observe_step"]
    return [one for one in asked if one.weight == weight and not one.watch]


def loads(world: World) -> list[int]:
    return [call.asked.weight for call in world.calls if call.name == "send_load begins"]


@pytest.mark.parametrize("reason", [Reason.needs_load, Reason.no_traffic])
async def test_a_quiet_step_is_judged_under_the_declared_load(quiet: World, reason: Reason) -> None:
    quiet.canary_at(10).says((HOLD, reason))
    state = await quiet.release()
    assert state.outcome is Outcome.RELEASED
    assert loads(quiet) == [10]
    first, second = looks(quiet, 10)
    assert first.tells
    assert first.rules.on_quiet is OnQuiet.synthetic
    assert not second.tells  # only a verdict ends the look under load
    assert second.rules.on_quiet is OnQuiet.advance
    assert second.since + second.rules.deadline == second.ends_at
    assert second.rules.extensions == 0
    assert any("3000 x GET /api/v1/albums" in text for text in quiet.told)


async def test_a_step_that_is_not_quiet_gets_no_load(quiet: World) -> None:
    quiet.canary_at(10).says((HOLD, Reason.both_bad))
    assert (await quiet.release()).outcome is Outcome.RELEASED
    assert loads(quiet) == []


async def test_a_canary_that_is_bad_under_load_is_rolled_back(quiet: World) -> None:
    quiet.canary_at(10).says((HOLD, Reason.needs_load), (BACK, Reason.worse))
    assert (await quiet.release()).outcome is Outcome.ROLLED_BACK
    assert loads(quiet) == [10]
    assert quiet.is_restored


async def test_a_load_is_sent_once_a_step_however_often_it_holds(quiet: World) -> None:
    quiet.canary_at(10).says(*[(HOLD, Reason.no_traffic)] * 4)
    quiet.canary_at(50).says((HOLD, Reason.needs_load))
    assert (await quiet.release()).outcome is Outcome.RELEASED
    assert loads(quiet) == [10, 50]


async def test_a_load_that_failed_lets_nobody_pass_for_being_quiet(quiet: World) -> None:
    quiet.script("send_load begins", PermanentFailure("answered 404 by both"))
    quiet.canary_at(10).says((HOLD, Reason.needs_load), (GOOD, Reason.quiet))
    quiet.when_told(
        "holding: HOLD because needs_load", lambda: quiet.signal(CommandName.ABORT, "o")
    )
    state = await quiet.release()
    assert state.outcome is Outcome.ABORTED
    assert quiet.weights == [10, 0]
    assert any("answered 404 by both" in text for text in quiet.told)
    later = looks(quiet, 10)[2:]
    assert all(one.rules.on_quiet is OnQuiet.synthetic for one in later)


async def test_a_load_that_is_not_sent_to_its_end_in_time_lets_nobody_pass_for_being_quiet(
    quiet: World,
) -> None:
    quiet.load_lasts = timedelta(days=1)
    quiet.canary_at(10).says((HOLD, Reason.needs_load), (GOOD, Reason.quiet))
    quiet.when_told(
        "holding: HOLD because needs_load", lambda: quiet.signal(CommandName.ABORT, "o")
    )
    state = await quiet.release()
    assert state.outcome is Outcome.ABORTED
    assert quiet.weights == [10, 0]
    assert NOT_SENT in told(quiet)
    assert "send_load" in await given_up(quiet)
    later = looks(quiet, 10)[2:]
    assert later
    assert all(one.rules.on_quiet is OnQuiet.synthetic for one in later)


@pytest.mark.parametrize("proof", [Reason.relative, Reason.within_limit])
async def test_what_is_proved_before_the_load_is_at_its_end_counts_and_the_rest_is_not_sent(
    quiet: World, proof: Reason
) -> None:
    quiet.load_lasts = timedelta(days=1)
    quiet.canary_at(10).says((HOLD, Reason.needs_load), (GOOD, proof))
    state = await quiet.release()
    assert state.outcome is Outcome.RELEASED
    assert state.verdicts[0].reason == proof
    assert "send_load" in await given_up(quiet)
    assert NOT_SENT not in told(quiet)


async def test_a_load_that_was_sent_to_its_end_lets_a_quiet_canary_go_on(quiet: World) -> None:
    quiet.canary_at(10).says((HOLD, Reason.needs_load), (GOOD, Reason.quiet))
    state = await quiet.release()
    assert state.outcome is Outcome.RELEASED
    assert state.verdicts[0].reason == Reason.quiet
    assert any("declared load sent" in text for text in told(quiet))
    assert await given_up(quiet) == []


async def test_a_promote_of_the_hold_from_before_the_load_does_not_count_under_it(
    quiet: World,
) -> None:
    quiet.canary_at(10).says(
        (HOLD, Reason.stable_bad), (HOLD, Reason.needs_load), (GOOD, Reason.quiet)
    )
    quiet.when_told("holding: ", quiet.looks_at_the_hold)
    quiet.when("send_load begins", lambda: quiet.signal(CommandName.PROMOTE, "rita"))
    state = await quiet.release()
    assert (state.verdicts[0].reason, state.verdicts[0].by) == (Reason.quiet, None)
    assert [refused.name for refused in state.refusals] == [CommandName.PROMOTE]
    assert len(looks(quiet, 10)) == 3


def told(world: World) -> list[str]:
    return [line for text in world.told for line in text.splitlines()]


async def given_up(world: World) -> list[str]:
    """The activities that the release told to stop."""
    scheduled, cancelled = {}, []
    async for event in world.handle().fetch_history_events():
        if event.HasField("activity_task_scheduled_event_attributes"):
            activity = event.activity_task_scheduled_event_attributes.activity_type.name
            scheduled[event.event_id] = activity
        if event.HasField("activity_task_cancel_requested_event_attributes"):
            asked = event.activity_task_cancel_requested_event_attributes
            cancelled.append(scheduled[asked.scheduled_event_id])
    return cancelled


async def test_an_abort_under_load_undoes_everything(quiet: World) -> None:
    quiet.when("send_load begins", lambda: quiet.signal(CommandName.ABORT, "otto"))
    quiet.canary_at(10).says((HOLD, Reason.needs_load), (HOLD, Reason.gathering))
    state = await quiet.release()
    assert state.outcome is Outcome.ABORTED
    assert quiet.is_restored
    assert "send_load" in await given_up(quiet)


async def test_without_a_declared_load_nothing_changes(world: World) -> None:
    world.approves()
    world.canary_at(10).says((HOLD, Reason.no_traffic))
    assert (await world.release()).outcome is Outcome.RELEASED
    assert loads(world) == []
    assert looks(world, 10)[1].ends_at - looks(world, 10)[1].since >= timedelta(minutes=40)


async def test_a_quiet_watch_gets_a_load_of_its_own(quiet: World) -> None:
    quiet.canary_at(100).says((HOLD, Reason.needs_load))
    quiet.canary_at(100, watch=True).says(*[(HOLD, Reason.no_traffic)] * 2)
    state = await quiet.release()
    assert state.outcome is Outcome.RELEASED
    assert loads(quiet) == [100, 100]
    assert length_of(state, Phase.WATCH) >= quiet.request.plan.canary.watch
    begun = sorted({one.since for one in looks(quiet, 100)})
    assert len(begun) == 2
    last = looks(quiet, 100)[-1]
    assert last.since == begun[-1]
    assert last.rules.deadline > timedelta(0)
    assert last.rules.on_quiet is OnQuiet.advance
