import json
from datetime import timedelta
from typing import Any

import pytest

from clients.plan_file import PlanProblems, load_plans, plan_of
from clients.plan_schema import schema
from clients.yaml_lines import read_yaml
from domain.environments import Environment
from domain.errors import PermanentFailure
from domain.plan import ServicePlan
from domain.policy import Policy

POLICY = Policy(defaults={"tests": {"unit": "make test"}})
FREE = POLICY.with_(rehearsal=True)
MINIMAL = """\
version: 1
services:
  album:
    path: microservices/album
    port: 8219
    image: registry.example/isa/album
    manifests: deployment/k8s/overlays/{environment}
"""


def problems(text: str, policy: Policy | None = POLICY) -> list[str]:
    """Every line of the message about a plan, none when it is good."""
    try:
        load_plans(text.encode(), "tidegate.yaml", policy)
    except PlanProblems as refused:
        return str(refused).splitlines()
    return []


def only_problem(added: str, policy: Policy | None = POLICY) -> str:
    """The only problem of the minimal plan with lines added to album (from line 8 on)."""
    lines = "".join(f"    {line}\n" for line in added.splitlines())
    (problem,) = problems(MINIMAL + lines, policy)
    return problem


def test_seven_lines_are_a_whole_plan_with_healthy_defaults() -> None:
    assert len(MINIMAL.splitlines()) <= 10
    plan = load_plans(MINIMAL.encode(), "tidegate.yaml", POLICY)["album"]
    assert plan.soak.duration == timedelta(hours=24)
    assert plan.canary.steps == (10, 50, 100)
    assert plan.limits.errors == 0.01
    assert plan.limits.p95 == timedelta(milliseconds=500)
    assert plan.tests.coverage == 0.8
    assert plan.manifests_of(Environment.STAGING) == "deployment/k8s/overlays/staging"


def test_five_errors_are_five_lines_with_their_place_and_the_nearest_name() -> None:
    text = """\
version: 1
services:
  album:
    path: microservices/album
    port: eight
    image: registry.example/isa/album
    manifests: deployment/k8s/overlays/{environment}
    sok:
      duration: 24h
    canary:
      steps: [10, 5, 100]
      on_quiet: advanse
    approval:
      quorum: 0
"""
    assert problems(text) == [
        "tidegate.yaml:5: services.album.port: must be a whole number, not 'eight'",
        "tidegate.yaml:8: services.album.sok: unknown key; did you mean `soak`?",
        "tidegate.yaml:11: services.album.canary.steps: steps must rise from above 0 to 100, "
        "for example [10, 50, 100], not [10, 5, 100]",
        "tidegate.yaml:12: services.album.canary.on_quiet: must be one of advance, hold, "
        "synthetic, not 'advanse'; did you mean `advance`?",
        "tidegate.yaml:14: services.album.approval.quorum: 0 is below the policy's floor of 1",
    ]


@pytest.mark.parametrize(
    "steps", ["[10, 50]", "[0, 100]", "[50, 10, 100]", "[10, 10, 100]", "[]", "[10, 50, 110]"]
)
def test_weights_that_do_not_rise_to_100_are_refused_at_their_line(steps: str) -> None:
    said = only_problem(f"canary:\n  steps: {steps}")
    assert said.startswith("tidegate.yaml:9: services.album.canary.steps: steps must rise")
    assert said.endswith(f"not {steps}")


@pytest.mark.parametrize("duration", ["0s", "-5m", "0h 0m", "PT0S"])
def test_a_duration_of_zero_or_less_is_refused(duration: str) -> None:
    said = only_problem(f"soak:\n  window: {duration}")
    assert said == (
        f"tidegate.yaml:9: services.album.soak.window: must be longer than zero, not {duration}"
    )


