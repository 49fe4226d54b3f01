"""A world per test: on skipped time with the plan's real durations, or live with short plans."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from tests.support.release_records import plan, request
from tests.support.release_world import World, running
from tests.support.temporal import dev_server, skipping_server

SHORT = {
    "soak": {"duration": "2h", "window": "1h"},
    "rehearsal": {"soak": "1h = 50ms", "canary": "10m = 200ms"},
}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Days pass in a moment; every wait of the plan is the real one."""
    async with skipping_server() as server, running(server) as world:
        yield world


@pytest.fixture
async def live() -> AsyncIterator[World]:
    """The real server on the wall clock, with a rehearsal clock."""
    async with (
        dev_server() as server,
        running(server, lane_poll=timedelta(milliseconds=200)) as world,
    ):
        world.request = request(plan=plan(**SHORT))
        yield world
