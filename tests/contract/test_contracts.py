"""The sandbox and the real systems give the same answers, those of `expected/`."""

from pathlib import Path

import pytest

from tests.cluster.clusters import Clusters
from tests.cluster.programs import built
from tests.contract import catalogue
from tests.contract.expectations import FOLDER, differences, expected, file_of


@pytest.mark.parametrize("contract", catalogue.OF_SANDBOX)
async def test_the_sandbox_keeps_the_contract(contract: str, tmp_path: Path) -> None:
    async with catalogue.simulated(catalogue.system_of(contract), tmp_path) as target:
        found = await catalogue.speak(contract, target)
    assert differences(expected(contract), found) == []


@pytest.mark.real
@pytest.mark.parametrize("contract", catalogue.OF_REAL)
async def test_the_real_one_keeps_the_contract(
    contract: str, tmp_path: Path, control_planes: Clusters
) -> None:
    system = catalogue.system_of(contract)
    program = catalogue.program_of(system)
    if program is not None and built(program) is None:
        pytest.skip(f"not built yet: {program}; say `python -m tests.cluster.programs {program}`")
    async with catalogue.real(system, tmp_path, control_planes.staging) as target:
        found = await catalogue.speak(contract, target)
    assert differences(expected(contract), found) == []


def test_every_expectation_belongs_to_a_contract() -> None:
    files = {file for file in FOLDER.rglob("*") if file.is_file()}
    assert files == {file_of(contract) for contract in catalogue.CONTRACTS}
