"""What a Kubernetes API server means when it says no: `Status` objects (meta/v1) in our errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from clients.http import retry_after
from domain.errors import (
    Conflict,
    NoAccess,
    NotFound,
    PermanentFailure,
    ReleaseError,
    TransientFailure,
)

_LONGEST_QUOTE = 600
_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Status:
    """The API server's own failure; `details` name the object, `causes` inside the fields."""

    reason: str
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def causes(self) -> tuple[str, ...]:
        """`spec.replicas: must be ...`, one per field that was refused."""
        listed = self.details.get("causes") or ()
        return tuple(
            ": ".join(part for part in (cause.get("field"), cause.get("message")) if part)
            for cause in listed
        )


def status_in(code: int, body: bytes) -> Status | None:
    """The `Status` that an unsuccessful answer holds; None when the body is something else."""
    try:
        found = json.loads(body)
    except ValueError:
        return None
    if not isinstance(found, dict) or (found.get("kind"), found.get("code")) != ("Status", code):
        return None
    return Status(
        str(found.get("reason") or ""), str(found.get("message") or ""), found.get("details") or {}
    )


def is_failed_patch(code: int, body: bytes) -> bool:
    """Whether a JSON patch could not be applied (a `test` failed, a path is missing).

    The server answers 422 then, as for an invalid object, but names neither object nor causes.
    """
    status = status_in(code, body)
    return code == 422 and status is not None and not status.causes and not status.details


def is_absent(code: int, body: bytes, name: str) -> bool:
    """Whether a 404 means that this object is absent, not that its kind or path is unknown."""
    status = status_in(code, body)
    return code == 404 and status is not None and status.details.get("name") == name


def failure(
    action: str, permission: str, code: int, headers: Mapping[str, str], body: bytes
) -> ReleaseError:
    """Translate an answer that is no success.

    `action` is what was tried ("patch HTTPRoute album (context staging, namespace staging)"),
    `permission` what RBAC calls it ("patch on httproutes... in namespace staging").
    """
    status = status_in(code, body) or Status("", body.decode(errors="replace"))
    said = f"cannot {action}: {_quote(status.message) or f'the API server answered {code}'}"
    if code in _TRANSIENT:
        return TransientFailure(f"{said}; it is tried again", _patience(headers, status))
    if code == 422 and status.causes:
        return PermanentFailure(f"cannot {action}: {'; '.join(status.causes)}")
    if code in (409, 412):
        return Conflict(said)
    if code == 404:
        return NotFound(f"{said}; {_what_is_missing(status)}")
    kind = NoAccess if _lets_us_not_in(code, status) else PermanentFailure
    return kind(f"{said}; {_way_out(code, status, permission)}")


def _patience(headers: Mapping[str, str], status: Status) -> timedelta | None:
    seconds = status.details.get("retryAfterSeconds")
    if isinstance(seconds, int) and seconds > 0:
        return timedelta(seconds=seconds)
    return retry_after(headers)


def _lets_us_not_in(code: int, status: Status) -> bool:
    """Quotas, admission and a namespace that is being deleted forbid too: no right would help."""
    return code == 401 or (code == 403 and ("cannot" in status.message or not status.message))


def _way_out(code: int, status: Status, permission: str) -> str:
    if code == 401:
        return "renew the credentials of this context"
    if code != 403:
        return f"it is not tried again (HTTP {code})"
    if _lets_us_not_in(code, status):
        return f"grant {permission}"
    return "an admission rule or quota of the cluster refuses it"


def _what_is_missing(status: Status) -> str:
    if status.details.get("name"):
        return "create it, or check the name"
    return "the cluster does not serve this kind: install its CRD or correct the address"


def _quote(text: str) -> str:
    shown = " ".join(text.split())
    return shown if len(shown) <= _LONGEST_QUOTE else shown[:_LONGEST_QUOTE] + "..."
