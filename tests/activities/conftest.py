from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cluster.clusters import Clusters
from tests.cluster.fixtures import control_planes
from tests.support.isa_user import make_versions
from tests.support.platform_world import SandboxWorld, running_world
from tests.support.real_world import RealWorld, running_real_world
from tests.support.world import Rendered, World, render

__all__ = ["control_planes"]


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
) -> AsyncIterator[SandboxWorld]:
    """A sandbox of its own for every test."""
    async with running_world(tmp_path, checkouts["v1"], rendered) as running:
        yield running


@pytest.fixture
async def real_world(
    tmp_path: Path, checkouts: dict[str, Path], rendered: Rendered, control_planes: Clusters
) -> AsyncIterator[RealWorld]:
    """Namespaces of its own on real API servers for every test."""
    place = (tmp_path, checkouts["v1"], rendered)
    async with running_real_world(*place, control_planes) as running:
        yield running


@pytest.fixture(params=["sandbox", pytest.param("real", marks=pytest.mark.real)])
async def anywhere(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    checkouts: dict[str, Path],
    rendered: Rendered,
) -> AsyncIterator[World]:
    """A sandbox of its own, and namespaces of its own on real API servers: the same must hold."""
    place = (tmp_path, checkouts["v1"], rendered)
    if request.param == "sandbox":
        async with running_world(*place) as sandbox:
            yield sandbox
    else:
        clusters = request.getfixturevalue("control_planes")
        async with running_real_world(*place, clusters) as real:
            yield real
