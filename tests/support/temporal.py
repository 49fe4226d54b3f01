"""Real Temporal servers for tests: the time-skipping one and the dev server, and their workers."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from activities.failures import FailureTranslation
from domain.environments import CONTROL_QUEUE
from tests.cluster import ports
from workflows.lane import LaneWorkflow
from workflows.release import ReleaseWorkflow
from workflows.rollback import RollbackWorkflow
from workflows.story import COMMIT, OUTCOME, PHASE, SERVICE, WEIGHT

BIN = Path(sys.executable).parent
START_SECONDS = 30.0
TESTS_OF_A_SERVER = 15
# Timers are otherwise up to a second late, and tasks wait for the next of 20 looks per second.
PUNCTUAL = ('history.timerProcessorMaxTimeShift="10ms"',)
HASTY = (
    *PUNCTUAL,
    "history.transferProcessorMaxPollRPS=1000",
    "history.timerProcessorMaxPollRPS=1000",
)
WORKFLOWS = (ReleaseWorkflow, LaneWorkflow, RollbackWorkflow)
ATTRIBUTES: tuple[SearchAttributeKey[Any], ...] = (SERVICE, COMMIT, PHASE, OUTCOME, WEIGHT)
_numbers = count(1)
Activities = Mapping[str, Sequence[Callable[..., Any]]]


class PreparedOnce(SandboxedWorkflowRunner):
    """The sandbox of the real workers; that a workflow can be loaded in it is tried once."""

    _prepared: ClassVar[set[type]] = set()

    def prepare_workflow(self, defn: Any) -> None:
        if defn.cls not in self._prepared:
            super().prepare_workflow(defn)
            self._prepared.add(defn.cls)


@asynccontextmanager
async def skipping_server() -> AsyncIterator[WorkflowEnvironment]:
    """Days in a moment; no updates while time is skipped, so people speak by signal here."""
    async with await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=str(BIN / "temporal-test-server"),
        data_converter=pydantic_data_converter,
    ) as server:
        await _add_attributes(server.client)
        yield server


@asynccontextmanager
async def dev_server(*, hasty: bool = True) -> AsyncIterator[WorkflowEnvironment]:
    """The real server on the wall clock, for updates, cancellation, termination and lanes.

    The process's tests share one, which none of them may stop; each has a namespace of its own.
    One in haste gives a stopping worker tasks that are lost with it until they time out.
    """
    server = _shared.get(hasty) or _Shared(hasty=hasty)
    _shared[hasty] = server
    with server.used():
        namespace = f"test-{next(_numbers)}"
        client = await _connected(server.address, namespace)
        retention = Duration(seconds=24 * 3600)
        await client.workflow_service.register_namespace(
            RegisterNamespaceRequest(
                namespace=namespace, workflow_execution_retention_period=retention
            ),
            retry=True,
        )
        await _add_attributes(client)
        yield WorkflowEnvironment.from_client(client)
    if server.is_spent:
        del _shared[hasty]
        server.end()


@asynccontextmanager
async def own_dev_server(*, longest_history: int = 4096) -> AsyncIterator[WorkflowEnvironment]:
    """A real server for one test, which may stop it, with the namespace `default`.

    After `longest_history` events it suggests to continue as new.
    """
    async with await _start(longest_history) as server:
        yield server


def connection_to(server: WorkflowEnvironment) -> dict[str, str]:
    """Where a person's connection file finds it."""
    client = server.client
    address = client.service_client.config.target_host
    return {"address": address, "namespace": client.namespace}


async def _start(longest_history: int) -> WorkflowEnvironment:
    return await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(BIN / "temporal"),
        data_converter=pydantic_data_converter,
        search_attributes=list(ATTRIBUTES),
        dev_server_log_level="never",
        dev_server_extra_args=_configured(*HASTY, _suggestion(longest_history)),
    )


def _configured(*values: str) -> list[str]:
    return [word for value in values for word in ("--dynamic-config-value", value)]


def _suggestion(longest_history: int) -> str:
    return f"limit.historyCount.suggestContinueAsNew={longest_history}"


class _Shared:
    """A server for some tests, one after the other; each leaves some 14 MiB in it."""

    def __init__(self, *, hasty: bool) -> None:
        (port,) = ports.free(1)
        self.address = f"{ports.HOST}:{port}"
        self._users = 0
        self._uses = 0
        # Not by `start_local`: the end of the interpreter is too late for an event loop.
        self._process = subprocess.Popen(
            [
                *(BIN / "temporal", "server", "start-dev", "--headless", "--log-level", "never"),
                *("--ip", ports.HOST, "--port", str(port)),
                *_configured(*(HASTY if hasty else PUNCTUAL)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        atexit.register(self.end)

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """For the length of one test."""
        self._users += 1
        self._uses += 1
        try:
            yield
        finally:
            self._users -= 1

    @property
    def is_spent(self) -> bool:
        """Whether the next test gets another one."""
        return self._uses >= TESTS_OF_A_SERVER and not self._users

    def end(self) -> None:
        """Stop it."""
        atexit.unregister(self.end)
        self._process.terminate()
        self._process.wait()


_shared: dict[bool, _Shared] = {}


async def _connected(address: str, namespace: str) -> Client:
    """Once the server listens and finds itself well."""
    async with asyncio.timeout(START_SECONDS):
        while True:
            with contextlib.suppress(RuntimeError):
                return await Client.connect(
                    address, namespace=namespace, data_converter=pydantic_data_converter
                )
            await asyncio.sleep(0.02)


async def _add_attributes(client: Client) -> None:
    await client.operator_service.add_search_attributes(
        AddSearchAttributesRequest(
            namespace=client.namespace,
            search_attributes={
                key.name: IndexedValueType.ValueType(key.indexed_value_type) for key in ATTRIBUTES
            },
        ),
        retry=True,
    )


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
                workflow_runner=PreparedOnce(),
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
