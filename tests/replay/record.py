"""Record histories: `python -m tests.replay.record STORY ...` or `--all`, into a folder per day.

What is recorded already stays as it is: of `--all` only the stories that the day does not have
are recorded, and a story that is named and exists is refused before anything runs.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from temporalio.client import WorkflowHandle, WorkflowHistory
from temporalio.service import RPCError, RPCStatusCode

from domain.environments import RELEASE_ENVIRONMENTS, lane_id, rollback_id
from domain.errors import PermanentFailure
from tests.replay.archive import FOLDER, Address, relative, write
from tests.replay.stories import STORIES, world_of
from tests.support.release_world import World

RPC_TIMEOUT = timedelta(seconds=10)


def main(arguments: Sequence[str]) -> int:
    """Record and say what was written; 2 when a name is wrong or a story is recorded already."""
    parser = argparse.ArgumentParser(prog="python -m tests.replay.record", description=__doc__)
    parser.add_argument("stories", nargs="*", metavar="STORY", help=", ".join(STORIES))
    parser.add_argument("--all", action="store_true", help="every story the day does not have")
    parser.add_argument("--day", default=f"{datetime.now(UTC):%F}", help="folder, default today")
    asked = parser.parse_args(arguments)
    # Failing activities are part of the stories.
    logging.getLogger("temporalio").setLevel(logging.ERROR)
    try:
        for name in wanted(asked.stories, asked.day, everything=asked.all):
            asyncio.run(record(name, asked.day))
    except PermanentFailure as failure:
        sys.stderr.write(f"{failure}\n")
        return 2
    return 0


def wanted(named: Sequence[str], day: str, *, everything: bool) -> list[str]:
    """The stories to record; PermanentFailure when one is unknown or recorded already."""
    if bool(named) is everything:
        raise PermanentFailure("name the stories to record, or say --all")
    if unknown := [name for name in named if name not in STORIES]:
        raise PermanentFailure(f"no story {', '.join(unknown)}; stories are {', '.join(STORIES)}")
    if existing := [name for name in named if (FOLDER / day / name).exists()]:
        raise PermanentFailure(
            f"{day} has {', '.join(existing)} already; histories are frozen: give another --day"
        )
    return list(named) or [name for name in STORIES if not (FOLDER / day / name).exists()]


async def record(name: str, day: str) -> None:
    """Let a story happen and store the history of every workflow in it."""
    story = STORIES[name]
    async with world_of(story) as world:
        await story.happen(world)
        histories = await histories_of(world)
    for history in histories:
        address = Address(day, name, history.workflow_id)
        write(address, history)
        size = address.path.stat().st_size
        sys.stdout.write(
            f"{len(history.events):5} events {size:7} bytes {relative(address.path)}\n"
        )


async def histories_of(world: World) -> list[WorkflowHistory]:
    """Histories of the releases of a world, their rollbacks, and the lanes, once these close."""
    releases = sorted({call.asked.release_id for call in world.calls if call.name == "tell"})
    lanes = [lane_id(environment, "album") for environment in RELEASE_ENVIRONMENTS]
    found = []
    for workflow_id in (*releases, *map(rollback_id, releases), *lanes):
        handle = world.client.get_workflow_handle(workflow_id)
        if await exists(handle):
            if workflow_id in lanes:
                await handle.result()
            found.append(await handle.fetch_history())
    return found


async def exists(handle: WorkflowHandle[object, object]) -> bool:
    """Whether a workflow was ever started."""
    try:
        await handle.describe(rpc_timeout=RPC_TIMEOUT)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
