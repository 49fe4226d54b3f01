"""The sandbox's registry is one, says the specification's own suite."""

from pathlib import Path

import pytest

from domain.errors import ReleaseError
from sandbox.registry import Registry
from tests.cluster.fixtures import unavailable
from tests.cluster.programs import program
from tests.contract import conformance

TESTS_OF_THE_SUITE = 986


@pytest.mark.real
async def test_the_registry_passes_the_conformance_suite(tmp_path: Path) -> None:
    try:
        program("conformance")
    except ReleaseError as problem:
        unavailable(str(problem))
    registry = Registry(tmp_path / "registry")
    await registry.start()
    try:
        outcome = await conformance.judge(registry.address, tmp_path)
    finally:
        await registry.close()
    assert outcome.failed == ()
    assert outcome.tests >= TESTS_OF_THE_SUITE
