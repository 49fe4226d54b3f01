"""What `tidegate doctor` asks Temporal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest

from domain.environments import BUILD_QUEUE, CONTROL_QUEUE, cluster_queue
from domain.quantities import format_duration
from settings import Settings
from starter.connection import RPC_TIMEOUT, connect
from starter.examination import Check, Examination
from starter.pollers import is_polled
from starter.visibility import TYPES

if TYPE_CHECKING:
    from temporalio.client import Client


def examinations(settings: Settings) -> list[Examination]:
    """Server, namespace, search attributes, workers."""

    async def examine() -> list[Check]:
        client = await connect(settings.temporal)
        from starter.failures import failures_about  # noqa: PLC0415 - see `starter.connection`

        with failures_about(client, f"namespace {client.namespace}"):
            return [
                await _namespace(client, settings),
                await _search_attributes(client),
                *[await _worker(client, queue) for queue in _queues(settings)],
            ]

    return [Examination("temporal", examine)]


async def _namespace(client: Client, settings: Settings) -> Check:
    request = DescribeNamespaceRequest(namespace=client.namespace)
    found = await client.workflow_service.describe_namespace(request, timeout=RPC_TIMEOUT)
    kept = format_duration(found.config.workflow_execution_retention_ttl.ToTimedelta())
    told = f"{settings.temporal.address}, namespace {client.namespace}, histories kept {kept}"
    return Check("temporal", True, told)


async def _search_attributes(client: Client) -> Check:
    request = ListSearchAttributesRequest(namespace=client.namespace)
    found = await client.operator_service.list_search_attributes(request, timeout=RPC_TIMEOUT)
    missing = [name for name in TYPES if name not in found.custom_attributes]
    add = "; ".join(
        f"temporal operator search-attribute create --namespace {client.namespace} "
        f"--name {name} --type {TYPES[name]}"
        for name in missing
    )
    told = f"missing: {', '.join(missing)}" if missing else f"all {len(TYPES)} are there"
    return Check("search attributes", not missing, told, add)


async def _worker(client: Client, queue: str) -> Check:
    polled = await is_polled(client, queue)
    told = "a worker polls" if polled else "no worker polls"
    return Check(f"worker {queue}", polled, told, f"tidegate worker --role {queue}")


def _queues(settings: Settings) -> list[str]:
    return [CONTROL_QUEUE, BUILD_QUEUE, *map(cluster_queue, settings.environments)]
