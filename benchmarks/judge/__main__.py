"""`make bench-judge`: run the grid, print goals beside figures, write them as JSON."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.judge.goals import goals
from benchmarks.judge.grid import DEFAULT, FULL, run
from benchmarks.judge.report import show
from benchmarks.judge.speed import speed


def main() -> int:
    """The default mix, all of it (`--full`), or a part of the default's runs (`--scale`)."""
    options = argparse.ArgumentParser(prog="bench-judge", description=__doc__)
    options.add_argument("--full", action="store_true", help="4000 good runs a cell; hours")
    options.add_argument("--scale", type=float, default=1.0, help="times the runs of each cell")
    options.add_argument("--processes", type=int, default=2)
    options.add_argument("--json", type=Path, default=Path(".cache/bench-judge.json"))
    wishes = options.parse_args()
    sizes = (FULL if wishes.full else DEFAULT).scaled(wishes.scale)
    results = run(sizes, wishes.processes)
    show(results, [*goals(results), *speed()], wishes.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
