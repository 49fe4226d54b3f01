"""The one table of timeouts and retries: a named constant per kind of work."""

from __future__ import annotations

from datetime import timedelta

from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityCancellationType, ActivityConfig

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)

_PATIENT = RetryPolicy(initial_interval=SECOND, backoff_coefficient=2, maximum_interval=30 * SECOND)

# A short look at, or a note in, an outside system; an outage of an hour is waited out.
QUICK = ActivityConfig(
    start_to_close_timeout=30 * SECOND, schedule_to_close_timeout=HOUR, retry_policy=_PATIENT
)
# Tests, images: long, heartbeating, and not worth a fourth try.
BUILD = ActivityConfig(
    start_to_close_timeout=HOUR,
    schedule_to_close_timeout=3 * HOUR,
    heartbeat_timeout=30 * SECOND,
    retry_policy=RetryPolicy(initial_interval=5 * SECOND, maximum_attempts=3),
)
# Writing to a cluster and waiting until it shows: never cancelled half-way.
ROLLOUT = ActivityConfig(
    start_to_close_timeout=15 * MINUTE,
    schedule_to_close_timeout=2 * HOUR,
    heartbeat_timeout=10 * SECOND,
    retry_policy=_PATIENT,
)
# Watching a canary: days if need be; a lost worker is noticed in seconds.
OBSERVE = ActivityConfig(
    start_to_close_timeout=7 * 24 * HOUR,
    heartbeat_timeout=10 * SECOND,
    retry_policy=_PATIENT,
    cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
)
# Retried as a poll: the activity says when to look again, no slot is held in between.
POLL = ActivityConfig(
    start_to_close_timeout=MINUTE,
    retry_policy=_PATIENT,
    cancellation_type=ActivityCancellationType.TRY_CANCEL,
)
# Undoing: for as long as it takes, the machine's faults are waited out.
UNDO = ActivityConfig(
    start_to_close_timeout=15 * MINUTE, heartbeat_timeout=10 * SECOND, retry_policy=_PATIENT
)
# Telling people: worth a minute, never worth a release.
TELL = ActivityConfig(
    start_to_close_timeout=10 * SECOND,
    schedule_to_close_timeout=MINUTE,
    retry_policy=RetryPolicy(initial_interval=SECOND, maximum_attempts=5),
)


def on(queue: str, kind: ActivityConfig, summary: str) -> ActivityConfig:
    """One kind of work on one role's queue, with the line that Temporal's UI shows."""
    config = kind.copy()
    config["task_queue"] = queue
    config["summary"] = summary[:200]
    return config
