"""Finding releases in Temporal and reading their state."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Awaitable
from datetime import datetime
from typing import NamedTuple

from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus, WorkflowHandle
from temporalio.common import SearchAttributeKey

from domain.errors import NotFound
from domain.release import ReleaseState
from starter import visibility
from starter.connection import RPC_TIMEOUT
from starter.failures import failures_about
from starter.under_way import words_of

# Releases of a service that are looked through for the latest; the server lists running ones
# first, then closed ones by the end.
LOOKED_THROUGH = 100

_KEYWORDS = {
    name: SearchAttributeKey.for_keyword(name)
    for name, kind in visibility.TYPES.items()
    if kind == "Keyword"
}
_WEIGHT = SearchAttributeKey.for_int(visibility.WEIGHT)


class Seen(NamedTuple):
    """A release as seen now: what it says, and what Temporal says of its workflow."""

    state: ReleaseState
    status: WorkflowExecutionStatus | None
    # What its activities wait for, or why they are tried again.
    under_way: tuple[str, ...] = ()

    @property
    def was_cut_off(self) -> bool:
        """Whether the workflow was closed from outside before it could end by itself."""
        return not self.state.is_over and self.status is not WorkflowExecutionStatus.RUNNING

    @property
    def cut_off_note(self) -> str:
        """What to say of a release that was closed from outside."""
        status = self.status.name.lower() if self.status else "closed"
        release = self.state.request.release_id
        return (
            f"its workflow was {status} from outside; what it did is undone by rollback-{release}"
        )


class Listed(NamedTuple):
    """One line of a list, from Temporal's visibility alone: no worker is asked."""

    release: str
    service: str | None
    commit: str | None
    phase: str | None
    outcome: str | None
    weight: int | None
    status: str
    started_at: datetime
    ended_at: datetime | None


async def find(client: Client, name: str | None) -> str:
    """The id of a release by its id, or the latest one of a service, or of all.

    NotFound names the nearest service that has releases.
    """
    if name is not None and visibility.is_release_id(name):
        return name
    found = await _executions(client, visibility.query(name), LOOKED_THROUGH)
    if found:
        return max(found, key=lambda one: one.start_time).id
    if name is None:
        raise NotFound("there is no release yet; start one: tidegate release SERVICE")
    raise NotFound(f"{name} has no release{await _nearest(client, name)}")


async def look(client: Client, release_id: str) -> Seen:
    """Read a release's state; a finished one is read from its result, without any worker."""
    handle = client.get_workflow_handle(release_id, result_type=ReleaseState)
    subject = f"release {release_id}"
    with failures_about(client, subject):
        # The client tries again for ten seconds, however short the time of one try.
        async with asyncio.timeout(RPC_TIMEOUT.total_seconds()):
            described = await handle.describe()
            words = await words_of(client, described)
    with failures_about(client, subject, of_worker=True):
        return Seen(await _state(handle, described.status), described.status, words)


async def listed(client: Client, query: str, limit: int) -> list[Listed]:
    """Releases that a visibility query finds, the latest first."""
    found = await _executions(client, query, limit)
    return [_listed(one) for one in sorted(found, key=lambda one: one.start_time, reverse=True)]


def _state(
    handle: WorkflowHandle[object, ReleaseState], status: WorkflowExecutionStatus | None
) -> Awaitable[ReleaseState]:
    if status is WorkflowExecutionStatus.COMPLETED:
        return handle.result(rpc_timeout=RPC_TIMEOUT)
    return handle.query("state", result_type=ReleaseState, rpc_timeout=RPC_TIMEOUT)


async def _executions(client: Client, query: str, limit: int) -> list[WorkflowExecution]:
    with failures_about(client, "list of releases"):
        found = client.list_workflows(query, limit=limit, rpc_timeout=RPC_TIMEOUT)
        return [execution async for execution in found]


async def _nearest(client: Client, name: str) -> str:
    recent = await _executions(client, visibility.query(), LOOKED_THROUGH)
    services = sorted({one.service for one in map(_listed, recent) if one.service})
    nearest = difflib.get_close_matches(name, services, n=1)
    if nearest:
        return f"; did you mean {nearest[0]}?"
    return f"; there are releases of {', '.join(services)}" if services else " yet"


def _listed(execution: WorkflowExecution) -> Listed:
    found = execution.typed_search_attributes
    status = execution.status.name.lower() if execution.status else "unknown"
    return Listed(
        release=execution.id,
        service=found.get(_KEYWORDS[visibility.SERVICE]),
        commit=found.get(_KEYWORDS[visibility.COMMIT]),
        phase=found.get(_KEYWORDS[visibility.PHASE]),
        outcome=found.get(_KEYWORDS[visibility.OUTCOME]),
        weight=found.get(_WEIGHT),
        status=status,
        started_at=execution.start_time,
        ended_at=execution.close_time,
    )
