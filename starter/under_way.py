"""What a release's activities wait for right now, and why they are tried again: in their own words.

The workflow knows what it asked for, Temporal what became of it up to now: the words that the
activity's heartbeat carries, and what ended its last attempt.
"""

from __future__ import annotations

from temporalio.api.common.v1 import Payloads
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import Client, WorkflowExecutionDescription
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from domain.errors import PermanentFailure
from starter.failures import UNREADABLE


async def words_of(client: Client, described: WorkflowExecutionDescription) -> tuple[str, ...]:
    """One line each; none for an activity that has nothing to say but that it is at work."""
    pending = described.raw_description.pending_activities
    return tuple([words for one in pending for words in await _words(client, one)])


async def _words(client: Client, activity: PendingActivityInfo) -> list[str]:
    found = []
    try:
        if told := await _told(client, activity.heartbeat_details):
            found.append(f"now: {told}")
        if activity.HasField("last_failure"):
            failure = await client.data_converter.decode_failure(activity.last_failure)
            if not _is_a_poll(failure):
                found.append(f"tried again, attempt {activity.attempt}: {_said(failure)}")
    except (PermanentFailure, *UNREADABLE) as unreadable:
        # What the release itself says can still be shown.
        found.append(f"what {activity.activity_type.name} says cannot be read: {unreadable}")
    return found


async def _told(client: Client, carried: Payloads) -> str:
    """What the heartbeat says to people; others carry their work's state."""
    values = await client.data_converter.decode(carried.payloads) if carried.payloads else []
    return values[0] if len(values) == 1 and isinstance(values[0], str) else ""


def _is_a_poll(failure: BaseException) -> bool:
    return (
        isinstance(failure, ApplicationError)
        and failure.category is ApplicationErrorCategory.BENIGN
    )


def _said(failure: BaseException) -> str:
    return getattr(failure, "message", None) or str(failure)
