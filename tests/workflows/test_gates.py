"""Gates before production: a closed one ends the release and leaves everything as it was."""

from __future__ import annotations

import pytest

from domain.errors import PermanentFailure, TransientFailure
from domain.observer import Fitness, ObserverReport
from domain.phases import Outcome, Phase
from domain.plan import HOUR
from domain.steps import ScanOutcome
from tests.support.release_records import plan, request
from tests.support.release_world import STAGING, World


async def test_failing_unit_tests_end_the_release_before_anything_is_built(world: World) -> None:
    world.script("run_unit_tests", "2 of 12 unit tests failed: test_list, test_create")
    state = await world.release()
    assert (state.outcome, state.stages[-1].phase) == (Outcome.FAILED, Phase.BUILD)
    assert state.sentence == "2 of 12 unit tests failed: test_list, test_create"
    assert "build_image" not in {call.name for call in world.calls}
    assert state.rollback is None


async def test_a_builder_that_cannot_build_ends_the_release(world: World) -> None:
    world.script("build_image", PermanentFailure("Dockerfile:7: no such package"))
    state = await world.release()
    assert (state.outcome, state.sentence) == (Outcome.FAILED, "Dockerfile:7: no such package")
    assert world.is_restored


async def test_a_builder_that_recovers_is_tried_again(world: World) -> None:
    world.script("build_image", TransientFailure("the engine restarts"))
    world.approves()
    assert (await world.release()).outcome is Outcome.RELEASED


async def test_criticals_block_and_are_named(world: World) -> None:
    world.script("judge_report", ("CVE-2026-1", "CVE-2026-2"))
    state = await world.release()
    assert (state.outcome, state.stages[-1].phase) == (Outcome.FAILED, Phase.SCAN)
    assert state.sentence.endswith("blocked by CVE-2026-1, CVE-2026-2")
    assert "create in staging" not in world.steps


async def test_without_a_scan_report_the_release_holds_and_goes_on_when_one_is_found(
    world: World,
) -> None:
    world.script("judge_report", "no report", "no report", "no report", "no report")
    world.approves()
    state = await world.release()
    assert state.outcome is Outcome.RELEASED
    scan = next(stage for stage in state.stages if stage.phase is Phase.SCAN)
    assert scan.ended_at is not None
    assert scan.ended_at - scan.started_at >= 2 * HOUR
    assert len([text for text in world.told if text.startswith("holding: no scan report")]) == 1


async def test_a_report_about_something_else_holds_and_says_why(world: World) -> None:
    refused = ("scan report sha256:1 is about the directory /other, not about album",)
    world.script("judge_report", ScanOutcome(summary=None, record=None, refused=refused))
    world.approves()
    assert (await world.release()).outcome is Outcome.RELEASED
    (told,) = [text for text in world.told if text.startswith("holding: no scan report")]
    assert f"({refused[0]}); attach one" in told
    asked = [call.asked.known_refused for call in world.calls if call.name == "judge_report"]
    assert asked == [(), refused]


async def test_a_crashing_revision_in_staging_is_retired_and_nobody_was_sent_to_it(
    world: World,
) -> None:
    world.script("create_revision", "pod album-1 crashed 3 times (Error, exit code 1)")
    state = await world.release()
    assert (state.outcome, state.stages[-2].phase) == (Outcome.FAILED, Phase.STAGING)
    assert state.sentence == "pod album-1 crashed 3 times (Error, exit code 1)"
    assert world.clusters[STAGING].history == []
    assert world.is_restored


@pytest.mark.parametrize("suite", ["preview", "smoke", "critical"])
async def test_a_failing_check_in_staging_ends_the_release(world: World, suite: str) -> None:
    world.request = request(plan=plan(tests={"critical": ["/albums"]}))

    async def fail() -> None:
        world.script("check_revision", "answered 500, expected 200")

    world.when("check_revision", fail, lambda asked: asked.suite == suite)
    state = await world.release()
    assert state.outcome is Outcome.FAILED
    assert state.sentence.startswith(f"{suite}: /")
    sent_users = bool(world.clusters[STAGING].history)
    assert sent_users is (suite != "preview")
    assert world.is_restored


async def test_a_canary_that_fails_its_preview_gets_no_users(world: World) -> None:
    world.approves()

    async def fail() -> None:
        world.script("check_revision", "answered 500, expected 200")

    world.when("hold_capacity", fail)
    state = await world.release()
    assert state.outcome is Outcome.ROLLED_BACK
    assert world.weights == []
    assert world.is_restored


async def test_the_rollback_is_rehearsed_in_staging_and_its_time_is_evidence(world: World) -> None:
    world.approves()
    await world.release()
    frozen = next(call.asked for call in world.calls if call.name == "freeze_evidence")
    assert (frozen.rehearsal.tried, frozen.rehearsal.seconds) == (True, 0.8)
    assert {record.kind for record in frozen.records} == {"unit-tests", "scan"}


async def test_an_observer_that_would_judge_other_pods_closes_the_gate_before_the_first_shift(
    world: World,
) -> None:
    told = "the observer cannot judge this canary: canary's query gives series of stable's pods"
    world.script("verify_observer", ObserverReport(fitness=Fitness.unfit, sentence=told))
    world.approves()
    state = await world.release()
    assert (state.outcome, state.sentence) == (Outcome.ROLLED_BACK, told)
    assert world.weights == []
    assert "production 10 %" not in world.steps
    assert world.is_restored


async def test_a_metrics_source_that_is_silent_holds_the_canary_before_its_first_shift(
    world: World,
) -> None:
    silent = ObserverReport(fitness=Fitness.silent, sentence="Prometheus did not answer")
    world.script("verify_observer", silent, silent)
    world.approves()
    assert (await world.release()).outcome is Outcome.RELEASED
    told = [text for text in world.told if "holding: Prometheus did not answer" in text]
    assert told == ["alert, holding: Prometheus did not answer"]
    assert world.weights == [10, 50, 100]
    assert [call.name for call in world.calls].count("verify_observer") == 3
