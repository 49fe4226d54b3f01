"""The journal: undone in reverse, written once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.environments import RELEASE_ENVIRONMENTS, Environment
from domain.journal import (
    Compensation,
    Journal,
    RestoreCapacity,
    RestoreEntry,
    RestoreTraffic,
    RetireRevision,
    RollbackReport,
    UndoOutcome,
    UndoResult,
)
from domain.traffic import TrafficSplit

environments = st.sampled_from(RELEASE_ENVIRONMENTS)
revisions = st.sampled_from(["album-1", "album-2"])
compensations: st.SearchStrategy[Compensation] = st.one_of(
    st.builds(
        RetireRevision, environment=environments, service=st.just("album"), revision=revisions
    ),
    st.builds(
        RestoreTraffic,
        environment=environments,
        service=st.just("album"),
        revision=revisions,
        split=st.sampled_from([TrafficSplit(), TrafficSplit.all_to("album-0")]),
    ),
    st.builds(
        RestoreEntry,
        environment=environments,
        service=st.just("album"),
        revision=revisions,
        previous=st.none() | revisions,
    ),
    st.builds(
        RestoreCapacity,
        environment=environments,
        service=st.just("album"),
        revision=revisions,
        min_replicas=st.integers(1, 5),
    ),
)


def written(steps: list[Compensation]) -> Journal:
    journal = Journal()
    for step in steps:
        journal = journal.add(step)
    return journal


@given(st.lists(compensations))
def test_undo_is_the_reverse_of_the_order_in_which_steps_were_first_taken(
    steps: list[Compensation],
) -> None:
    first_taken = list(dict.fromkeys(steps))
    assert list(written(steps).undo_order()) == first_taken[::-1]


@given(st.lists(compensations, min_size=1), st.data())
def test_registering_a_step_again_changes_nothing(
    steps: list[Compensation], data: st.DataObject
) -> None:
    journal = written(steps)
    assert journal.add(data.draw(st.sampled_from(steps))) == journal


@given(st.lists(compensations))
def test_a_journal_survives_its_json(steps: list[Compensation]) -> None:
    journal = written(steps)
    assert Journal.model_validate_json(journal.model_dump_json()) == journal


def test_a_journal_knows_which_environments_it_touches() -> None:
    retire = RetireRevision(environment=Environment.STAGING, service="album", revision="album-1")
    journal = Journal().add(retire)
    assert journal.touches(Environment.STAGING)
    assert not journal.touches(Environment.PRODUCTION)


def report(*outcomes: UndoOutcome) -> RollbackReport:
    retire = RetireRevision(environment=Environment.STAGING, service="album", revision="album-1")
    return RollbackReport(
        release_id="release-album-1",
        results=tuple(UndoResult(compensation=retire, outcome=o, sentence="") for o in outcomes),
    )


@pytest.mark.parametrize("outcome", list(UndoOutcome))
def test_a_rollback_is_complete_unless_something_is_left_for_a_person(
    outcome: UndoOutcome,
) -> None:
    left = {UndoOutcome.FAILED, UndoOutcome.SKIPPED, UndoOutcome.GIVEN_UP}
    told = report(UndoOutcome.DONE, outcome)
    assert told.is_complete is (outcome not in left)
    assert ("still open: scale album-1 in staging to zero" in told.sentence) is (outcome in left)


def test_the_report_counts_what_was_undone() -> None:
    told = report(UndoOutcome.DONE, UndoOutcome.NOTHING_TO_DO, UndoOutcome.DONE).sentence
    assert told.startswith("2 of 3 steps undone")


def test_what_is_left_to_another_release_is_said_once_and_leaves_nothing_open() -> None:
    told = report(UndoOutcome.LEFT, UndoOutcome.LEFT)
    left = tuple(r.with_(sentence="staging is left to release-album-2") for r in told.results)
    said = told.with_(results=left)
    assert said.is_complete
    assert said.sentence == (
        "0 of 2 steps undone; staging is left to release-album-2; the rest needed nothing"
    )


@pytest.mark.parametrize("outcome", [None, *UndoOutcome])
def test_traffic_counts_as_returned_only_when_it_is_known(outcome: UndoOutcome | None) -> None:
    restore = RestoreTraffic(
        environment=Environment.PRODUCTION,
        service="album",
        revision="album-1",
        split=TrafficSplit.all_to("album-0"),
    )
    results = () if outcome is None else report(outcome).results
    told = RollbackReport(
        release_id="release-album-1",
        results=tuple(r.with_(compensation=restore) for r in results),
    )
    unknown = {None, UndoOutcome.FAILED, UndoOutcome.SKIPPED, UndoOutcome.GIVEN_UP}
    assert told.returned(Environment.PRODUCTION) is (outcome not in unknown)
    assert not told.returned(Environment.STAGING)