@pytest.mark.parametrize(
    ("added", "line", "words"),
    [
        ("soak:\n  duration: 23h", 9, "soak.duration: 23h is below the policy's floor of 1d"),
        ("approval:\n  quorum: 0", 9, "approval.quorum: 0 is below the policy's floor of 1"),
        ("approval:\n  expires: 2d", 9, "approval.expires: 2d is above the policy's limit of 1d"),
        ("canary:\n  steps: [20, 50, 100]", 9, "canary.steps: 20% is above the policy's limit"),
        ("canary:\n  steps: [10, 100]", 9, "canary.steps: has 2 steps, the policy wants 3"),
        ("canary:\n  min_bake: 1m", 9, "canary.min_bake: 1m is below the policy's floor of 3m"),
        ("canary:\n  min_requests: 1", 9, "canary.min_requests: 1 is below the policy's floor of"),
        ("canary:\n  deadline: 9m", 9, "canary.deadline: 9m is below the policy's floor of 10m"),
        ("canary:\n  watch: 1m", 9, "canary.watch: 1m is below the policy's floor of 30m"),
        ("canary:\n  beta: 6%", 9, "canary.beta: 6% is above the policy's limit of 5%"),
        (
            "canary:\n  floors:\n    errors: 2%",
            10,
            "canary.floors.errors: 2% is above the policy's limit of 0.1%",
        ),
        ("tests:\n  coverage: 79%", 9, "tests.coverage: 79% is below the policy's floor of 80%"),
        ("limits:\n  errors: 2%", 9, "limits.errors: 2% is above the policy's limit of 1%"),
        ("limits:\n  p95: 1s", 9, "limits.p95: 1s is above the policy's limit of 0.5s"),
        ("rehearsal:\n  soak: 1h = 1s", 8, "rehearsal: a rehearsal clock shortens waits"),
    ],
)
def test_a_plan_below_a_floor_of_the_policy_is_refused(added: str, line: int, words: str) -> None:
    said = only_problem(added)
    assert said.startswith(f"tidegate.yaml:{line}: services.album.{words}")


def test_a_scan_looser_than_the_policy_is_refused() -> None:
    strict = POLICY.with_(floors=POLICY.floors.with_(scan="high"))
    said = only_problem("scan:\n  block: critical", strict)
    assert said == "tidegate.yaml:9: services.album.scan.block: must be high by the policy"


def test_a_rehearsal_clock_is_good_where_the_policy_allows_it() -> None:
    text = MINIMAL + "    rehearsal: {soak: 1h = 1s, canary: 1m = 1s}\n"
    plan = load_plans(text.encode(), "tidegate.yaml", FREE)["album"]
    assert plan.pace.soak == timedelta(seconds=24)
    assert plan.pace.min_bake == timedelta(seconds=3)


def test_a_floor_of_coverage_asks_for_unit_tests() -> None:
    assert problems(MINIMAL, Policy()) == [
        "tidegate.yaml:3: services.album.tests.unit: is missing: the policy's floor of 80% "
        "coverage needs a command that runs the unit tests (by default)"
    ]


def test_without_a_policy_no_floor_holds() -> None:
    assert problems(MINIMAL + "    soak: {duration: 1h}\n", None) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("services: [", "1: is not valid YAML: expected the node content"),
        ("services:\n  album:\n\tport: 1\n", "3: is not valid YAML: indent with spaces"),
        ("services:\n  a: {b: 1\n", "3: is not valid YAML: expected ',' or '}'"),
        ("a: 1\n---\nb: 2\n", "2: is not valid YAML: but found another document"),
        ("a: *nowhere\n", "1: is not valid YAML: found undefined alias 'nowhere'"),
        ("", "1: is empty; it needs `services`"),
        ("# nothing\n", "1: is empty; it needs `services`"),
        ("- album\n", "1: is not a mapping of keys; it needs `services`"),
        ("services:\n", "1: services: is empty; it needs a plan for each service"),
        ("services: {}\n", "1: services: is empty; it needs a plan for each service"),
        ("version: 1\n", "1: `services` is missing"),
        ("services: 5\n", "1: services: must hold keys, not 5"),
        ("services:\n  album: 5\n", "2: services.album: must hold keys, not 5"),
        ("a: \x07\n", "1: holds the control character '\\x07'"),
        ("a: &x [*x]\n", "1: is not valid YAML: it unfolds into too many values"),
        ("[" * 3000, "1: is nested too deeply"),
    ],
)
def test_malformed_yaml_is_one_problem_with_its_line(text: str, said: str) -> None:
    (problem,) = problems(text)
    assert problem.startswith(f"tidegate.yaml:{said}")


def test_bytes_that_are_no_text_are_a_problem_with_their_line() -> None:
    with pytest.raises(PlanProblems, match=r"t\.yaml:2: is not UTF-8 text"):
        load_plans(b"services:\n  a: \xff\n", "t.yaml", POLICY)


def test_aliases_that_unfold_without_end_are_refused() -> None:
    text = "a0: &a0 [x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]\n" for n in range(1, 12)
    )
    (problem,) = problems(text)
    assert problem.endswith("it unfolds into too many values")


def test_a_key_that_is_there_twice_names_both_lines() -> None:
    text = MINIMAL + "    port: 9000\n"
    assert problems(text) == ["tidegate.yaml:8: key `port` is there twice; it is also on line 5"]


