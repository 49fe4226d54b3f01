from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from domain.plan import ServicePlan
from domain.policy import Floors, Person, Policy, Role, violations

MINIMAL = {"path": ".", "port": 80, "image": "isa/album", "manifests": "."}
FLOORS = Floors.model_validate(
    {
        "soak": "24h",
        "quorum": 2,
        "first_step": 10,
        "steps": 3,
        "min_bake": "3m",
        "deadline": "10m",
        "min_requests": 20,
        "watch": "30m",
        "coverage": "80%",
        "errors": "1%",
        "p95": "500ms",
        "scan": "high",
        "approval_expires": "24h",
    }
)
AT_THE_FLOORS: dict[str, Any] = {
    **MINIMAL,
    "soak": {"duration": "24h"},
    "approval": {"quorum": 2, "expires": "24h"},
    "canary": {
        "steps": [10, 50, 100],
        "min_bake": "3m",
        "deadline": "10m",
        "min_requests": 20,
        "watch": "30m",
    },
    "tests": {"unit": "make test", "coverage": "80%"},
    "limits": {"errors": "1%", "p95": "500ms"},
    "scan": {"block": "high"},
}


def found(changes: dict[str, Any], policy: Policy | None = None) -> list[tuple[str, str]]:
    plan = ServicePlan.model_validate(
        {
            key: {**part, **changes.get(key, {})} if isinstance(part, dict) else part
            for key, part in {"rehearsal": {}, **AT_THE_FLOORS}.items()
        }
    )
    policy = policy or Policy(floors=FLOORS)
    return [(".".join(one.where), one.what) for one in violations(plan, policy)]


def test_a_plan_at_the_floors_may_be_released() -> None:
    assert found({}) == []


@pytest.mark.parametrize(
    ("changes", "where", "what"),
    [
        ({"soak": {"duration": "23h"}}, "soak.duration", "23h is below the policy's floor of 1d"),
        ({"approval": {"quorum": 1}}, "approval.quorum", "1 is below the policy's floor of 2"),
        (
            {"approval": {"expires": "25h"}},
            "approval.expires",
            "1d 1h is above the policy's limit of 1d",
        ),
        (
            {"canary": {"steps": [11, 50, 100]}},
            "canary.steps",
            "11% is above the policy's limit of 10%",
        ),
        ({"canary": {"steps": [10, 100]}}, "canary.steps", "has 2 steps, the policy wants 3"),
        ({"canary": {"min_bake": "2m"}}, "canary.min_bake", "2m is below the policy's floor of 3m"),
        (
            {"canary": {"deadline": "9m"}},
            "canary.deadline",
            "9m is below the policy's floor of 10m",
        ),
        (
            {"canary": {"min_requests": 1}},
            "canary.min_requests",
            "1 is below the policy's floor of 20",
        ),
        ({"canary": {"alpha": "0.1%"}}, "canary.alpha", "0.1% is below the policy's floor of 1%"),
        ({"canary": {"beta": "6%"}}, "canary.beta", "6% is above the policy's limit of 5%"),
        (
            {"canary": {"tolerance": 1.2}},
            "canary.tolerance",
            "1.2 is above the policy's limit of 1.1",
        ),
        ({"canary": {"warm_up": "6m"}}, "canary.warm_up", "6m is above the policy's limit of 5m"),
        (
            {"canary": {"floors": {"slow": "0.2%"}}},
            "canary.floors.slow",
            "0.2% is above the policy's limit of 0.1%",
        ),
        (
            {"tests": {"unit": None}},
            "tests.unit",
            "is missing: the policy's floor of 80% coverage needs a command that runs the unit "
            "tests",
        ),
        ({"canary": {"watch": "1m"}}, "canary.watch", "1m is below the policy's floor of 30m"),
        (
            {"tests": {"coverage": "79%"}},
            "tests.coverage",
            "79% is below the policy's floor of 80%",
        ),
        ({"limits": {"errors": "2%"}}, "limits.errors", "2% is above the policy's limit of 1%"),
        ({"limits": {"p95": "1s"}}, "limits.p95", "1s is above the policy's limit of 0.5s"),
        ({"scan": {"block": "critical"}}, "scan.block", "must be high by the policy"),
        (
            {"rehearsal": {"soak": "1h = 1s"}},
            "rehearsal",
            "a rehearsal clock shortens waits, and the policy says rehearsal: false",
        ),
    ],
)
def test_a_plan_below_a_floor_is_named(changes: dict[str, Any], where: str, what: str) -> None:
    assert found(changes) == [(where, what)]


