"""The suite sees: for every shape of request, a sandbox that answers differently fails."""

import asyncio
import re
from pathlib import Path

import aiohttp
import pytest

from tests.contract import catalogue
from tests.contract.breaking import Break, Front
from tests.contract.breaks import GUARDED, breaks_of
from tests.contract.conversations import Step
from tests.contract.expectations import differences, expected, shapes_of
from tests.contract.listed import listed_shapes
from tests.contract.targets import Target

# How a conversation ends that a broken server does not let go on.
BROKEN_OFF = (AssertionError, KeyError, TypeError, IndexError, ValueError, aiohttp.ClientError)
CASES = [
    (str(catalogue.contract_for(shape)), shape, fault)
    for shape in listed_shapes()
    for fault in breaks_of(shape)
]
CASES += [
    (one.contract, shape, fault)
    for one in GUARDED
    for shape in sorted(shapes_of(one.contract))
    if re.search(one.shapes, shape)
    for fault in one.breaks
]
# Longer than a watch goes on whose bookmark is not found to be one.
IMPATIENCE_SECONDS = 6.0


@pytest.mark.parametrize(
    ("contract", "shape", "fault"), CASES, ids=[f"{s}: {f.name}" for _, s, f in CASES]
)
async def test_a_broken_sandbox_fails(
    contract: str, shape: str, fault: Break, tmp_path: Path
) -> None:
    async with catalogue.simulated(catalogue.system_of(contract), tmp_path) as target:
        front = Front(target, shape, fault)
        async with front.running() as broken:
            found = await spoken(contract, broken, front)
    assert front.reached.is_set()
    # That it breaks off is no proof: an answer before that must differ from what is expected.
    assert differences(expected(contract)[: len(found)], found)


async def spoken(contract: str, target: Target, front: Front) -> list[Step]:
    """The steps, as far as they come when the break ends the conversation or lets it never end."""
    steps: list[Step] = []
    speaking = asyncio.ensure_future(catalogue.speak(contract, target, steps))
    reaching = asyncio.ensure_future(front.reached.wait())
    try:
        await asyncio.wait({speaking, reaching}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait_for(speaking, IMPATIENCE_SECONDS)
    except (*BROKEN_OFF, TimeoutError):
        return steps
    finally:
        reaching.cancel()
    return steps


@pytest.mark.parametrize("contract", catalogue.OF_SANDBOX)
async def test_a_front_that_breaks_nothing_changes_nothing(contract: str, tmp_path: Path) -> None:
    async with (
        catalogue.simulated(catalogue.system_of(contract), tmp_path) as target,
        Front(target, "", Break("nothing")).running() as behind,
    ):
        assert differences(expected(contract), await catalogue.speak(contract, behind)) == []
