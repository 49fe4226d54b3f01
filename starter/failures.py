"""What Temporal's client raises, in our words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from temporalio.client import Client, WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import NotFound, PermanentFailure, ReleaseError, TransientFailure

# The library's own timeout is called CANCELLED.
_NO_WORKER = (
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.CANCELLED,
    RPCStatusCode.FAILED_PRECONDITION,
)

# What decoding raises of a payload that was sealed with a key we do not have, or that another
# version wrote; with a wrong key `payloads` raises PermanentFailure itself.
UNREADABLE = (LookupError, ValueError, RuntimeError)


@contextmanager
def failures_about(client: Client, subject: str, *, of_worker: bool = False) -> Iterator[None]:
    """Turn what Temporal's client raises into our errors; `subject` such as `release X`.

    `of_worker`: a worker must answer, so that silence is not Temporal's own.
    """
    try:
        yield
    except WorkflowQueryFailedError as error:
        raise TransientFailure(
            f"{subject} cannot be asked: {error}; look at its worker's log"
        ) from error
    except TimeoutError as error:
        raise silence(client, "no answer in time") from error
    except RPCError as error:
        raise _failure(client, subject, error, of_worker) from error


def silence(client: Client, why: str) -> TransientFailure:
    """Temporal itself does not answer."""
    address = client.service_client.config.target_host
    return TransientFailure(
        f"Temporal does not answer at {address} ({why}); `tidegate doctor` tries every connection"
    )


def _failure(client: Client, subject: str, error: RPCError, of_worker: bool) -> ReleaseError:
    if error.status is RPCStatusCode.NOT_FOUND:
        return NotFound(f"there is no {subject}; `tidegate list` shows what there is")
    if error.status is RPCStatusCode.INVALID_ARGUMENT:
        # Above all a namespace that was never prepared: it has no search attributes of ours.
        return PermanentFailure(
            f"Temporal refused {subject}: {error.message}; `tidegate doctor` says what its "
            "namespace lacks and how to add it"
        )
    if of_worker and error.status in _NO_WORKER:
        return TransientFailure(
            f"{subject} does not answer ({error.message}): no worker of role control may be "
            "running; start one: tidegate worker --role control"
        )
    return silence(client, error.message)
