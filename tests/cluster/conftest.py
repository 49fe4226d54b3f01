"""Tests on real clusters: run by `make test-real` (`pytest -m real`), left out otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.fixtures import control_planes, namespace, programs_built

__all__ = ["control_planes", "namespace", "programs_built"]

_CONTROL = Path(__file__).with_name("control")


@pytest.hookimpl(tryfirst=True)  # before pytest itself chooses by marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is here; the project's `-m` leaves it out unless somebody asks for it."""
    for item in items:
        if _CONTROL in item.path.parents:
            item.add_marker("real")
