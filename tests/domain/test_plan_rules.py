"""What an observation may ask: the plan's rules, and what differs from them for a reason."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from domain.canary import judge_rules, known_of_stable
from domain.environments import Environment
from domain.judge.known import LastKnown
from domain.judge.rules import Control, JudgeRules, OnQuiet, PromoteBy, Stakes
from domain.judge.state import JudgeState, observe, start
from domain.load import lasts, rules_under_load
from domain.metrics.plan import MetricsPlan
from domain.plan import ServicePlan
from domain.plan_rules import BEGUN_BEFORE, raised_bars, unheard_of, unplanned
from domain.steps import ObserveStep, RevisionRequest
from tests.support.judge_streams import SINCE, counts
from tests.support.judge_streams import block as one_block
from tests.support.release_records import bundle, plan, stable

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
LOADED = {"on_quiet": "synthetic", "load": {"path": "/api", "rate": 1}}


def asked(
    weight: int = 10, said: ServicePlan | None = None, *, first: bool = False, **rules: Any
) -> ObserveStep:
    """What the workflow asks by this plan, with some rules changed."""
    followed = said or plan()
    own = judge_rules(followed, weight, has_stable=not first)
    target = RevisionRequest(
        release_id="album-1",
        environment=Environment.PRODUCTION,
        service="album",
        bundle=bundle("c" * 40),
        stable=None if first else stable(Environment.PRODUCTION),
    )
    return ObserveStep(
        target=target,
        weight=weight,
        rules=own.model_copy(update=rules),
        since=SINCE,
        ends_at=SINCE + HOUR,
        block=followed.pace.block,
        slow_above=followed.limits.p95,
        metrics=followed.metrics,
        state=None,
    )


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("weight", [10, 50, 100])
@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"canary": {"alpha": "0.3%", "floors": {"slow": "0.1%"}, "steps": [7, 10, 50, 100]}},
        {"limits": {"errors": "0.7%", "p95": "137ms"}, "metrics": {"template": "istio"}},
        {"rehearsal": {"soak": "1h = 200ms", "canary": "10m = 300ms"}},
    ],
)
def test_what_the_workflow_asks_is_what_the_plan_in_the_bundle_says(
    weight: int, first: bool, sections: dict[str, Any]
) -> None:
    """The one has travelled through Temporal, the other through the registry."""
    said = plan(**sections)
    stored = ServicePlan.model_validate_json(said.model_dump_json())
    step = ObserveStep.model_validate_json(asked(weight, said, first=first).model_dump_json())
    assert unplanned(step, stored) == ()


# Another value of every rule than judge_rules gives at 10 %.
OTHERS: dict[str, Any] = {
    "alpha": 1e-300,
    "beta": 0.2,
    "rho0": 1.5,
    "margin": 2.0,
    "margins": (4.0, 3.0),
    "limits": {"errors": 0.9, "slow": 0.9},
    "floors": {"errors": 0.5},
    "metric_weights": {"slow": 1e-9},
    "min_bake": timedelta(0),
    "deadline": timedelta(seconds=1),
    "extensions": 0,
    "stale_after": timedelta(days=1),
    "min_requests": 1,
    "warm_up_blocks": 10_000,
    "warm_up": HOUR,
    "warmed": ("errors", "slow", "restarts"),
    "min_blocks": 10_000,
    "min_voted_blocks": 10_000,
    "suspect_blocks": 10_000,
    "excused": 1e9,
    "stakes": "none",
    "on_quiet": OnQuiet.hold,
    "promote": PromoteBy.relative,
    "control_arm": False,
    "pod_votes": False,
    "arms": 1000,
    "control": Control.baseline,
    "last_known": {"errors": LastKnown(requests=100, bad=99, over=True)},
    "worse_than_known": 1e9,
}


@pytest.mark.parametrize("name", JudgeRules.model_fields)
def test_every_rule_that_is_not_the_plans_is_named(name: str) -> None:
    differences = unplanned(asked(**{name: OTHERS[name]}), plan())
    assert len(differences) == 1
    assert differences[0].startswith(f"{name}")
    assert ": given " in differences[0]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"slow_above": HOUR}, "slow_above: given 1:00:00, the plan says 0:00:00.500000"),
        ({"block": HOUR}, "block: given 1:00:00, the plan says 0:00:10"),
        ({"metrics": MetricsPlan(slow=False)}, "metrics: given "),
    ],
)
def test_what_is_measured_is_the_plans_too(changed: dict[str, Any], said: str) -> None:
    (difference,) = unplanned(asked().with_(**changed), plan())
    assert difference.startswith(said)


def test_a_weight_that_is_no_step_of_the_plan_is_named() -> None:
    assert unplanned(asked(9), plan()) == ("weight: given 9, the plan says [10, 50, 100]",)


@pytest.mark.parametrize("name", BEGUN_BEFORE)
def test_a_rollout_that_began_before_the_judge_had_a_choice_keeps_its_rule(name: str) -> None:
    assert unplanned(asked(**{name: JudgeRules.model_fields[name].default}), plan()) == ()


def test_what_no_plan_says_is_listed_or_is_the_rules_own_default() -> None:
    """A new constant of the judge: say in BEGUN_BEFORE what rollouts under way have instead."""
    default = JudgeRules()
    constants = {"stakes", "min_voted_blocks", "suspect_blocks", "excused", "warmed"}
    of_the_plan = {
        "alpha", "beta", "rho0", "margin", "margins", "limits", "floors", "min_bake", "deadline",
        "extensions", "stale_after", "min_requests", "on_quiet", "promote", "control_arm",
        "pod_votes", "warm_up", "last_known",
    }  # fmt: skip
    given = judge_rules(plan(), 10, has_stable=True)
    others = JudgeRules.model_fields.keys() - of_the_plan
    assert {one for one in others if getattr(given, one) != getattr(default, one)} == constants
    assert constants <= set(BEGUN_BEFORE)
    assert given.stakes is Stakes.counted


def test_a_record_may_tell_of_a_source_that_needed_more_patience() -> None:
    patient = asked(stale_after=HOUR)
    assert unplanned(patient, plan(), stored=True) == ()
    assert unplanned(patient, plan())
    hasty = asked(stale_after=timedelta(seconds=1))
    assert unplanned(hasty, plan(), stored=True)


class TestLoad:
    """Once the declared load was sent, its end is the step's deadline."""

    PLAN = plan(canary=LOADED)

    def under(self, deadline: timedelta, said: ServicePlan) -> tuple[str, ...]:
        rules = rules_under_load(judge_rules(said, 10, has_stable=True), deadline)
        return unplanned(asked(said=said).with_(rules=rules), said)

    def length(self) -> timedelta:
        assert self.PLAN.canary.load is not None
        return lasts(self.PLAN, self.PLAN.canary.load, 10)

    def test_its_end_is_the_steps_deadline(self) -> None:
        assert self.under(self.length(), self.PLAN) == ()
        assert self.under(HOUR, self.PLAN) == ()

    def test_no_load_ends_before_it_is_sent_nor_after_the_look(self) -> None:
        for deadline in (self.length() / 2, HOUR + MINUTE):
            told = self.under(deadline, self.PLAN)
            assert [one.partition(":")[0] for one in told] == ["deadline", "extensions", "on_quiet"]

    def test_a_plan_without_a_load_has_no_such_deadline(self) -> None:
        assert len(self.under(HOUR, plan(canary={"on_quiet": "hold"}))) == 3

    def test_no_part_of_it_stands_alone(self) -> None:
        rules = judge_rules(self.PLAN, 10, has_stable=True)
        alone = rules.model_copy(update={"on_quiet": OnQuiet.advance})
        assert unplanned(asked(said=self.PLAN).with_(rules=alone), self.PLAN) == (
            "on_quiet: given advance, the plan says synthetic",
        )


