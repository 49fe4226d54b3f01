"""Contract tests: with the sandbox always, with real systems by `make test-real` (marker real)."""

from __future__ import annotations

from tests.cluster.fixtures import control_planes, programs_built

__all__ = ["control_planes", "programs_built"]
