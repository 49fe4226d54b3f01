"""Tests on real clusters: run by `make test-real` (`pytest -m real`), left out otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.fixtures import control_planes, namespace, programs_built

__all__ = ["control_planes", "namespace", "programs_built"]

_CONTROL = Path(__file__).with_name("control")


def pytest_configure(config: pytest.Config) -> None:
    """Say what the marker means."""
    config.addinivalue_line("markers", "real: needs real control planes (make test-real)")


@pytest.hookimpl(tryfirst=True)  # before pytest itself chooses by marker
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what is here, and leave it out unless a marker expression asks."""
    for item in items:
        if _CONTROL in item.path.parents:
            item.add_marker("real")
    if config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("real")]
    items[:] = [item for item in items if not item.get_closest_marker("real")]
    config.hook.pytest_deselected(items=left_out)
