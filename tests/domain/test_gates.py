"""Gate modes: a plan may only tighten, and people see where a gate does not act."""

from __future__ import annotations

from itertools import product

import pytest

from domain.gates import Gate, GateMode, GateNote, Gates
from domain.journey import journey
from domain.policy import Floors, violations
from tests.support.release_records import NOON, plan, policy

ACT, ASK, OBSERVE = GateMode.ACT, GateMode.ASK, GateMode.OBSERVE
ORDER = [OBSERVE, ASK, ACT]


def test_every_gate_acts_unless_a_plan_says_otherwise() -> None:
    assert all(plan().gates.mode_of(gate) is ACT for gate in Gate)
    assert plan().gates.told == ()


@pytest.mark.parametrize(("mode", "floor"), list(product(ORDER, ORDER)))
@pytest.mark.parametrize("gate", list(Gate))
def test_a_plan_may_only_tighten_the_mode_of_each_gate(
    gate: Gate, mode: GateMode, floor: GateMode
) -> None:
    wanted = plan(gates={gate.value: mode})
    floors = Floors(gates=Gates.model_validate({gate.value: floor}))
    found = list(violations(wanted, policy(floors=floors)))
    gates = [v for v in found if v.where[0] == "gates"]
    if ORDER.index(mode) >= ORDER.index(floor):
        assert gates == []
    else:
        (one,) = gates
        assert one.where == ("gates", gate)
        assert one.what == f"{mode} is weaker than the policy's {floor}"


@pytest.mark.parametrize("mode", [ASK, OBSERVE])
def test_a_policy_that_says_nothing_wants_every_gate_to_act(mode: GateMode) -> None:
    found = list(violations(plan(gates={"canary": mode}), policy()))
    assert ("gates", "canary") in [v.where for v in found]


@pytest.mark.parametrize(
    ("gate", "titles"),
    [
        (Gate.TESTS, ["build", "staging"]),
        (Gate.SCAN, ["scan"]),
        (Gate.SOAK, ["soak"]),
        (Gate.CANARY, ["canary 10 %", "canary 50 %", "canary 100 %"]),
        (Gate.WATCH, ["watch"]),
    ],
)
def test_the_journey_shows_where_a_gate_does_not_act(gate: Gate, titles: list[str]) -> None:
    observing = plan(gates={gate.value: OBSERVE})
    steps = journey(observing, policy(), None)
    told = f"the {gate} gate only observes: it tells what it would have done"
    assert [step.title for step in steps if step.gate == told] == titles
    assert [step.title for step in steps if step.gate] == titles
    asking = journey(plan(gates={gate.value: ASK}), policy(), None)
    assert {step.gate for step in asking if step.gate} == {
        f"the {gate} gate asks: a release manager decides by promote or abort"
    }


def test_a_canary_that_is_only_observed_takes_its_deadline_and_goes_on() -> None:
    observing = journey(
        plan(gates=dict.fromkeys(("soak", "canary", "watch"), OBSERVE)), policy(), None
    )
    steps = {step.title: step for step in observing}
    deadline = plan().pace.step_deadline
    assert (steps["canary 10 %"].expected, steps["canary 10 %"].worst) == (deadline, deadline)
    for title in ("soak", "canary 50 %", "watch"):
        assert steps[title].at_worst == "goes on: its gate only observes"
    assert steps["canary pods"].at_worst == "rolls back"


def test_a_note_says_who_went_on_and_why_or_that_nobody_was_asked() -> None:
    note = GateNote(gate=Gate.SOAK, mode=OBSERVE, sentence="2 h of 24 h earned", at=NOON)
    assert note.words == "the soak gate only observes; it would have stopped: 2 h of 24 h earned"
    by_rita = note.with_(mode=ASK, by="rita", reason="staging was down")
    assert by_rita.words == (
        "the soak gate said no, rita went on: staging was down; 2 h of 24 h earned"
    )
