"""What status says of the work that a release waits for: in its own words, at once."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from activities.failures import NotYet, as_application_error
from domain.environments import Environment, cluster_queue
from domain.errors import TransientFailure
from domain.phases import Phase
from domain.steps import ObserveStep
from payloads import data_converter
from tests.starter.test_running_step import PROGRESS, RECORD
from tests.support.cli import Cli
from tests.support.conditions import eventually
from tests.support.release_records import request
from tests.support.stand_in_release import Release, StandInRelease

WAITS = "album-1: 2 of 4 pods ready; pod album-1-x has no node: 1 Insufficient cpu"


@asynccontextmanager
async def at_work(client: Client, begin: Callable[[], None]) -> AsyncIterator[None]:
    """Production's worker, whose activity begins so and then never ends."""

    @activity.defn(name="observe_step")
    async def work(asked: ObserveStep) -> None:
        begin()
        await asyncio.Event().wait()

    queue = cluster_queue(Environment.PRODUCTION)
    async with Worker(client, task_queue=queue, activities=[work]):
        yield


async def told(cli: Cli, client: Client, *, attempt: int = 1) -> str:
    """What status says of a release in whose canary that work goes on, as often tried."""
    release = await Release.started(client, request())
    await release.becomes(phase=Phase.CANARY, weight=10, sentence="promoted by alice")
    await release.handle.signal(StandInRelease.observe, RECORD.step)

    async def has_begun() -> bool:
        pending = (await release.handle.describe()).raw_description.pending_activities
        return any(
            one.heartbeat_details.payloads if attempt == 1 else one.attempt >= attempt
            for one in pending
        )

    await eventually(has_begun)
    done = await cli.run("status", release.id)
    assert (done.code, done.err) == (0, "")
    return " ".join(done.out.split())


def fails(error: ApplicationError) -> Callable[[], None]:
    def begin() -> None:
        raise error

    return begin


async def test_what_a_release_waits_for_is_said_as_its_work_says_it(
    cli: Cli, temporal: Client
) -> None:
    async with at_work(temporal, lambda: activity.heartbeat(WAITS)):
        assert f"now: {WAITS}" in await told(cli, temporal)


async def test_why_work_is_tried_again_is_said_with_the_attempt(cli: Cli, temporal: Client) -> None:
    gone = as_application_error(TransientFailure("policy registry.example cannot be reached"))
    async with at_work(temporal, fails(gone)):
        said = await told(cli, temporal, attempt=2)
    assert "tried again, attempt 2: policy registry.example cannot be reached" in said


async def test_a_poll_that_asks_again_is_no_failure_and_a_state_is_no_sentence(
    cli: Cli, temporal: Client
) -> None:
    later = as_application_error(NotYet("no window yet", timedelta(milliseconds=10)))
    async with at_work(temporal, fails(later)):
        said = await told(cli, temporal, attempt=2)
    assert "tried again" not in said
    assert "now:" not in said
    async with at_work(temporal, lambda: activity.heartbeat(PROGRESS)):
        assert "now:" not in await told(cli, temporal)


async def test_words_that_are_sealed_with_another_key_hide_nothing_else(
    cli: Cli, temporal: Client, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_bytes(base64.b64encode(bytes(32)))
    sealed = Client(
        temporal.service_client, namespace=temporal.namespace, data_converter=data_converter(key)
    )
    async with at_work(sealed, lambda: activity.heartbeat(WAITS)):
        said = await told(cli, temporal)
    assert "what observe_step says cannot be read: " in said
    assert "10 % of production" in said
