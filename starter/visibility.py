"""Names of the search attributes by which releases are found, and queries over them."""

from __future__ import annotations

import re

from domain.errors import PermanentFailure
from domain.plan import NAME

SERVICE = "TidegateService"
COMMIT = "TidegateCommit"
PHASE = "TidegatePhase"
OUTCOME = "TidegateOutcome"
WEIGHT = "TidegateWeight"
# As Temporal's server is told to register them.
TYPES = {SERVICE: "Keyword", COMMIT: "Keyword", PHASE: "Keyword", OUTCOME: "Keyword", WEIGHT: "Int"}

WORKFLOW = "ReleaseWorkflow"
RELEASE_ID = re.compile(r"release-[a-z][-a-z0-9]*-[0-9a-f]{10}-[^-]+")


def query(service: str | None = None, *, running: bool = False) -> str:
    """A visibility query; PermanentFailure for a text that is no service's name."""
    parts = [f"WorkflowType = '{WORKFLOW}'"]
    if service is not None:
        if re.fullmatch(NAME, service) is None:
            raise PermanentFailure(f"{service!r} is neither a release's id nor a service's name")
        parts.append(f"{SERVICE} = '{service}'")
    if running:
        parts.append("ExecutionStatus = 'Running'")
    return " AND ".join(parts)


def is_release_id(name: str) -> bool:
    """Whether the text has the form of a release's id (`domain.environments.release_id`)."""
    return RELEASE_ID.fullmatch(name) is not None
