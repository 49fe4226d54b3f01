"""Real Temporal servers for tests: the time-skipping one and the dev server, and their workers."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.failures import FailureTranslation
from domain.environments import CONTROL_QUEUE
from workflows.lane import LaneWorkflow
from workflows.release import ReleaseWorkflow
from workflows.rollback import RollbackWorkflow
from workflows.story import COMMIT, OUTCOME, PHASE, SERVICE, WEIGHT

BIN = Path(sys.executable).parent
WORKFLOWS = (ReleaseWorkflow, LaneWorkflow, RollbackWorkflow)
ATTRIBUTES: tuple[SearchAttributeKey[Any], ...] = (SERVICE, COMMIT, PHASE, OUTCOME, WEIGHT)
Activities = Mapping[str, Sequence[Callable[..., Any]]]


@asynccontextmanager
async def skipping_server() -> AsyncIterator[WorkflowEnvironment]:
    """Days in a moment; no updates while time is skipped, so people speak by signal here."""
    async with await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=str(BIN / "temporal-test-server"),
        data_converter=pydantic_data_converter,
    ) as server:
        await server.client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                namespace=server.client.namespace,
                search_attributes={
                    key.name: IndexedValueType.ValueType(key.indexed_value_type)
                    for key in ATTRIBUTES
                },
            )
        )
        yield server


@asynccontextmanager
async def dev_server(*, longest_history: int = 4096) -> AsyncIterator[WorkflowEnvironment]:
    """The real server on the wall clock, for updates, cancellation, termination and lanes.

    After `longest_history` events it suggests to continue as new.
    """
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(BIN / "temporal"),
        data_converter=pydantic_data_converter,
        search_attributes=list(ATTRIBUTES),
        dev_server_log_level="never",
        # Timers are otherwise up to a second late.
        dev_server_extra_args=[
            "--dynamic-config-value",
            'history.timerProcessorMaxTimeShift="10ms"',
            "--dynamic-config-value",
            f"limit.historyCount.suggestContinueAsNew={longest_history}",
        ],
    ) as server:
        yield server


@asynccontextmanager
async def workers(
    client: Client,
    activities: Activities,
    *,
    queues: Sequence[str] = (),
    cached_workflows: int = 1000,
) -> AsyncIterator[None]:
    """One worker per role's queue (all, or those named), as the real ones, in one process."""
    async with AsyncExitStack() as stack:
        for queue in queues or activities:
            worker = Worker(
                client,
                task_queue=queue,
                workflows=WORKFLOWS if queue == CONTROL_QUEUE else (),
                activities=activities[queue],
                interceptors=[FailureTranslation()],
                max_cached_workflows=cached_workflows,
                # A look that is given up hears it by its heartbeat.
                max_heartbeat_throttle_interval=timedelta(milliseconds=20),
                default_heartbeat_throttle_interval=timedelta(milliseconds=20),
                sticky_queue_schedule_to_start_timeout=timedelta(seconds=1),
                graceful_shutdown_timeout=timedelta(seconds=1),
            )
            await stack.enter_async_context(worker)
        yield
