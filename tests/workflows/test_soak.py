"""The soak: 24 healthy hours, earned, however long that takes."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest

from domain.commands import CommandName
from domain.errors import TransientFailure
from domain.phases import Outcome, Phase
from domain.plan import HOUR, MINUTE
from domain.release import ReleaseState
from domain.soak import UNSEEN, SoakWindow
from domain.soak_windows import Finding
from tests.support.release_records import plan, request
from tests.support.release_world import World

HALF = timedelta(minutes=30)


def soaked(state: ReleaseState) -> timedelta:
    soak = next(stage for stage in state.stages if stage.phase is Phase.SOAK)
    assert soak.ended_at is not None
    return soak.ended_at - soak.started_at


@pytest.mark.parametrize(
    ("rule", "longer_by"),
    [("pause", HALF), ("credit", 2 * HALF), ("reset", 4 * HALF)],
)
async def test_an_unhealthy_window_costs_what_the_plan_says(
    world: World, rule: str, longer_by: timedelta
) -> None:
    world.request = request(plan=plan(soak={"on_unhealthy": rule}))
    world.soak_windows(True, True, True, False)
    world.approves()
    state = await world.release()
    assert state.outcome is Outcome.RELEASED
    assert state.soak is not None
    assert state.soak.elapsed == 24 * HOUR + longer_by
    assert soaked(state) >= 24 * HOUR + longer_by
    assert state.soak.resets == (1 if rule == "reset" else 0)
    assert any("2 container restarts" in text for text in world.told)


async def test_a_soak_that_is_not_earned_by_its_deadline_ends_the_release(world: World) -> None:
    world.request = request(plan=plan(soak={"deadline": "26h"}))
    world.soak_windows(*[False] * 60)
    state = await world.release()
    assert state.outcome is Outcome.FAILED
    assert state.sentence.startswith("soak not earned within 1d 2h: 0s of 1d healthy time earned")
    assert world.is_restored


async def test_a_release_manager_may_skip_the_soak_and_the_evidence_says_who_and_why(
    world: World,
) -> None:
    async def skip() -> None:
        await world.signal(CommandName.SKIP_SOAK, "rita")

    world.when("earn_window", skip)
    world.approves()
    state = await world.release()
    assert state.outcome is Outcome.RELEASED
    assert soaked(state) < HOUR
    frozen = next(call.asked for call in world.calls if call.name == "freeze_evidence")
    assert (frozen.soak.skipped_by, frozen.soak.skip_reason) == ("rita", "rita says so")


async def test_a_paused_soak_earns_nothing_until_it_is_resumed(world: World) -> None:
    async def resume() -> None:
        await world.signal(CommandName.RESUME, "otto")

    async def pause() -> None:
        await world.signal(CommandName.PAUSE, "otto")
        world.when("await_release_end", resume)

    world.when("earn_window", pause)
    world.approves()
    state = await world.release()
    assert state.outcome is Outcome.RELEASED
    assert soaked(state) >= 24 * HOUR + world.lane_poll - 2 * HALF
    assert state.soak is not None
    assert state.soak.elapsed == 24 * HOUR


async def test_the_evidence_has_every_window_of_its_soak(world: World) -> None:
    world.soak_windows(True, False, True)
    world.approves()
    state = await world.release()
    frozen = next(call.asked for call in world.calls if call.name == "freeze_evidence")
    asked = [call.asked for call in world.calls if call.name == "earn_window"]
    kept = frozen.soak.progress.stretches
    assert state.soak is not None
    assert kept == state.soak.stretches
    assert [one.since for one in kept] == [one.starts_at for one in asked]
    assert [one.earned for one in kept[:3]] == [HALF, HALF, HOUR]
    assert (kept[1].finding, kept[1].sentence) == ("unhealthy", "2 container restarts")


async def test_every_window_begins_where_the_last_one_ended(world: World) -> None:
    world.approves()
    await world.release()
    windows = [call.asked for call in world.calls if call.name == "earn_window"]
    assert len(windows) == 48
    for before, after in pairwise(windows):
        assert after.starts_at >= before.starts_at + before.length


BLIND = SoakWindow(length=HALF, healthy=False, unknown=HALF, sentence="no metrics of album-1")


@pytest.mark.parametrize("rule", ["pause", "credit", "reset"])
async def test_hours_of_which_nobody_knows_are_soaked_again_whatever_the_rule(
    world: World, rule: str
) -> None:
    world.request = request(plan=plan(soak={"on_unhealthy": rule}))
    world.script("earn_window", None, None, BLIND, BLIND, BLIND, BLIND)
    world.approves()
    state = await world.release()
    assert state.outcome is Outcome.RELEASED
    assert soaked(state) >= 26 * HOUR
    assert state.soak is not None
    assert (state.soak.unknown, state.soak.unhealthy) == (2 * HOUR, 0)
    assert len([text for text in world.told if BLIND.sentence in text]) == 1


async def test_a_source_of_metrics_that_is_away_for_an_hour_costs_that_hour_at_most(
    world: World,
) -> None:
    away = [TransientFailure("Prometheus does not answer", retry_after=HALF / 3)] * 6
    world.script("earn_window", None, *away)
    world.approves()
    state = await world.release()
    assert state.outcome is Outcome.RELEASED
    assert state.soak is not None
    assert (state.soak.elapsed, state.soak.unhealthy) == (24 * HOUR, 0)
    assert 24 * HOUR + HALF <= soaked(state) <= 25 * HOUR + HALF


async def test_drift_ends_the_release_however_much_was_earned(world: World) -> None:
    told = "Deployment album-1: spec.replicas is 3, the bundle says 2"
    drifted = SoakWindow(length=HALF, healthy=False, sentence=f"drift: {told}", drift=told)
    world.script("earn_window", *[None] * 40, drifted)
    state = await world.release()
    assert state.outcome is Outcome.FAILED
    assert state.sentence == f"what soaked is not the bundle any more: {told}"
    assert world.is_restored
    assert not any(call.name == "freeze_evidence" for call in world.calls)


async def test_where_the_soak_gate_only_observes_drift_is_told_and_kept_in_the_evidence(
    world: World,
) -> None:
    world.request = request(plan=plan(gates={"soak": "observe"}))
    drifted = SoakWindow(length=HALF, healthy=False, sentence="drift: x", drift="x is y")
    world.script("earn_window", drifted)
    world.approves()
    state = await world.release()
    assert state.outcome is Outcome.RELEASED
    frozen = next(call.asked for call in world.calls if call.name == "freeze_evidence")
    assert frozen.soak.progress.sentence.endswith("nothing of it counts: drift: x is y")


async def test_a_window_that_ends_with_its_last_scrape_is_continued_there(world: World) -> None:
    short = SoakWindow(length=HALF - MINUTE, healthy=True, sentence="healthy")
    world.script("earn_window", short)
    world.approves()
    state = await world.release()
    first, second = [call.asked for call in world.calls if call.name == "earn_window"][:2]
    assert second.starts_at == first.starts_at + short.length
    assert state.soak is not None
    assert (state.soak.earned, state.soak.elapsed) == (24 * HOUR, 24 * HOUR)


async def test_the_evidence_says_which_bundle_soaked(world: World) -> None:
    world.approves()
    await world.release()
    frozen = next(call.asked for call in world.calls if call.name == "freeze_evidence")
    assert frozen.soak.progress.bundle == str(frozen.target.bundle)


def unseen(what: str, why: str, length: timedelta = HALF) -> SoakWindow:
    sentence = f"{UNSEEN} {what}: {why}"
    return SoakWindow(
        length=length, healthy=False, unknown=length, sentence=sentence, finding=Finding.SILENT
    )


async def test_people_are_told_once_per_reason_that_nobody_sees_staging_and_when_that_is_over(
    world: World,
) -> None:
    source = [unseen("its requests", f"Prometheus answered {code}") for code in (503, 502, 503)]
    world.script("earn_window", None, *source, unseen("its pods", "cannot list Pod"), None, None)
    world.approves()
    state = await world.release()
    assert state.outcome is Outcome.RELEASED
    told = [line for text in world.told for line in text.splitlines() if "soak" in line]
    alerts = [line for line in told if line.startswith("alert, the soak earns nothing: ")]
    assert [line.split(": ")[1] for line in alerts] == [
        "nobody sees its requests", "nobody sees its pods",
    ]  # fmt: skip
    assert "30m of 1d healthy time earned, 30m not known" in alerts[0]
    over = [line for line in told if "it is known again how healthy staging is" in line]
    assert len(over) == 1
    assert told.index(over[0]) == told.index(alerts[-1]) + 1


async def test_what_ends_an_unknown_time_by_being_unhealthy_says_so_itself(world: World) -> None:
    world.script("earn_window", unseen("its requests", "503"), False)
    world.approves()
    await world.release()
    assert len([text for text in world.told if "soak: 2 container restarts" in text]) == 1
    assert not any("known again" in text for text in world.told)


async def test_a_source_that_is_away_until_the_deadline_closes_the_gate(world: World) -> None:
    world.request = request(plan=plan(soak={"deadline": "26h"}))
    away = unseen("its requests", "503", length=HALF + MINUTE)
    world.script("earn_window", *[away] * 60)
    state = await world.release()
    assert state.outcome is Outcome.FAILED
    assert state.sentence.startswith("soak not earned within 1d 2h: 0s of 1d healthy time earned")
    assert state.sentence.endswith("nobody sees its requests: 503")
    assert len([call for call in world.calls if call.name == "earn_window"]) == 51
    assert world.is_restored
