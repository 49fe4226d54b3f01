from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.canary import judge_rules
from domain.environments import Environment
from domain.judge.rules import JudgeRules
from domain.plan import HOUR, MINUTE, Factor, PlanFile, Rehearsal, ServicePlan
from domain.records import digest_of
from domain.soak import exceeds

SECOND = timedelta(seconds=1)
MINIMAL = {
    "path": "microservices/album",
    "port": 8219,
    "image": "isa/album",
    "manifests": "deployment/k8s/overlays/{environment}",
}


def plan(**changes: Any) -> ServicePlan:
    return ServicePlan.model_validate({**MINIMAL, **changes})


def test_the_defaults_are_those_of_the_source_document() -> None:
    made = plan()
    assert made.soak.duration == 24 * HOUR
    assert made.canary.steps == (10, 50, 100)
    assert made.limits.errors == 0.01
    assert made.limits.p95 == timedelta(milliseconds=500)
    assert made.tests.coverage == 0.80
    assert [check.path for check in made.tests.smoke] == ["/health"]
    assert (made.approval.quorum, made.scan.block, made.retain) == (1, "critical", 3)
    assert made.rehearsal.is_real_time


def test_a_plan_is_the_same_after_json_and_has_the_same_hash() -> None:
    made = plan(
        tests={"unit": "pytest", "coverage": "85%", "critical": ["/api/v1/albums"]},
        rehearsal={"soak": "1h = 1s", "canary": "1m = 0.1s"},
        soak={"duration": "36h", "window": "20m"},
    )
    again = ServicePlan.model_validate_json(made.model_dump_json())
    assert again == made
    assert again.digest == made.digest
    assert plan().digest != made.digest


def test_words_of_a_newer_version_leave_a_plans_hash_and_a_changed_default_does_not() -> None:
    class Newer(ServicePlan):
        added: int = 3

    class Changed(ServicePlan):
        retain: int = 5

    stored = plan().model_dump_json()
    assert Newer.model_validate_json(stored).digest == plan().digest
    assert Changed.model_validate_json(stored).digest != plan().digest


def test_a_bundle_of_before_is_still_of_its_plan_and_not_of_another() -> None:
    class Newer(ServicePlan):
        added: int = 3

    before = digest_of(plan())
    stored = Newer.model_validate_json(plan().model_dump_json())
    assert stored.has_digest(before)
    assert stored.has_digest(plan().digest)
    assert not stored.with_(port=1).has_digest(before)
    assert not plan(retain=5).has_digest(before)


def test_the_pace_of_real_time_is_the_plans_own() -> None:
    pace = plan().pace
    assert (pace.soak, pace.soak_window) == (24 * HOUR, 30 * MINUTE)
    assert (pace.min_bake, pace.step_deadline, pace.watch) == (3 * MINUTE, 10 * MINUTE, 30 * MINUTE)


def test_a_rehearsal_clock_shortens_soak_and_canary_each_by_its_own_factor() -> None:
    pace = plan(rehearsal={"soak": "1h = 1s", "canary": "1m = 1s"}).pace
    assert (pace.soak, pace.soak_window, pace.soak_deadline) == (
        24 * SECOND,
        SECOND / 2,
        72 * SECOND,
    )
    assert (pace.min_bake, pace.step_deadline, pace.watch) == (3 * SECOND, 10 * SECOND, 30 * SECOND)
    assert pace.block == 10 * SECOND / 60


