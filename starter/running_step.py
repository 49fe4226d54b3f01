"""The step that is being judged now, from what Temporal holds of the observing activity.

Its heartbeat carries the judge's state and the blocks that are not stored yet; what was asked of
it stands in the event that scheduled it.
"""

from __future__ import annotations

import asyncio
from datetime import UTC
from typing import TypeVar

from pydantic import BaseModel
from temporalio.api.common.v1 import Payloads, WorkflowExecution
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryReverseRequest
from temporalio.client import Client, WorkflowExecutionDescription

from activities.canary import Canary, Progress
from domain.errors import PermanentFailure, ReleaseError
from domain.running import RunningStep
from domain.steps import ObserveStep
from starter.connection import RPC_TIMEOUT
from starter.failures import UNREADABLE, failures_about

OBSERVES = Canary.observe_step.__name__
# An observation is among the last things that a release asked for: people's words may follow it.
PAGE, MOST_PAGES = 100, 20
Model = TypeVar("Model", bound=BaseModel)


async def read(client: Client, release_id: str) -> RunningStep | str | None:
    """The running step; in words why it cannot be shown; None where no step is being judged."""
    handle = client.get_workflow_handle(release_id)
    try:
        with failures_about(client, f"release {release_id}"):
            async with asyncio.timeout(RPC_TIMEOUT.total_seconds()):
                described = await handle.describe()
                return await _of(client, described)
    except ReleaseError as failure:
        return f"what is being judged now cannot be shown: {failure}"


async def _of(client: Client, described: WorkflowExecutionDescription) -> RunningStep | str | None:
    pending = [
        one
        for one in described.raw_description.pending_activities
        if one.activity_type.name == OBSERVES
    ]
    if not pending:
        return None
    activity = pending[-1]
    if not activity.heartbeat_details.payloads:
        return "a step is being judged; its observer has told nothing yet: ask again in a moment"
    progress = await _decoded(client, activity.heartbeat_details, Progress)
    return RunningStep(
        step=await _asked(client, described, activity),
        as_of=activity.last_heartbeat_time.ToDatetime(tzinfo=UTC),
        state=progress.state,
        chunks=progress.chunks,
        blocks=progress.blocks,
        left_out=progress.left_out,
    )


async def _asked(
    client: Client, described: WorkflowExecutionDescription, activity: PendingActivityInfo
) -> ObserveStep:
    """What the activity was scheduled with; from the end of the history backwards."""
    request = GetWorkflowExecutionHistoryReverseRequest(
        namespace=client.namespace,
        execution=WorkflowExecution(workflow_id=described.id, run_id=described.run_id),
        maximum_page_size=PAGE,
    )
    for _ in range(MOST_PAGES):
        answer = await client.workflow_service.get_workflow_execution_history_reverse(request)
        for event in answer.history.events:
            scheduled = event.activity_task_scheduled_event_attributes
            if scheduled.activity_id == activity.activity_id:
                return await _decoded(client, scheduled.input, ObserveStep)
        if not answer.next_page_token:
            break
        request.next_page_token = answer.next_page_token
    raise PermanentFailure("the history does not say what its observer was asked")


async def _decoded(client: Client, payloads: Payloads, model: type[Model]) -> Model:
    """PermanentFailure when it is of another version of Tidegate, or sealed with another key."""
    try:
        (found,) = await client.data_converter.decode(payloads.payloads, [model])
    except UNREADABLE as error:
        told = next(iter(str(error).splitlines()), type(error).__name__)
        raise PermanentFailure(
            f"what its observer carries is no {model.__name__} of this version of Tidegate: {told}"
        ) from error
    if not isinstance(found, model):
        raise PermanentFailure(f"what its observer carries is no {model.__name__}")
    return found
