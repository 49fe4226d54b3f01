"""The sandbox's registry is one, says the specification's own suite."""

import os
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from domain.errors import ReleaseError
from sandbox.registry import Registry
from tests.cluster.programs import program
from tests.contract import conformance

TESTS_OF_THE_SUITE = 986


@pytest.mark.real
async def test_the_registry_passes_the_conformance_suite(tmp_path: Path) -> None:
    try:
        suite = program("conformance")
    except ReleaseError as problem:
        pytest.skip(str(problem))
    registry = Registry(tmp_path / "registry")
    await registry.start()
    try:
        outcome = await conformance.judge(registry.address, tmp_path, suite)
    finally:
        await registry.close()
    assert outcome.failed == ()
    assert outcome.tests >= TESTS_OF_THE_SUITE


async def test_a_suite_that_does_not_end_in_time_is_ended(tmp_path: Path) -> None:
    id_of_process = tmp_path / "id"
    endless = tmp_path / "endless"
    endless.write_text(f"#!/bin/sh\necho $$ > {id_of_process}\nexec sleep 600\n")
    endless.chmod(0o755)
    with pytest.raises(subprocess.TimeoutExpired):
        await conformance.judge("127.0.0.1:1", tmp_path, endless, timedelta(seconds=3))
    with pytest.raises(ProcessLookupError):
        os.kill(int(id_of_process.read_text()), 0)
