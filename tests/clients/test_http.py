from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from clients.http import connection_failures, retry_after, status_failure
from domain.errors import Conflict, NotFound, PermanentFailure, ReleaseError, TransientFailure

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("7", timedelta(seconds=7)),
        ("0", timedelta(0)),
        ("Fri, 02 Jan 2026 03:05:05 GMT", timedelta(minutes=1)),
        ("Fri, 02 Jan 2026 03:05:05 -0000", timedelta(minutes=1)),
        ("Fri, 02 Jan 2026 03:00:00 GMT", timedelta(0)),
        ("99999999999", timedelta(days=1)),
        ("-1", None),
        ("soon", None),
        ("", None),
    ],
)
def test_a_servers_wish_to_wait_is_read_in_both_forms(text: str, wish: timedelta | None) -> None:
    assert retry_after({"Retry-After": text}, NOW) == wish


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (400, PermanentFailure),
        (401, PermanentFailure),
        (403, PermanentFailure),
        (404, NotFound),
        (408, TransientFailure),
        (409, Conflict),
        (410, NotFound),
        (412, Conflict),
        (429, TransientFailure),
        (500, TransientFailure),
        (503, TransientFailure),
    ],
)
def test_every_status_has_its_failure(status: int, failure: type[ReleaseError]) -> None:
    assert type(status_failure(status, "read x", "log in", {})) is failure


def test_a_failure_says_what_was_tried_what_came_and_what_to_do() -> None:
    said = str(status_failure(403, "push album", "log in as a builder", {}, "no\n  way"))
    assert said == "push album: the server answered 403: no way; log in as a builder"


def test_a_long_answer_is_cut() -> None:
    assert len(str(status_failure(400, "push album", "", {}, "x" * 10_000))) < 400


async def test_an_address_that_is_none_is_permanent() -> None:
    async with aiohttp.ClientSession() as session:
        with (
            pytest.raises(PermanentFailure, match="not a valid address"),
            connection_failures("ask", "http://"),
        ):
            await session.get("http://")
