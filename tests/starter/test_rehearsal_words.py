"""What a rehearsal tells a person, from records alone."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from clients.git import Repository
from domain.faults import Fault
from domain.plan_time import ToldStep
from domain.rejudge import Spoken
from domain.release import ReleaseState
from domain.soak import SoakProgress
from starter.rehearsal_course import Course
from starter.rehearsal_words import Report, as_json, lines_of
from starter.rehearse import Score
from starter.source import Source
from tests.support.release_records import NOON, bundle, plan, request
from tests.support.stored_verdicts import COMMIT, PastRelease


def report(*faults: str, held: str | None = None, **state: Any) -> Report:
    """A rehearsal at sixty-fold speed that took the 10 % step and ended as the state says."""
    score = Score(
        source=Source(Repository(Path()), COMMIT),
        service="album",
        plan=plan(),
        faults=tuple(Fault.parse(one) for one in faults),
        users=5,
        speed=60,
    )
    on_clock = score.rehearsed
    earned = on_clock.pace.soak
    ended = ReleaseState.model_validate(
        {
            "request": request(plan=on_clock).model_dump(mode="json"),
            "started_at": NOON,
            "bundle": bundle(COMMIT),
            "soak": SoakProgress(goal=earned, earned=earned),
            **state,
        }
    )
    users = {
        ended.revision: {"requests": 320, "failed": 8},
        "album-old": {"requests": 3000, "failed": 3},
    }
    course = Course(state=ended, held=held, stable="album-old", users=users)
    judgement = PastRelease().take(10).record.judgement
    spoken = Spoken(judgement=judgement, block=18, at=NOON)
    return Report(score, course, (ToldStep(weight=10, watch=False, spoken=spoken),))


def test_steps_times_and_users_by_arm_are_told_by_the_plans_clock() -> None:
    told = list(lines_of(report(outcome="RELEASED", sentence="album serves everybody")))
    assert told[1] == "album cccccccccc, no fault, 5 req/s, a real second is 60 planned ones"
    assert told[2] == "  soak    1d of 1d healthy time earned"
    assert told[3] == "  10 %    PROMOTE (within_limit) after 3m"
    assert "RELEASED: album serves everybody" in told
    assert "By the plan's clock: soak 1d, production 3m; people answer at once." in told
    users = [line for line in told if line.startswith("Users of the")]
    assert users == [
        "Users of the new version, from the release's start to its end: 8 of 320 requests failed "
        "(2.5%)",
        "Users of the old version, from the release's start to its end: 3 of 3000 requests failed "
        "(0.1%)",
    ]
    assert any("until its verdicts the judge counted 0 of 1800;" in line for line in told)
    assert any(line.startswith("Not simulated: the service's code") for line in told)


def test_what_the_fault_would_do_to_everybody_is_told_beside_it() -> None:
    told = list(
        lines_of(report("production:errors=2%@50%", "staging:errors=50%", outcome="FAILED"))
    )
    assert "production:errors=2%@50%, staging:errors=50%, 5 req/s" in told[1]
    given = "Given to everybody at once, this version fails 6 users' requests a minute until"
    assert any(line.startswith(given) for line in told)


def test_a_rehearsal_that_holds_says_that_a_person_would_be_asked() -> None:
    held = report(held="Holding: no traffic")
    assert "HOLD: a person would be asked. Holding: no traffic" in list(lines_of(held))
    assert (as_json(held)["ending"], as_json(held)["sentence"]) == ("HOLD", "Holding: no traffic")


def test_programs_get_times_of_the_plan_and_users_by_arm() -> None:
    told = as_json(report(outcome="RELEASED"))
    assert told["soak_seconds"] == timedelta(days=1).total_seconds()
    assert told["canary_seconds"] == 180
    assert told["users"] == {
        "new version": {"requests": 320, "failed": 8},
        "old version": {"requests": 3000, "failed": 3},
    }
