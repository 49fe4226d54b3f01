"""SelfSubjectAccessReviews: the owner may do everything here, everybody else nothing."""

from __future__ import annotations

from sandbox.kubernetes import field_ownership
from sandbox.kubernetes.resources import Resource
from sandbox.kubernetes.status import Manifest, invalid

_KINDS_OF_QUESTION = ("resourceAttributes", "nonResourceAttributes")


def review(kind: Resource, body: Manifest, manager: str, *, allowed: bool) -> Manifest:
    """The review with its answer; 422 when it does not ask exactly one thing."""
    spec = body.get("spec") or {}
    if len([name for name in _KINDS_OF_QUESTION if spec.get(name)]) != 1:
        why = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        raise invalid("", kind.group, "", [(f"spec.{_KINDS_OF_QUESTION[0]}", _null(why))])
    answered = {**body, "metadata": {}}
    field_ownership.record_change(kind, None, answered, manager)
    return {**answered, "status": {"allowed": allowed}}


def _null(why: str) -> str:
    return f"Invalid value: null: {why}"
