"""`tidegate report` while a step is being judged: its blocks up to now, or why there are none."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker

from activities.canary import Progress
from domain.environments import Environment, cluster_queue
from domain.observed import recompute
from domain.phases import Phase
from domain.running import RunningStep
from domain.steps import ObserveStep
from payloads import data_converter
from starter import running_step
from tests.starter.test_report import shelf
from tests.support.cli import Cli
from tests.support.conditions import eventually
from tests.support.judged_releases import promoted
from tests.support.release_records import request
from tests.support.stand_in_release import Release, StandInRelease, answering

WATCHED = promoted()
RECORD = WATCHED.records[-1]
BLOCKS = (*WATCHED.earlier(RECORD), *RECORD.blocks)[:100]
CHUNK = RECORD.earlier[0]
STATE = recompute(RECORD.with_(blocks=BLOCKS), ()).state
PROGRESS = Progress(
    state=STATE,
    after=BLOCKS[-1].end,
    chunks=(CHUNK,),
    blocks=BLOCKS[len(WATCHED.chunks[CHUNK.digest].blocks) :],
)


@asynccontextmanager
async def observer(client: Client, carried: object | None) -> AsyncIterator[None]:
    """Production's worker, whose observer's heartbeat carries this, and who never answers."""

    @activity.defn(name="observe_step")
    async def observe(asked: ObserveStep) -> None:
        if carried is not None:
            activity.heartbeat(carried)
        await asyncio.Event().wait()

    queue = cluster_queue(Environment.PRODUCTION)
    async with Worker(client, task_queue=queue, activities=[observe]):
        yield


async def judging(client: Client, told: bool, **state: object) -> Release:
    """A release whose observer is at work, and has told something where it does."""
    release = await Release.started(client, request())
    target = RECORD.step.target.with_(release_id=release.id)
    await release.becomes(phase=Phase.WATCH, weight=100, **state)
    await release.handle.signal(StandInRelease.observe, RECORD.step.with_(target=target))

    async def is_pending() -> bool:
        pending = (await release.handle.describe()).raw_description.pending_activities
        return any(bool(one.heartbeat_details.payloads) == told for one in pending)

    await eventually(is_pending)
    return release


async def test_a_step_that_is_judged_is_drawn_up_to_its_last_heartbeat(
    cli: Cli, temporal: Client, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    async with shelf(cli, tmp_path) as kept, observer(temporal, PROGRESS):
        await kept.store("blocks-100-watch", WATCHED.chunks[CHUNK.digest])
        release = await judging(temporal, told=True, bundle=kept.bundle)
        done = await cli.run("report", release.id)
        shown = await cli.run("report", release.id, "--html", str(page))
        every = json.loads((await cli.run("report", release.id, "--output", "json")).out)
    told = " ".join(done.out.split())
    assert (done.code, done.err, shown.code) == (0, "", 0)
    assert "… 100 %: running, no verdict yet (as of" in told
    assert "drawn from the 100 blocks that its observer has by now: not a record" in told
    assert "no verdict yet; nothing of it is evidence" in told
    assert "│100 % (running)" in done.out
    assert "Evidence against the canary" in done.out
    for text in (done.out, page.read_text()):
        assert "judge replay" not in text
        assert "belong to no stored verdict" not in text
    assert "100 % (running)" in page.read_text()
    ((trace,),) = (step["traces"] for step in every["steps"])
    assert (trace["record"], len(trace["points"])) == (None, 100)
    assert trace["as_of"] is not None


async def test_a_verdict_that_was_stored_meanwhile_is_the_verdict(
    cli: Cli, temporal: Client, tmp_path: Path
) -> None:
    async with shelf(cli, tmp_path) as kept, observer(temporal, PROGRESS):
        release = await judging(temporal, told=True, bundle=kept.bundle)
        await kept.keep(WATCHED, release.id)
        done = await cli.run("report", release.id)
    assert "running" not in done.out.partition("Evidence against")[2]
    assert "✔ watch: PROMOTE" in done.out


async def test_what_cannot_be_read_is_said_and_the_rest_is_shown(
    cli: Cli, temporal: Client, tmp_path: Path
) -> None:
    async with shelf(cli, tmp_path) as kept:
        async with observer(temporal, None):
            await kept.keep(WATCHED)
            silent = await judging(temporal, told=False, bundle=kept.bundle)
            nothing = await cli.run("report", silent.id)
        async with observer(temporal, {"of_a_later_version": 1}):
            later = await judging(temporal, told=True, bundle=kept.bundle)
            other = await cli.run("report", later.id)
    assert (nothing.code, other.code) == (0, 0)
    assert "its observer has told nothing yet: ask again" in " ".join(nothing.out.split())
    told = " ".join(other.out.split())
    assert "is no Progress of this version of Tidegate" in told
    assert "production is at 100 % now" in told


async def test_blocks_of_the_heartbeat_are_shown_without_a_registry(
    cli: Cli, temporal: Client
) -> None:
    blocks = BLOCKS[:10]
    state = recompute(RECORD.with_(blocks=blocks), ()).state
    few = Progress(state=state, after=blocks[-1].end, blocks=blocks)
    bundle = RECORD.step.target.bundle.with_(repository="127.0.0.1:1/isa/album")
    async with observer(temporal, few):
        release = await judging(temporal, told=True, bundle=bundle)
        done = await cli.run("report", release.id)
    told = " ".join(done.out.split())
    assert "drawn from the 10 blocks" in told
    assert "neither blocks nor evidence could be read" in told


async def test_an_encrypted_heartbeat_is_read_with_its_key_alone(
    silent_temporal: Client, tmp_path: Path
) -> None:
    key = tmp_path / "payload.key"
    key.write_bytes(base64.b64encode(bytes(32)))
    sealed = Client(
        silent_temporal.service_client,
        namespace=silent_temporal.namespace,
        data_converter=data_converter(key),
    )
    async with answering(sealed), observer(sealed, PROGRESS):
        release = await judging(sealed, told=True)
        found = await running_step.read(sealed, release.id)
        refused = await running_step.read(silent_temporal, release.id)
    assert isinstance(found, RunningStep)
    assert (found.blocks, found.step.target.release_id) == (PROGRESS.blocks, release.id)
    assert found.step.with_(target=RECORD.step.target) == RECORD.step
    assert isinstance(refused, str)
    assert "is no Progress of this version of Tidegate" in refused
