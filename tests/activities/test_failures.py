from __future__ import annotations

from datetime import timedelta

import pytest
from temporalio.exceptions import ApplicationErrorCategory

from activities.failures import NotYet, as_application_error
from domain.errors import Conflict, NotFound, PermanentFailure, TransientFailure

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("kind", [PermanentFailure, Conflict, NotFound])
def test_what_retrying_cannot_help_is_not_retried(kind: type[PermanentFailure]) -> None:
    error = as_application_error(kind("Deployment album is forbidden"))
    assert error.non_retryable
    assert (error.type, error.message) == (kind.__name__, "Deployment album is forbidden")


def test_what_may_recover_is_retried_when_the_outside_says() -> None:
    error = as_application_error(TransientFailure("429", retry_after=MINUTE))
    assert not error.non_retryable
    assert error.next_retry_delay == MINUTE
    assert as_application_error(TransientFailure("unreachable")).next_retry_delay is None


def test_a_poll_is_asked_again_without_noise() -> None:
    error = as_application_error(NotYet("the window ends in 1m", MINUTE))
    assert not error.non_retryable
    assert error.next_retry_delay == MINUTE
    assert error.category is ApplicationErrorCategory.BENIGN
