"""A release over a day, on the default plan, fits its history, with everything it starts."""

from __future__ import annotations

import pytest

from tests.replay.record import histories_of
from tests.replay.stories import STORIES, world_of
from tests.support.release_records import plan

LONGEST = 600
OVER = "measured 639: 575 of the release and 64 of its rollback, which visits staging's lane"


@pytest.mark.parametrize(
    "story",
    [
        "promoted",
        pytest.param("rolled-back-by-the-watch", marks=pytest.mark.xfail(reason=OVER)),
    ],
)
async def test_a_release_of_a_day_with_its_children_takes_at_most_600_events(story: str) -> None:
    async with world_of(STORIES[story]) as world:
        await STORIES[story].happen(world)
        histories = {h.workflow_id: len(h.events) for h in await histories_of(world)}
    assert world.request.plan == plan()
    # A lane is nobody's child: it serves one release after the other.
    own = [events for name, events in histories.items() if not name.startswith("lane-")]
    assert sum(own) <= LONGEST, histories
