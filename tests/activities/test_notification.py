from __future__ import annotations

from typing import Any, cast

import pytest

from activities.notification import Notification
from domain.errors import TransientFailure
from domain.steps import Tell, Told
from tests.support.platform_world import SandboxWorld
from tests.support.site import Activities


def message(key: str, text: str, thread: str | None = None) -> Tell:
    return Tell(release_id="release-album-1", thread=thread, key=key, text=text)


async def told(world: SandboxWorld, tell: Tell, attempt: int = 1) -> Told:
    return cast(Told, await world.control.do("tell", tell, attempt=attempt))


def channel(world: SandboxWorld) -> list[dict[str, Any]]:
    """What people see in the channel, oldest first."""
    return sorted(world.platform.slack.channels[0].messages, key=lambda one: float(one["ts"]))


async def test_a_release_is_one_thread(world: SandboxWorld) -> None:
    first = await told(world, message("1", "release of album started"))
    second = await told(world, message("2", "10 %: PROMOTE", first.thread))
    assert second.thread == first.thread
    posted = channel(world)
    assert [one["text"] for one in posted] == ["release of album started", "10 %: PROMOTE"]
    assert posted[0]["ts"] == first.thread
    assert posted[1]["thread_ts"] == first.thread


async def test_a_message_is_posted_once_although_it_is_retried(world: SandboxWorld) -> None:
    first = await told(world, message("1", "started"))
    again = await told(world, message("1", "started"), attempt=2)
    assert again.thread == first.thread
    answer = message("2", "an answer", first.thread)
    await told(world, answer)
    await told(world, answer, attempt=2)
    await told(world, answer, attempt=3)
    assert [one["text"] for one in channel(world)] == ["started", "an answer"]


async def test_a_message_that_never_arrived_is_posted_by_the_retry(world: SandboxWorld) -> None:
    await world.tell("POST", "outage", {"system": "slack"})
    with pytest.raises(TransientFailure):
        await told(world, message("1", "started"))
    await world.tell("DELETE", "outage")
    await told(world, message("1", "started"), attempt=2)
    assert [one["text"] for one in channel(world)] == ["started"]


async def test_two_messages_of_the_same_text_are_two(world: SandboxWorld) -> None:
    first = await told(world, message("1", "started"))
    await told(world, message("2", "soak: errors", first.thread))
    await told(world, message("3", "soak: errors", first.thread), attempt=2)
    assert len(channel(world)) == 3


async def test_without_a_channel_nobody_is_told_and_nothing_fails() -> None:
    quiet = Activities({"tell": Notification(None).tell})
    assert await quiet.do("tell", message("1", "started")) == Told(thread="")
