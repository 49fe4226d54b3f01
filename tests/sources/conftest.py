"""The played scenario, once for whoever runs its tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.programs import built
from tests.sources.scenario import Scenario, played


@pytest.fixture(scope="session")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenario]:
    """Every server that is built, after everything happened."""
    if built("prometheus") is None:
        pytest.skip("not built yet: prometheus; say `python -m tests.cluster.programs prometheus`")
    with played(tmp_path_factory.mktemp("sources")) as over:
        yield over
