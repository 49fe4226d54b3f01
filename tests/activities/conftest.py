from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.isa_user import make_versions
from tests.support.platform_world import Rendered, World, render, running_world


@pytest.fixture(scope="session")
def checkouts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The example repository with its versions as commits, a checkout of each."""
    return make_versions(tmp_path_factory.mktemp("isa_user"))


@pytest.fixture(scope="session")
def rendered(checkouts: dict[str, Path]) -> Rendered:
    """The example's manifests, rendered once."""
    return render(checkouts)


@pytest.fixture
async def world(
    tmp_path: Path, checkouts: dict[str, Path], rendered: Rendered
) -> AsyncIterator[World]:
    """A sandbox of its own for every test."""
    async with running_world(tmp_path, checkouts["v1"], rendered) as running:
        yield running
