"""How long the tests' real clusters take until they serve, when everything is built.

Control planes on loopback; whole clusters (root and Linux) with Temporal and workers in their hub.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path

from benchmarks.release import Figure, report
from tests.cluster import control_planes
from tests.cluster.whole import bed as beds
from tests.cluster.whole.releases import Wishes
from tests.cluster.whole.workload import WHEELHOUSE

CONTROL_GOAL, WHOLE_GOAL = 8.0, 60.0
BUILT = "building and unpacking, which happen once"


async def control() -> float:
    """Seconds until both control planes let pods be created."""
    began = time.monotonic()
    async with control_planes.running():
        return time.monotonic() - began


def whole() -> dict[str, float]:
    """Seconds until each whole cluster serves, and until releases can begin."""
    beds.prepare()
    began = time.monotonic()
    running = beds.start(Wishes(WHEELHOUSE))
    try:
        return {**running.bed.seconds, "both, Temporal and workers": time.monotonic() - began}
    finally:
        running.stop()


def main() -> int:
    """Measure, and print goal beside figure."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--json", type=Path, default=Path(".cache/bench-beds.json"))
    wishes = options.parse_args()
    figures = [
        Figure(
            "two control planes, side by side", asyncio.run(control()), "s", CONTROL_GOAL, BUILT
        ),
        *(
            Figure(f"whole clusters: {name}", seconds, "s", WHOLE_GOAL, BUILT)
            for name, seconds in whole().items()
        ),
    ]
    report(figures, wishes.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