@given(
    planned=st.integers(min_value=1, max_value=10**6),
    real=st.integers(min_value=1, max_value=10**6),
)
def test_a_clock_is_read_back_as_it_was_written(planned: int, real: int) -> None:
    clock = Factor(planned=planned * SECOND, real=real * SECOND)
    made = Rehearsal.model_validate({"soak": str(clock)})
    assert made.soak == clock
    assert Rehearsal.model_validate_json(made.model_dump_json()) == made
    assert made.is_real_time == (planned == real)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"canary": {"steps": [50, 10, 100]}}, "steps must rise from above 0 to 100"),
        ({"canary": {"steps": [10, 50]}}, "steps must rise"),
        ({"canary": {"steps": [0, 100]}}, "steps must rise"),
        ({"canary": {"steps": [10, 10, 100]}}, "steps must rise"),
        ({"canary": {"steps": [50, 150]}}, "steps must rise"),
        ({"canary": {"steps": []}}, "steps must rise"),
        ({"soak": {"duration": "0h"}}, "must be longer than zero, not 0h"),
        ({"soak": {"window": "-5m"}}, "must be longer than zero, not -5m"),
        ({"limits": {"errors": 0.01, "p95": "fast"}}, "'fast' is not a duration"),
        ({"limits": {"errors": "1"}}, "write a percentage"),
        ({"rehearsal": {"soak": "fast"}}, "is not a clock; write for example 1h = 1s"),
        ({"rehearsal": {"soak": "0h = 1s"}}, "must be longer than zero"),
        ({"build": {"builder": "assemble"}}, "needs `base`, an image by digest"),
        ({"build": {"builder": "assemble", "base": "python:3"}}, "needs `base`"),
        ({"port": 0}, "port"),
        ({"image": "isa/album@sha256:1"}, "image"),
        ({"tests": {"smoke": ["health"]}}, "smoke"),
        ({"soak": {"durations": "1h"}}, "durations"),
        ({"retain": 0}, "retain"),
        ({"limits": {"errors": "0%"}}, "must be above 0% and below 100%, not 0%"),
        ({"limits": {"errors": "100%"}}, "write for example 99%"),
        ({"limits": {"errors": "99.9999999%"}}, "must be above 0% and below 100%, not 100%"),
        ({"tests": {"smoke": []}}, "smoke"),
        ({"canary": {"deadline": "2m"}}, "2m is shorter than min_bake (3m)"),
        ({"canary": {"min_bake": "11m"}}, "10m is shorter than min_bake (11m)"),
        ({"soak": {"duration": "73h"}}, "3d is shorter than duration (3d 1h)"),
        ({"soak": {"deadline": "400d"}}, "must be at most 366d, not 400d"),
        ({"rehearsal": {"canary": "1h = 1ms"}}, "the clock makes min bake last"),
        ({"rehearsal": {"soak": "1ms = 300d"}}, "the clock makes wait last"),
        ({"rehearsal": {"soak": {"planned": 3600, "real": 0}}}, "is not a clock"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(changes: Any, why: str) -> None:
    with pytest.raises(ValidationError) as refused:
        plan(**changes)
    assert why in str(refused.value)


LENGTHS = st.sampled_from(
    ["0s", "0.001ms", "1ms", "10s", "50s", "3m", "10m", "30m", "24h", "72h", "366d", "999999d"]
)
SHARES = st.one_of(
    st.sampled_from(["0%", "0.00000001%", "0.5%", "1%", "99.99999%", "100%"]),
    st.decimals(0, 1, allow_nan=False, places=12).map("{:f}%".format),
)
CLOCKS = st.builds("{} = {}".format, LENGTHS, LENGTHS)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A section of a plan with any of these keys."""
    return st.fixed_dictionaries({}, optional=fields)


ANYBODYS_PLAN = some(
    limits=some(errors=SHARES, p95=LENGTHS),
    rehearsal=some(soak=CLOCKS, canary=CLOCKS),
    canary=some(
        steps=st.sets(st.integers(0, 101), min_size=3).map(sorted)
        | st.sets(st.integers(1, 99), min_size=2).map(lambda steps: [*sorted(steps), 100]),
        min_bake=LENGTHS,
        deadline=LENGTHS,
        block=LENGTHS,
        watch=LENGTHS,
        extensions=st.integers(-1, 21),
        min_requests=st.integers(0, 10**7),
        on_quiet=st.sampled_from(["advance", "hold", "synthetic"]),
        promote=st.sampled_from(["any", "relative"]),
    ),
)


@given(written=ANYBODYS_PLAN, has_stable=st.booleans())
@settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
def test_every_plan_that_is_accepted_can_be_judged_at_every_step_and_in_the_watch(
    written: dict[str, Any], has_stable: bool
) -> None:
    try:
        accepted = plan(**written)
    except ValidationError:
        reject()
    # The way it reaches the workflow.
    travelled = ServicePlan.model_validate_json(accepted.model_dump_json())
    assert digest_of(travelled) == digest_of(accepted)
    assert exceeds(10, 10, travelled.limits.errors) in (True, False)
    for weight in (*travelled.canary.steps, 100):
        rules = judge_rules(travelled, weight, has_stable=has_stable)
        assert JudgeRules.model_validate_json(rules.model_dump_json()) == rules
        assert rules.min_bake <= rules.deadline <= rules.last_deadline


def test_a_single_step_is_blue_green() -> None:
    assert plan(canary={"steps": [100]}).canary.steps == (100,)


def test_manifests_are_found_by_environment() -> None:
    assert plan().manifests_of(Environment.STAGING) == "deployment/k8s/overlays/staging"


def test_a_file_names_its_services_as_kubernetes_names_objects() -> None:
    PlanFile.model_validate({"services": {"album-2": MINIMAL}})
    for name in ("Album", "2album", "album_2", "a" * 41, "album-"):
        with pytest.raises(ValidationError):
            PlanFile.model_validate({"services": {name: MINIMAL}})
