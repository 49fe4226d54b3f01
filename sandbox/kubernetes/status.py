"""Kubernetes `Status` errors: what the API server answers when it cannot do what was asked."""

from __future__ import annotations

from typing import Any

Manifest = dict[str, Any]
_CAUSES = {
    "Duplicate value": "FieldValueDuplicate",
    "Forbidden": "FieldValueForbidden",
    "Not found": "FieldValueNotFound",
    "Required value": "FieldValueRequired",
    "Too many": "FieldValueTooMany",
    "Unsupported value": "FieldValueNotSupported",
}


class StatusError(Exception):
    """An answer of the API server that is not a success; `body()` is its wire form.

    Empty details are written, None are left out, as the server does for each kind of failure.
    """

    def __init__(
        self, code: int, reason: str, message: str, details: Manifest | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    def body(self) -> Manifest:
        """The `Status` object of meta/v1, as JSON-ready data."""
        head = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        body = {**head, "message": self.message, "code": self.code}
        if self.reason:
            body["reason"] = self.reason
        if self.details is not None:
            body["details"] = self.details
        return body


def _named(resource: str, group: str, name: str) -> Manifest:
    details = {"name": name, "kind": resource, "group": group}
    return {field: text for field, text in details.items() if text}


def qualified(resource: str, group: str) -> str:
    """`deployments.apps`, or `pods` for the core group, as messages name a resource."""
    return f"{resource}.{group}" if group else resource


def not_found(resource: str, group: str, name: str) -> StatusError:
    """404: the named object does not exist."""
    message = f'{qualified(resource, group)} "{name}" not found'
    return StatusError(404, "NotFound", message, _named(resource, group, name))


def already_exists(resource: str, group: str, name: str) -> StatusError:
    """409 on create: an object of that name is there."""
    message = f'{qualified(resource, group)} "{name}" already exists'
    return StatusError(409, "AlreadyExists", message, _named(resource, group, name))


def conflict(resource: str, group: str, name: str, why: str) -> StatusError:
    """409: the object is not the one the caller read."""
    message = f'Operation cannot be fulfilled on {qualified(resource, group)} "{name}": {why}'
    return StatusError(409, "Conflict", message, _named(resource, group, name))


def invalid(kind: str, group: str, name: str, causes: list[tuple[str, str]]) -> StatusError:
    """422: `causes` are (field path, sentence) pairs, each named in the message."""
    listed = list(dict.fromkeys(f"{field}: {sentence}" for field, sentence in causes))
    summary = listed[0] if len(listed) == 1 else f"[{', '.join(listed)}]"
    details = _named(kind, group, name)
    details["causes"] = [
        {"reason": _cause_of(sentence), "message": sentence, "field": field}
        for field, sentence in causes
    ]
    message = f'{qualified(kind, group)} "{name}" is invalid: {summary}'
    return StatusError(422, "Invalid", message, details)


def _cause_of(sentence: str) -> str:
    begins = (reason for text, reason in _CAUSES.items() if sentence.startswith(text))
    return next(begins, "FieldValueInvalid")


def bad_request(message: str) -> StatusError:
    """400: the request itself cannot be understood."""
    return StatusError(400, "BadRequest", message)


def gone(message: str) -> StatusError:
    """410: the resourceVersion asked for has left the event log; list again."""
    return StatusError(410, "Expired", message)


def too_new(version: str, current: int) -> StatusError:
    """504: nothing has the resourceVersion asked for yet; it may be asked for again in a second."""
    text = "Too large resource version"
    cause = {"reason": "ResourceVersionTooLarge", "message": text}
    details = {"causes": [cause], "retryAfterSeconds": 1}
    return StatusError(504, "Timeout", f"Timeout: {text}: {version}, current: {current}", details)


def not_implemented(method: str, path: str) -> StatusError:
    """501: the request shape is outside what the sandbox simulates."""
    message = f"the sandbox does not implement {method} {path}"
    return StatusError(501, "NotImplemented", message)
