"""Contract tests: with the sandbox always, with real systems by `make test-real` (marker real)."""

from __future__ import annotations

import pytest

from tests.cluster.fixtures import control_planes, programs_built
from tests.contract import recording

__all__ = ["control_planes", "programs_built"]


def pytest_configure(config: pytest.Config) -> None:
    """Observe the requests of every test of this session."""
    if not config.pluginmanager.has_plugin(recording.__name__):
        config.pluginmanager.register(recording, recording.__name__)