def test_a_tag_that_would_make_an_object_is_refused() -> None:
    text = MINIMAL + "    container: !!python/object/apply:os.system [id]\n"
    assert problems(text) == [
        "tidegate.yaml:8: the tag !!python/object/apply:os.system is not allowed; "
        "write plain values"
    ]


def test_words_that_other_readers_take_for_booleans_times_and_dates_are_text() -> None:
    text = "a: on\nb: no\nc: 12:30\nd: 2026-01-01\ne: 1_000\nno: y\nf: true\ng: 0o17\nh: 1e3\n"
    assert read_yaml(text.encode(), "x").data == {
        "a": "on",
        "b": "no",
        "c": "12:30",
        "d": "2026-01-01",
        "e": "1_000",
        "no": "y",
        "f": True,
        "g": 15,
        "h": 1000.0,
    }


def test_anchors_and_merge_keys_keep_their_lines() -> None:
    text = """\
services:
  album: &album
    path: microservices/album
    port: 0
    image: registry.example/isa/album
    manifests: deployment/{environment}
  user:
    <<: *album
    path: microservices/user
    port: 70000
"""
    assert problems(text) == [
        "tidegate.yaml:4: services.album.port: must be at least 1, not 0",
        "tidegate.yaml:10: services.user.port: must be at most 65535, not 70000",
    ]


def test_the_service_wins_over_the_file_and_the_file_over_the_policy() -> None:
    policy = FREE.with_(
        defaults={"retain": 5, "canary": {"extensions": 1, "block": "20s"}, "tests": {"unit": "a"}}
    )
    text = """\
defaults:
  canary: {block: 15s, min_requests: 50}
  tests: {smoke: [/health, /ready]}
services:
  album:
    path: microservices/album
    port: 8219
    image: registry.example/isa/album
    manifests: deployment/{environment}
    canary: {min_requests: 99}
    tests: {smoke: [/live]}
"""
    plan = load_plans(text.encode(), "tidegate.yaml", policy)["album"]
    assert plan.retain == 5
    assert plan.canary.extensions == 1
    assert plan.canary.block == timedelta(seconds=15)
    assert plan.canary.min_requests == 99
    assert [check.path for check in plan.tests.smoke] == ["/live"]
    assert plan.tests.unit == "a"


def test_a_mistake_in_the_defaults_is_told_once_at_its_own_line() -> None:
    text = """\
defaults:
  soak:
    duration: 1h
  limts: {}
services:
  album: {path: a, port: 1, image: a, manifests: m}
  user: {path: a, port: 1, image: a, manifests: m, soak: {duration: 2h}}
"""
    assert problems(text) == [
        "tidegate.yaml:3: defaults.soak.duration: 1h is below the policy's floor of 1d",
        "tidegate.yaml:4: defaults.limts: unknown key; did you mean `limits`?",
        "tidegate.yaml:7: services.user.soak.duration: 2h is below the policy's floor of 1d",
    ]


def test_a_default_below_the_floor_is_told_at_the_service_that_does_not_set_it() -> None:
    strict = POLICY.with_(floors=POLICY.floors.with_(quorum=2))
    assert problems(MINIMAL, strict) == [
        "tidegate.yaml:3: services.album.approval.quorum: "
        "1 is below the policy's floor of 2 (by default)"
    ]


