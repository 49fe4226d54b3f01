"""How HTTP goes wrong, told in our words: used by every client that speaks it with aiohttp."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version

import aiohttp

from domain.errors import Conflict, NotFound, PermanentFailure, ReleaseError, TransientFailure

_LONGEST_QUOTE = 300
_OVERLOADED = (408, 425, 429)


def own_version() -> str:
    """Tidegate's version, as its clients name it in `User-Agent`; `source` when not installed."""
    try:
        return version("tidegate")
    except PackageNotFoundError:
        return "source"


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> timedelta | None:
    """Read `Retry-After` (RFC 9110, 10.2.3): seconds or a date; None when absent or unreadable."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        # Five thousand digits are no number to Python.
        return timedelta(seconds=min(int(text[:9]), 86_400))
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(timedelta(0), moment - (now or datetime.now(UTC)))


def status_failure(
    status: int, subject: str, remedy: str, headers: Mapping[str, str], body: str = ""
) -> ReleaseError:
    """Translate an answer that is not a success.

    `subject` says what was attempted on which object, `remedy` what to fix when access is denied.
    408, 425, 429 and 5xx are transient (with the server's Retry-After), 404 and 410 NotFound,
    409 and 412 Conflict, the rest permanent.
    """
    quote = f": {_shortened(body)}" if body.strip() else ""
    said = f"{subject}: the server answered {status}{quote}"
    if status in _OVERLOADED or status >= 500:
        return TransientFailure(f"{said}; it is tried again", retry_after(headers))
    if status in (401, 403):
        return PermanentFailure(f"{said}; {remedy}")
    if status in (404, 410):
        return NotFound(f"{said}; check the name")
    if status in (409, 412):
        return Conflict(f"{said}; somebody else changed it")
    return PermanentFailure(said)


@contextmanager
def connection_failures(subject: str, address: str) -> Iterator[None]:
    """Translate what aiohttp raises when no whole answer arrives from `address`."""
    try:
        yield
    except aiohttp.InvalidURL as error:
        raise PermanentFailure(f"{subject}: {address} is not a valid address") from error
    except aiohttp.ClientConnectorCertificateError as error:
        raise PermanentFailure(
            f"{subject}: the certificate of {address} is not trusted ({error.certificate_error}); "
            "add its authority to the trusted ones of this machine"
        ) from error
    except aiohttp.ClientSSLError as error:
        raise PermanentFailure(
            f"{subject}: {address} does not speak TLS ({error}); "
            "if plain HTTP is meant, say so in the configuration"
        ) from error
    except aiohttp.ClientConnectorError as error:
        reason = error.os_error.strerror or error.os_error
        raise TransientFailure(
            f"{subject}: {address} cannot be reached ({reason}); check that it runs"
        ) from error
    except TimeoutError as error:
        raise TransientFailure(f"{subject}: {address} did not answer in time") from error
    except (aiohttp.ClientError, ConnectionError) as error:
        reason = str(error) or type(error).__name__
        raise TransientFailure(
            f"{subject}: the answer of {address} broke off ({reason})"
        ) from error


def _shortened(body: str) -> str:
    text = " ".join(body.split())
    return text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "..."
