"""Sending a command to a running release, and its answer."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio.client import (
    Client,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from domain.commands import RESOLUTIONS, Answer, Command
from domain.environments import rollback_id
from domain.errors import TransientFailure
from domain.records import digest_of
from starter.failures import failures_about

ANSWER_TIMEOUT = timedelta(seconds=30)


async def submit(client: Client, command: Command) -> Answer:
    """Send a command as an update whose id is the command's digest: twice is once."""
    release = command.statement.release
    to_rollback = command.name in RESOLUTIONS
    handle = client.get_workflow_handle(rollback_id(release) if to_rollback else release)
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT.total_seconds()):
            with failures_about(client, f"release {release}", of_worker=True):
                return await _execute(handle, command)
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
        raise TransientFailure(
            f"{release} did not answer {command.name} within {ANSWER_TIMEOUT.seconds} s: no worker "
            "of role control may be running; it may still count, so look (tidegate status "
            f"{release}) before you send it again"
        ) from None


async def _execute(handle: WorkflowHandle[object, object], command: Command) -> Answer:
    try:
        answer: Answer = await handle.execute_update(
            command.name.value, command, id=digest_of(command), result_type=Answer
        )
        return answer
    except WorkflowUpdateFailedError as error:
        cause = error.cause
        why = cause.message if isinstance(cause, ApplicationError) else str(cause)
        return Answer(accepted=False, sentence=f"{command.name} refused: {why}")
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            over = (
                "no rollback is running" if command.name in RESOLUTIONS else "the release is over"
            )
            return Answer(accepted=False, sentence=f"{command.name} refused: {over}")
        raise