def test_a_baseline_that_is_the_stable_revision_is_compared_with_like_it() -> None:
    step = asked(control=Control.baseline)
    serving = step.target.stable
    assert serving is not None
    assert unplanned(step.with_(baseline=serving.revision), plan()) == ()
    itself = unplanned(step.with_(baseline=step.target.revision), plan())
    assert itself == ("control: given baseline, the plan says stable",)


class TestLastKnown:
    """What stable was like is what the judge's state counted of it, or less."""

    COMPARED = judge_rules(plan(), 50, has_stable=True)

    def state(self, stable_bad: int = 1) -> JudgeState:
        state = start(self.COMPARED, ("errors", "slow"), SINCE)
        for index in range(20):
            by_metric = {"errors": counts(90, 0, 100, stable_bad), "slow": counts(90, 0, 100, 1)}
            state = observe(state, self.COMPARED, one_block(index, by_metric))
        return state

    def differing(self, known: dict[str, LastKnown], **more: Any) -> list[str]:
        step = asked(100, last_known=known).with_(**{"state": self.state(), **more})
        return [one.partition(":")[0] for one in unplanned(step, plan())]

    def test_it_is_counted_by_the_canary(self) -> None:
        assert self.differing(known_of_stable(self.state())) == []
        over = self.state(stable_bad=60)
        assert known_of_stable(over)["errors"].over
        assert self.differing(known_of_stable(over), state=over) == []

    def test_less_is_a_rollout_that_began_before_it_was_counted(self) -> None:
        assert self.differing({}) == []
        assert self.differing({"slow": known_of_stable(self.state())["slow"]}) == []

    def test_what_was_not_counted_is_named(self) -> None:
        lie = LastKnown(requests=100, bad=99, over=True)
        assert self.differing({"errors": lie}) == ["last_known.errors"]
        assert self.differing({"restarts": lie}) == ["last_known.restarts"]

    def test_in_the_watch_an_earlier_look_of_the_release_must_have_counted_a_raised_bar(
        self,
    ) -> None:
        over = self.state(stable_bad=60)
        known = known_of_stable(over)
        look = asked(100, last_known=known).with_(state=over)
        watch = asked(100, last_known=known).with_(watch=True)
        assert list(raised_bars(watch)) == ["errors"]
        assert not raised_bars(look)
        assert unheard_of(watch, [look]) == ()
        foreign = look.with_(target=look.target.with_(release_id="album-2"))
        for earlier in ([], [watch], [foreign], [look.with_(state=self.state())]):
            (told,) = unheard_of(watch, earlier)
            assert told.startswith("last_known.errors: given LastKnown(requests=2000, bad=")

    def test_what_lowers_the_bar_needs_nobodys_word(self) -> None:
        watch = asked(100, last_known=known_of_stable(self.state())).with_(watch=True)
        assert unheard_of(watch, []) == ()

    def test_where_an_arm_serves_beside_it_or_there_never_was_one_nothing_is_known(self) -> None:
        known = known_of_stable(self.state())
        beside = asked(50, last_known=known).with_(state=self.state())
        assert len(unplanned(beside, plan())) == 2
        first = asked(100, first=True, last_known=known).with_(state=self.state())
        assert len(unplanned(first, plan())) == 2
