"""What was recorded still replays; a change that would strand a running release is reported."""

from __future__ import annotations

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from tests.replay import mutants
from tests.replay.archive import Address, read, recorded
from tests.replay.stories import STORIES
from tests.support.temporal import PreparedOnce
from worker import WORKFLOWS

HISTORIES = recorded()


async def replay(history: WorkflowHistory, *workflows: type) -> None:
    replayer = Replayer(
        workflows=workflows,
        workflow_runner=PreparedOnce(),
        data_converter=pydantic_data_converter,
    )
    await replayer.replay_workflow(history)


def latest(story: str, workflow_id: str) -> WorkflowHistory:
    """The newest recording; old ones may rightly replay by other paths of `patched`."""
    return read([a for a in HISTORIES if (a.story, a.workflow_id) == (story, workflow_id)][-1])


def type_of(history: WorkflowHistory) -> str:
    return history.events[0].workflow_execution_started_event_attributes.workflow_type.name


RELEASE = ("promoted", "release-album-cccccccccc-0001")
ROLLBACK = ("rolled-back-at-10", "rollback-release-album-cccccccccc-0001")
LANE = ("promoted", "lane-staging-album")


@pytest.mark.parametrize("address", HISTORIES, ids=str)
async def test_a_committed_history_replays(address: Address) -> None:
    await replay(read(address), *WORKFLOWS)


@pytest.mark.parametrize("story", STORIES)
def test_every_story_has_been_recorded(story: str) -> None:
    assert story in {address.story for address in HISTORIES}


def test_histories_of_every_workflow_are_kept() -> None:
    kept = {type_of(latest(*kept)) for kept in (RELEASE, ROLLBACK, LANE)}
    assert kept == {workflow.__name__ for workflow in WORKFLOWS}


@pytest.mark.parametrize(
    ("kept", "mutant"),
    [
        (RELEASE, mutants.ScansNothing),
        (RELEASE, mutants.HoldsCapacityLate),
        (RELEASE, mutants.TellsLess),
        (ROLLBACK, mutants.AnnouncesFirst),
        (LANE, mutants.AdmitsInSilence),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else value[1],
)
async def test_a_changed_workflow_is_reported(kept: tuple[str, str], mutant: type) -> None:
    with pytest.raises(NondeterminismError):
        await replay(latest(*kept), mutant)


@pytest.mark.parametrize("kept", [RELEASE, ROLLBACK, LANE], ids=lambda kept: kept[1])
async def test_an_altered_event_is_reported(kept: tuple[str, str]) -> None:
    history = latest(*kept)
    scheduled = [
        e for e in history.events if e.HasField("activity_task_scheduled_event_attributes")
    ]
    scheduled[-1].activity_task_scheduled_event_attributes.activity_type.name = "renamed"
    with pytest.raises(NondeterminismError, match="renamed"):
        await replay(history, *WORKFLOWS)
