"""What Temporal's client raises, in our words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from temporalio.client import WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import NotFound, PermanentFailure, ReleaseError, TransientFailure

# The library's own timeout is called CANCELLED.
_NO_ANSWER = (
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.CANCELLED,
    RPCStatusCode.FAILED_PRECONDITION,
)


@contextmanager
def failures_about(subject: str) -> Iterator[None]:
    """Turn what Temporal's client raises into our errors; `subject` such as `release X`."""
    try:
        yield
    except WorkflowQueryFailedError as error:
        raise TransientFailure(
            f"{subject} cannot be asked: {error}; look at its worker's log"
        ) from error
    except RPCError as error:
        raise _failure(subject, error) from error


def _failure(subject: str, error: RPCError) -> ReleaseError:
    if error.status is RPCStatusCode.NOT_FOUND:
        return NotFound(f"there is no {subject}; `tidegate list` shows what there is")
    if error.status is RPCStatusCode.INVALID_ARGUMENT:
        # Above all a namespace that was never prepared: it has no search attributes of ours.
        return PermanentFailure(
            f"Temporal refused {subject}: {error.message}; `tidegate doctor` says what its "
            "namespace lacks and how to add it"
        )
    if error.status in _NO_ANSWER:
        return TransientFailure(
            f"{subject} does not answer ({error.message}): no worker of role control may be "
            "running; start one: tidegate worker --role control"
        )
    return TransientFailure(f"Temporal did not answer about {subject}: {error.message}; try again")
