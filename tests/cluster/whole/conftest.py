"""Tests on whole clusters: run by `make test-cluster` (`pytest -m cluster`), left out otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.registry import Registry
from domain.errors import ReleaseError
from tests.cluster.whole import bed as beds
from tests.cluster.whole.addresses import REGISTRY
from tests.cluster.whole.bed import Bed
from tests.cluster.whole.machine import refuse_unfit
from tests.cluster.whole.releases import Wishes
from tests.cluster.whole.repository import Repository
from tests.cluster.whole.workload import WHEELHOUSE, assemble_album

_HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before pytest itself chooses by marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is here; the project's `-m` leaves it out unless somebody asks for it."""
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker("cluster")
            if item.get_closest_marker("timeout") is None:
                # The first one starts the bed, which says itself what did not become ready.
                item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session")
def fit() -> None:
    """This machine can carry a bed, and its parts are made; else the test does not run."""
    try:
        refuse_unfit()
    except ReleaseError as problem:
        pytest.skip(str(problem))
    if missing := beds.missing():
        pytest.skip(
            f"{', '.join(missing)} would have to be made first, which takes minutes; "
            "make test-cluster does so, or python -m tests.cluster.whole prepare"
        )


@pytest.fixture(scope="session")
def bed(fit: None) -> Iterator[Bed]:
    """Staging and production with their hub, Temporal and workers, for the whole session."""
    running = beds.start(Wishes(WHEELHOUSE))
    yield running.bed
    running.stop()


@pytest.fixture
def hub(bed: Bed) -> Iterator[Bed]:
    """The bed, with the test in its hub: pods, Services and the registry answer."""
    with bed.hub.namespace.entered():
        yield bed


@pytest.fixture(scope="session")
def repository(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """One for all releases of a bed: a release compares itself with the commit that serves."""
    return Repository.made(tmp_path_factory.mktemp("repository") / "isa_user", bed)


@pytest.fixture(scope="session")
def album_image(bed: Bed) -> str:
    """The example's album by the `assemble` builder, in the bed's registry."""
    if not any(WHEELHOUSE.glob("*.whl")):
        pytest.skip(f"there are no wheels in {WHEELHOUSE}; make test-cluster fetches them")

    async def build() -> str:
        async with Registry(plain_http=[REGISTRY]) as registry:
            return await assemble_album(registry, bed.base_image)

    loop = asyncio.new_event_loop()
    try:
        with bed.hub.namespace.entered():
            return loop.run_until_complete(build())
    finally:
        loop.close()
