"""Writes what is expected of every server: `python -m tests.contract.record [PART OF A NAME]`.

The real systems are started and their answers become the expectation. Run it when a contract is
new or a real system has another version, and read what changed: that is the point of it. What no
real one here has (Slack, referrers) is kept by hand, after its public documentation.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from tests.cluster.control_planes import running
from tests.contract import catalogue
from tests.contract.expectations import differences, expected, write


async def record(part: str) -> None:
    """Record the contracts whose name has the part, and say in how many places each changed."""
    chosen = [name for name in catalogue.OF_REAL if part in name]
    async with running() as clusters:
        for contract in chosen:
            system = catalogue.system_of(contract)
            with tempfile.TemporaryDirectory() as folder:
                async with catalogue.real(system, Path(folder), clusters.staging) as target:
                    steps = await catalogue.speak(contract, target)
            changes = differences(expected(contract), steps)
            write(contract, steps)
            sys.stdout.write(f"{contract}: {len(steps)} steps, {len(changes)} changes\n")


if __name__ == "__main__":
    asyncio.run(record(sys.argv[1] if len(sys.argv) > 1 else ""))
