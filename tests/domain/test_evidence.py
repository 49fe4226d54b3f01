"""Evidence: an approval is about exactly these inputs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from domain.environments import Environment
from domain.evidence import Evidence, Inputs, last_use, shortfall, void
from domain.policy import Floors
from domain.records import digest_of
from domain.release import RollbackRehearsal
from domain.soak import SoakProgress, SoakRecord
from tests.support.release_records import (
    NOON,
    accepted,
    bundle,
    change,
    plan,
    policy,
    record,
    request,
    stable,
)

OLD = stable(Environment.PRODUCTION)


def evidence(**changes: Any) -> Evidence:
    known = Evidence(
        release_id=request().release_id,
        service="album",
        bundle=bundle("c"),
        image="registry.example/album@" + digest_of("image"),
        plan_hash=plan().digest,
        policy_version="p" * 40,
        change=change(),
        stable=OLD,
        config_diff=(),
        records=(record("unit-tests"), record("scan")),
        soak=SoakRecord(plan=plan().soak, progress=SoakProgress(goal=plan().soak.duration)),
        rehearsal=RollbackRehearsal(tried=True, seconds=0.8, sentence="rehearsed"),
        opened_at=NOON,
        expires_at=NOON + timedelta(hours=24),
    )
    return known.with_(**changes)


def inputs(**changes: Any) -> Inputs:
    now = Inputs(
        bundle=bundle("c"),
        plan_hash=plan().digest,
        policy_version="p" * 40,
        stable=OLD.bundle,
    )
    return now.with_(**changes)


def test_an_approval_counts_while_nothing_changed() -> None:
    assert void(evidence(), inputs(), NOON) is None


def test_evidence_that_expired_is_void_whatever_else_holds() -> None:
    end = NOON + timedelta(hours=24)
    assert void(evidence(), inputs(), end) is None
    why = void(evidence(), inputs(), end + timedelta(seconds=1))
    assert why == f"the evidence expired at {end:%F %T %Z}"


@pytest.mark.parametrize(
    ("what", "now"),
    [
        ("the bundle", inputs(bundle=bundle("d"))),
        ("the plan", inputs(plan_hash=digest_of("another plan"))),
        ("the organisation policy", inputs(policy_version="q" * 40)),
        ("the stable revision", inputs(stable=str(bundle("e")))),
        ("the stable revision", inputs(stable=None)),
    ],
)
def test_each_changed_input_voids_the_approval_and_is_named(what: str, now: Inputs) -> None:
    why = void(evidence(), now, NOON)
    assert why is not None
    assert why.startswith(f"{what} changed after the evidence was frozen (")


def test_a_stable_that_appears_voids_the_approval_of_a_first_release() -> None:
    first = evidence(stable=None)
    assert void(first, inputs(stable=None), NOON) is None
    assert void(first, inputs(), NOON) is not None


def test_more_pods_of_the_same_stable_void_nothing() -> None:
    scaled = evidence(stable=OLD.with_(ready_pods=40, min_replicas=30))
    assert void(scaled, inputs(), NOON) is None


@pytest.mark.parametrize(
    ("by_plan", "by_policy", "people", "missing"),
    [
        (1, 0, (), 1),
        (1, 1, ("ann",), 0),
        (2, 1, ("ann", "ann"), 1),
        (1, 2, ("ann",), 1),
        (2, 2, ("ann", "paul"), 0),
        (0, 0, (), 0),
    ],
)
def test_the_quorum_is_the_stricter_of_plan_and_policy_and_counts_people(
    by_plan: int, by_policy: int, people: tuple[str, ...], missing: int
) -> None:
    rules = policy(floors=Floors(quorum=by_policy))
    told = shortfall(
        tuple(accepted("approve", who) for who in people),
        rules,
        plan(approval={"quorum": by_plan}),
    )
    wanted = max(by_plan, by_policy)
    assert told == (f"{missing} more approval(s) of {wanted} needed" if missing else "")


def test_a_rejection_is_no_approval() -> None:
    told = shortfall((accepted("reject", "ann"),), policy(), plan())
    assert told == "1 more approval(s) of 1 needed"


def test_an_approval_carries_writes_until_its_expiry_and_the_longest_canary_after_it() -> None:
    # three steps of 10 min, extended three times each, a watch of 30 min, and an hour to spare
    longest = timedelta(minutes=3 * 10 * 4 + 30 + 60)
    assert last_use(evidence(), plan()) == NOON + timedelta(hours=24) + longest
