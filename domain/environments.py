"""Where a release goes, and the names of the queues that lead there."""

from __future__ import annotations

from enum import StrEnum


class Environment(StrEnum):
    """A place a bundle is deployed to; a release visits the last two, in this order."""

    LOCAL = "local"
    STAGING = "staging"
    PRODUCTION = "production"


RELEASE_ENVIRONMENTS = (Environment.STAGING, Environment.PRODUCTION)

CONTROL_QUEUE = "control"
BUILD_QUEUE = "build"


def cluster_queue(environment: Environment) -> str:
    """Task queue of the only workers that hold this environment's credentials."""
    return f"cluster-{environment}"


def release_id(service: str, commit: str, attempt: str) -> str:
    """Workflow id of a release, for example `release-album-1a2b3c4d5e-7f3a`."""
    return f"release-{service}-{commit[:10]}-{attempt}"


def rollback_id(release: str) -> str:
    """Workflow id of the rollback of a release: one per release, so it cannot run twice."""
    return f"rollback-{release}"


def is_rollback(workflow_id: str) -> bool:
    """Tell whether a workflow is the rollback of a release, not a release."""
    return workflow_id.startswith(rollback_id(""))


def release_of(workflow_id: str) -> str:
    """The release that a workflow id is about: its own, or that of its rollback."""
    return workflow_id.removeprefix(rollback_id(""))


def lane_id(environment: Environment, service: str) -> str:
    """Workflow id of the lane: the fixed id is the lock."""
    return f"lane-{environment}-{service}"