@pytest.mark.parametrize(
    ("added", "said"),
    [
        ("retain: 2.5", "8: services.album.retain: must be a whole number, not 2.5"),
        ("container: 5", "8: services.album.container: must be text, not 5; put it in quotes"),
        ("soak: 24h", "8: services.album.soak: must hold keys, not '24h'"),
        ("soak:", "8: services.album.soak: must hold keys, not nothing"),
        ("soak: {window: 30}", "8: services.album.soak.window: write a duration with its unit"),
        ("soak: {window: soon}", "8: services.album.soak.window: 'soon' is not a duration"),
        ("limits: {errors: 1}", "8: services.album.limits.errors: 1 is not a share"),
        ("rehearsal: {soak: fast}", "8: services.album.rehearsal.soak: 'fast' is not a clock"),
        ("tests: {smoke: /health}", "8: services.album.tests.smoke: must be a list, not '/health'"),
        (
            "tests:\n  smoke:\n    - /health\n    - health",
            "11: services.album.tests.smoke[1].path: must begin with /, not 'health'",
        ),
        ("tests:\n  smoke:\n    - {}", "10: services.album.tests.smoke[0]: `path` is missing"),
        (
            "tests:\n  smoke:\n    - path: /\n      statos: 200",
            "11: services.album.tests.smoke[0].statos: unknown key; did you mean `status`?",
        ),
        ("tests: {smoke: []}", "8: services.album.tests.smoke: must hold at least one check"),
        (
            "limits:\n  errors: 0%",
            "9: services.album.limits.errors: must be above 0% and below 100%, not 0%: no number "
            "of requests can prove it; write for example 0.1%",
        ),
        ("limits: {errors: 100%}", "8: services.album.limits.errors: must be above 0% and below"),
        (
            "canary:\n  steps: [10, 50, 100]\n  deadline: 50s",
            "10: services.album.canary.deadline: 50s is shorter than min_bake (3m); "
            "make deadline at least as long",
        ),
        (
            "soak:\n  duration: 24h\n  deadline: 1h",
            "10: services.album.soak.deadline: 1h is shorter than duration (1d)",
        ),
        ("soak: {duration: 400d}", "8: services.album.soak.duration: must be at most 366d, not"),
        (
            "rehearsal:\n  soak: 1h = 1s\n  canary: 1000000h = 1s",
            "8: services.album.rehearsal: the clock makes min bake last 0s; it must be from 1ms",
        ),
        (
            "build:\n  builder: assemble",
            "9: services.album.build.builder: the assemble builder needs `base`",
        ),
        (
            "canary: {on_quiet: synthetic}",
            "8: services.album.canary.on_quiet: synthetic needs `load`, for example load: {path:",
        ),
        (
            "scan: {xyzzy: 1}",
            "8: services.album.scan.xyzzy: unknown key; there is block",
        ),
    ],
)
def test_a_wrong_value_is_told_in_plain_words(added: str, said: str) -> None:
    assert only_problem(added, FREE).startswith(f"tidegate.yaml:{said}")


def test_keys_that_every_service_needs_are_missed_by_name_and_do_not_hide_the_rest() -> None:
    assert problems("services:\n  album:\n    port: 1\n    soak: {duration: 1h}\n") == [
        "tidegate.yaml:2: services.album: `image` is missing",
        "tidegate.yaml:2: services.album: `manifests` is missing",
        "tidegate.yaml:2: services.album: `path` is missing",
        "tidegate.yaml:4: services.album.soak.duration: 1h is below the policy's floor of 1d",
    ]


@pytest.mark.parametrize("name", ["Album", "al_bum", "-album", "a" * 41])
def test_a_service_needs_a_name_that_can_be_part_of_an_objects_name(name: str) -> None:
    (problem,) = problems(MINIMAL.replace("album:", f"{name}:", 1))
    assert "3: services." in problem
    assert "must be small letters, digits and dashes" in problem


def test_a_plan_of_a_later_version_is_refused() -> None:
    (problem,) = problems(MINIMAL.replace("version: 1", "version: 2"))
    assert problem == "tidegate.yaml:1: version: must be one of 1, not 2"


def test_an_unknown_service_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(PlanProblems, match=r"there is no service 'albun'; did you mean `album`\?"):
        plan_of(MINIMAL.encode(), "tidegate.yaml", "albun", POLICY)
    with pytest.raises(PlanProblems, match="there is no service 'zzz'; there is album"):
        plan_of(MINIMAL.encode(), "tidegate.yaml", "zzz", POLICY)


def test_a_mistake_in_another_service_does_not_stop_this_one() -> None:
    text = MINIMAL + "  user: {port: none}\n"
    assert isinstance(plan_of(text.encode(), "tidegate.yaml", "album", POLICY), ServicePlan)
    with pytest.raises(PermanentFailure, match=r"services\.user\.port: must be a whole number"):
        plan_of(text.encode(), "tidegate.yaml", "user", POLICY)


def test_the_schema_lets_defaults_supply_what_a_service_requires() -> None:
    described = schema()
    json.dumps(described)
    definitions: dict[str, Any] = described["$defs"]
    service, shared = definitions["ServicePlan"], definitions["SharedDefaults"]
    assert service["properties"] == shared["properties"]
    assert "required" not in service
    assert "required" not in shared
    assert shared["additionalProperties"] is False
    rules = [rule["if"]["properties"]["defaults"]["required"] for rule in described["allOf"]]
    assert sorted(rules) == [["image"], ["manifests"], ["path"], ["port"]]


def test_the_schema_shows_defaults_as_people_write_them() -> None:
    definitions = schema()["$defs"]
    assert definitions["SoakPlan"]["properties"]["duration"]["default"] == "1d"
    assert definitions["Limits"]["properties"]["errors"]["default"] == "1%"
    assert definitions["HttpCheck"]["anyOf"][0]["type"] == "string"
