"""What the simulated users got: requests and failures per service and per revision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

NOWHERE = "(no backend)"


@dataclass
class Tally:
    """Requests, and how many of them failed."""

    requests: int = 0
    failed: int = 0

    def add(self, requests: int, failed: int) -> None:
        """Count more."""
        self.requests += requests
        self.failed += failed


class UserLedger:
    """The users of one environment; a service is an HTTPRoute, a revision a Deployment."""

    def __init__(self) -> None:
        self._tallies: dict[str, dict[str, Tally]] = {}

    def add(self, service: str, revision: str, *, requests: int, failed: int) -> None:
        """Count what users of `service` got from `revision` (or from `NOWHERE`)."""
        if requests:
            of_service = self._tallies.setdefault(service, {})
            of_service.setdefault(revision, Tally()).add(requests, failed)

    def of(self, service: str) -> dict[str, Any]:
        """`{"requests", "failed", "by_revision": {name: {"requests", "failed"}}}`, zero if none."""
        tallies = self._tallies.get(service, {})
        return {
            "requests": sum(one.requests for one in tallies.values()),
            "failed": sum(one.failed for one in tallies.values()),
            "by_revision": {
                name: {"requests": one.requests, "failed": one.failed}
                for name, one in sorted(tallies.items())
            },
        }

    def services(self) -> list[str]:
        """Every service that had a user."""
        return sorted(self._tallies)
