"""Pytest fixtures over real clusters, for every tests folder that imports them in its conftest.

from tests.cluster.fixtures import control_planes, namespace, programs_built  # noqa: F401
"""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from domain.errors import ReleaseError
from tests.cluster import session
from tests.cluster.api import until
from tests.cluster.clusters import WORKER, Cluster, Clusters
from tests.cluster.control_planes import refuse_unbuilt
from tests.cluster.gateway import gateway_in
from tests.cluster.rights import role_and_binding

Namespaces = Callable[[Cluster], AbstractAsyncContextManager[str]]


def demand_programs() -> None:
    """Do not run what asks when clusters cannot start here; in CI that is a failure."""
    try:
        refuse_unbuilt()
    except ReleaseError as problem:
        pytest.skip(str(problem))


@pytest.fixture(scope="session")
def programs_built() -> None:
    """For tests that start clusters of their own."""
    demand_programs()


@pytest.fixture(scope="session")
def control_planes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clusters]:
    """Staging and production, one pair for the whole session, also when it runs in parallel.

    Tests keep out of each other's way by a namespace each (`namespace`).
    """
    demand_programs()
    parallel = "PYTEST_XDIST_WORKER" in os.environ
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if parallel else base) / "control-planes"
    yield session.clusters_of(folder, os.getppid() if parallel else os.getpid())
    if not parallel:
        session.stop(folder)


@pytest.fixture
def namespace() -> Namespaces:
    """`async with namespace(cluster) as name`: a new one in which pods can be created."""
    return fresh_namespace


@asynccontextmanager
async def fresh_namespace(cluster: Cluster) -> AsyncIterator[str]:
    """A namespace of its own, deleted at the end (its objects go in the background)."""
    name = f"test-{uuid.uuid4().hex[:10]}"
    path = f"/api/v1/namespaces/{name}"
    content = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    async with cluster.api() as api:
        (await api.post("/api/v1/namespaces", content)).ok()

        async def has_account() -> bool:
            return (await api.get(f"{path}/serviceaccounts/default")).status == 200

        await until(has_account, f"namespace {name} has its service account")
        try:
            yield name
        finally:
            (await api.delete(path)).ok()


@asynccontextmanager
async def release_namespace(cluster: Cluster, user: str = WORKER) -> AsyncIterator[str]:
    """One in which that user may release (`deployment/kubernetes/role.yaml`), with a Gateway."""
    async with fresh_namespace(cluster) as name, cluster.api() as api:
        for path, manifest in role_and_binding(name, user):
            (await api.post(path, manifest)).ok()
        (await api.post(*gateway_in(name, cluster.folder))).ok()
        yield name
