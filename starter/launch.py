"""Starting a release's workflow: the image must exist, a scan report is handed in, one start."""

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

from activities.places import qualified
from clients.artifacts import Artifact, ArtifactLayer
from clients.registry import Registry
from domain.environments import CONTROL_QUEUE, release_id
from domain.errors import Conflict, NotFound
from domain.images import Reference
from domain.records import digest_of
from domain.release import ReleaseRequest
from settings import Settings
from starter import visibility
from starter.connection import RPC_TIMEOUT, connect, ui_link
from starter.failures import failures_about
from starter.registries import registry_of
from starter.scan_report import ScanReport

# One of those that `activities.scan` looks for on an image.
SCAN_REPORT_TYPE = "application/vnd.tidegate.scan-report.v1+json"
ATTEMPTS = 3


async def launch(
    request: ReleaseRequest, report: ScanReport | None, settings: Settings
) -> tuple[ReleaseRequest, str | None]:
    """Start a checked release; returns the request with its id, and the UI's page of it."""
    client = await connect(settings.temporal)
    if request.image is not None or report is not None:
        async with registry_of(settings) as registry:
            request = await _with_registry(registry, request, report, settings)
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
    with failures_about(f"release {request.release_id}"):
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


async def _with_registry(
    registry: Registry, request: ReleaseRequest, report: ScanReport | None, settings: Settings
) -> ReleaseRequest:
    image = Reference.parse(request.image) if request.image else None
    if image is not None:
        await _find(registry, image)
    if report is None:
        return request
    # Without an image there is nothing yet that the report could refer to.
    artifact = Artifact(
        artifact_type=SCAN_REPORT_TYPE,
        layers=(ArtifactLayer(SCAN_REPORT_TYPE, report.content),),
        subject=image.digest if image else None,
    )
    own = qualified(request.plan.image, settings.registry.default)
    await registry.push_artifact(image.repository if image else own, artifact)
    return request.with_(scan_report=digest_of(report.content))


async def _find(registry: Registry, image: Reference) -> None:
    try:
        await registry.resolve(image)
    except NotFound as error:
        raise NotFound(
            f"image {image} does not exist; push it first, or correct --image"
        ) from error
