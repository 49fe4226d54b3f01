"""One activity under a real server and a real worker: how many attempts does it take?"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.client import WorkflowHandle
from temporalio.common import RetryPolicy
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.failures import FailureTranslation
from tests.support.temporal import dev_server

QUEUE = "attempts"
LONGEST = timedelta(seconds=40)


@workflow.defn
class OneActivity:
    """Run an activity by name with a heartbeat timeout, for as many attempts as it takes."""

    @workflow.run
    async def run(self, name: str, question: Any, heartbeat_timeout: timedelta) -> Any:
        """The activity's answer."""
        return await workflow.execute_activity(
            name,
            question,
            start_to_close_timeout=timedelta(minutes=5),
            heartbeat_timeout=heartbeat_timeout,
            retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=100)),
        )


class Attempts:
    """A worker's activities, asked through the server."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def start(
        self, name: str, question: object, heartbeat_timeout: timedelta
    ) -> WorkflowHandle[Any, Any]:
        """Start an activity."""
        handle: WorkflowHandle[Any, Any] = await self._client.start_workflow(
            OneActivity.run,
            args=[name, question, heartbeat_timeout],
            id=f"{name}-{uuid.uuid4()}",
            task_queue=QUEUE,
            execution_timeout=LONGEST,
        )
        return handle

    async def do(
        self, name: str, question: object, heartbeat_timeout: timedelta
    ) -> tuple[Any, int]:
        """An activity's answer as plain data, and the number of the attempt that gave it."""
        handle = await self.start(name, question, heartbeat_timeout)
        answer = await handle.result()
        history = await handle.fetch_history()
        (attempt,) = [
            event.activity_task_started_event_attributes.attempt
            for event in history.events
            if event.HasField("activity_task_started_event_attributes")
        ]
        return answer, attempt


@asynccontextmanager
async def attempts(methods: Sequence[Callable[..., Any]]) -> AsyncIterator[Attempts]:
    """A server, and a worker with these activities."""
    async with (
        dev_server() as server,
        Worker(
            server.client,
            task_queue=QUEUE,
            workflows=[OneActivity],
            activities=methods,
            interceptors=[FailureTranslation()],
            workflow_runner=UnsandboxedWorkflowRunner(),
            graceful_shutdown_timeout=timedelta(seconds=1),
        ),
    ):
        yield Attempts(server.client)
