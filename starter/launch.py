"""Starting a release's workflow: what the registry must hold first, then one start."""

from __future__ import annotations

import secrets

from temporalio.client import Client
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError

from domain.environments import CONTROL_QUEUE, release_id
from domain.errors import Conflict
from domain.release import ReleaseRequest
from settings import Settings
from starter import visibility
from starter.connection import RPC_TIMEOUT, connect, ui_link
from starter.failures import failures_about
from starter.scan_report import ScanReport

ATTEMPTS = 3


async def launch(
    request: ReleaseRequest, report: ScanReport | None, settings: Settings
) -> tuple[ReleaseRequest, str | None]:
    """Start a checked release; returns the request with its id, and the UI's page of it."""
    client = await connect(settings.temporal)
    if request.image is not None or report is not None:
        # Its client takes 0.15 s to import; most releases are built from a commit, by a worker.
        from starter.registry_check import with_registry  # noqa: PLC0415

        request = await with_registry(request, report, settings)
    started = await start(client, request)
    return started, ui_link(settings.temporal, started.release_id)


async def start(client: Client, request: ReleaseRequest) -> ReleaseRequest:
    """Start the workflow under a new id; returns the request with it.

    Conflict when several random ids in a row are taken.
    """
    for _ in range(ATTEMPTS):
        attempt = secrets.token_hex(2)
        named = request.with_(release_id=release_id(request.service, request.commit, attempt))
        try:
            await _start(client, named)
        except WorkflowAlreadyStartedError:
            continue
        return named
    raise Conflict(
        f"{ATTEMPTS} ids for a release of {request.service} {request.commit[:10]} are taken; "
        "try again"
    )


async def _start(client: Client, request: ReleaseRequest) -> None:
    with failures_about(client, f"release {request.release_id}"):
        await client.start_workflow(
            visibility.WORKFLOW,
            request,
            id=request.release_id,
            task_queue=CONTROL_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            static_summary=f"release {request.service} {request.commit[:10]}",
            static_details=f"Started by {request.started_by} from {request.source}",
            search_attributes=_attributes(request),
            rpc_timeout=RPC_TIMEOUT,
        )


def _attributes(request: ReleaseRequest) -> TypedSearchAttributes:
    # Set at the start, so that a release that no worker has seen yet is found as well.
    values = {visibility.SERVICE: request.service, visibility.COMMIT: request.commit[:10]}
    return TypedSearchAttributes(
        [
            SearchAttributePair(SearchAttributeKey.for_keyword(name), value)
            for name, value in values.items()
        ]
    )
