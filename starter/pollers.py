"""Who serves a task queue, as Temporal's server sees it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

from starter.connection import RPC_TIMEOUT

if TYPE_CHECKING:
    from temporalio.client import Client

# A poll lasts up to a minute; the server forgets a poller only after five.
RECENT = timedelta(seconds=75)


async def is_polled(client: Client, queue: str, since: datetime | None = None) -> bool:
    """Whether a worker has asked for activities of a queue since then (default: lately)."""
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
    )
    found = await client.workflow_service.describe_task_queue(request, timeout=RPC_TIMEOUT)
    earliest = since or datetime.now(UTC) - RECENT
    return any(
        poller.last_access_time.ToDatetime(tzinfo=UTC) >= earliest for poller in found.pollers
    )