def test_everything_that_is_too_loose_is_told_at_once() -> None:
    changes = {
        "soak": {"duration": "1h"},
        "canary": {"steps": [100]},
        "scan": {"block": "critical"},
    }
    assert [where for where, _ in found(changes)] == [
        "soak.duration",
        "scan.block",
        "canary.steps",
        "canary.steps",
    ]


def test_tightening_is_always_allowed() -> None:
    tighter = {
        "soak": {"duration": "48h"},
        "approval": {"quorum": 3, "expires": "1h"},
        "canary": {
            "steps": [1, 5, 25, 100],
            "min_bake": "10m",
            "deadline": "1h",
            "min_requests": 100,
            "watch": "2h",
        },
        "tests": {"coverage": "95%"},
        "limits": {"errors": "0.1%", "p95": "100ms"},
    }
    assert found(tighter) == []


def test_a_rehearsal_is_allowed_where_the_policy_says_so() -> None:
    allowed = Policy(floors=FLOORS, rehearsal=True)
    assert found({"rehearsal": {"canary": "1m = 1s"}}, allowed) == []


def test_the_policys_own_defaults_are_the_source_documents() -> None:
    plan = ServicePlan.model_validate({**MINIMAL, "tests": {"unit": "make test"}})
    assert list(violations(plan, Policy())) == []


def test_a_short_deadline_is_no_way_around_the_floor_of_min_bake() -> None:
    short = {"deadline": "50s", "extensions": 0, "min_requests": 1}
    with pytest.raises(ValidationError, match=r"50s is shorter than min_bake \(3m\)"):
        found({"canary": short})
    assert [where for where, _ in found({"canary": {**short, "min_bake": "50s"}})] == [
        "canary.min_bake",
        "canary.deadline",
        "canary.min_requests",
    ]


def test_without_a_floor_of_coverage_unit_tests_may_be_left_out() -> None:
    free = Policy(floors=FLOORS.with_(coverage=0.0))
    assert found({"tests": {"unit": None}}, free) == []


ANN = Person(principal="ann", emails=("Ann@isa.example",), keys=("k1",), roles=(Role.APPROVER,))
BEN = Person(principal="ben", emails=("ben@isa.example",), keys=("k2",), roles=(Role.OPERATOR,))


def test_people_are_found_by_name_role_and_address_in_any_case() -> None:
    policy = Policy(people=(ANN, BEN))
    assert policy.person("ann") == ANN
    assert policy.person("nobody") is None
    assert policy.holders(Role.APPROVER) == (ANN,)
    assert policy.principal_of("aNN@ISA.example") == "ann"
    assert policy.principal_of("eve@isa.example") is None
    assert policy.unknown(("ann@isa.example", "eve@isa.example")) == ("eve@isa.example",)


@pytest.mark.parametrize(
    ("shared", "what"),
    [
        ({"principal": "ann"}, "principal ann belongs to two people"),
        ({"emails": ("Ann@isa.example",)}, "email Ann@isa.example belongs to two people"),
        ({"keys": ("k1",)}, "key k1 belongs to two people"),
    ],
)
def test_nothing_of_a_person_belongs_to_two(shared: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        Policy(people=(ANN, BEN.with_(**shared)))


def test_an_address_in_another_case_is_the_same_address() -> None:
    with pytest.raises(ValidationError, match="belongs to two people"):
        Policy(people=(ANN, BEN.with_(emails=("ann@isa.example",))))


def test_a_key_with_another_comment_is_the_same_key() -> None:
    line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJcoPuBEarYfnR28xLcDQ5vNEg8i0TDuDBBgsm3QXk7+"
    with pytest.raises(ValidationError, match="belongs to two people"):
        Policy(
            people=(
                ANN.with_(keys=(f"{line} ann@laptop",)),
                BEN.with_(keys=(f"{line} ben@laptop",)),
            )
        )
