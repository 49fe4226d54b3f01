"""The one place where our two kinds of errors take Temporal's form."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
)

from domain.errors import PermanentFailure, ReleaseError, TransientFailure


class NotYet(Exception):  # noqa: N818 - no error: "ask me again in `delay`"
    """A poll's answer: the activity is tried again after `delay`, without a trace in history."""

    def __init__(self, sentence: str, delay: timedelta) -> None:
        super().__init__(sentence)
        self.delay = delay


def as_application_error(error: ReleaseError | NotYet) -> ApplicationError:
    """Permanent: never retried. Transient: retried, when the outside says when, then.

    A poll is retried as well, and marked benign so that it does not fill the log.
    """
    if isinstance(error, NotYet):
        return ApplicationError(
            str(error),
            type="NotYet",
            next_retry_delay=error.delay,
            category=ApplicationErrorCategory.BENIGN,
        )
    return ApplicationError(
        str(error),
        type=type(error).__name__,
        non_retryable=isinstance(error, PermanentFailure),
        next_retry_delay=error.retry_after if isinstance(error, TransientFailure) else None,
    )


class FailureTranslation(Interceptor):
    """Worker interceptor: every activity's errors pass through `as_application_error`."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Wrap the chain."""
        return _Translating(next)


class _Translating(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        try:
            return await super().execute_activity(input)
        except (ReleaseError, NotYet) as error:
            raise as_application_error(error) from error
