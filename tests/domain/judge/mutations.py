"""Flips every inequality of the judge, one by one, and looks whether a test goes red.

`python -m tests.domain.judge.mutations` (some minutes); it ends with 1 and names those that no test
noticed. Each is tried turned round (`<` as `>=`) and moved by its boundary (`<` as `<=`).
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
MODULES = ("decision", "case", "state", "votes", "interval", "known", "rules", "bets", "unseen")
TESTS = (
    *("decision", "state", "votes", "stakes", "arms", "histograms", "interval", "bets", "outlook"),
    *("known", "unseen"),
)
OPPOSITE = {ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt}
MOVED = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
# Boundaries that change nothing: as many bad as expected have no excess either way, a bet at the
# cap is capped to itself, and evidence rises by that very factor nowhere.
EQUIVALENT = frozenset(
    {
        ("bad <= expected", "bad < expected"),
        ("max(bets) > WEALTH_CAP", "max(bets) >= WEALTH_CAP"),
        (
            "bet.evidence(new) > bet.evidence(old) * RISEN",
            "bet.evidence(new) >= bet.evidence(old) * RISEN",
        ),
    }
)


@dataclass(frozen=True)
class Mutant:
    """One inequality, and the module with it flipped."""

    module: str
    line: int
    was: str
    now: str
    source: str

    def __str__(self) -> str:
        return f"{self.module}.py:{self.line}: {self.was}  ->  {self.now}"


def mutants(module: str) -> Iterator[Mutant]:
    """Every flipped form of a module of `domain.judge`."""
    source = (ROOT / "domain" / "judge" / f"{module}.py").read_text()
    places = sum(1 for _ in _operators(ast.parse(source)))
    for place in range(places):
        for table in (OPPOSITE, MOVED):
            tree = ast.parse(source)
            compare, index = list(_operators(tree))[place]
            was = ast.unparse(compare)
            compare.ops[index] = table[type(compare.ops[index])]()
            yield Mutant(module, compare.lineno, was, ast.unparse(compare), ast.unparse(tree))


def _operators(tree: ast.Module) -> Iterator[tuple[ast.Compare, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            for index, operator in enumerate(node.ops):
                if type(operator) in OPPOSITE:
                    yield node, index


def noticed(mutant: Mutant, copy: Path) -> bool:
    """Whether a test of the judge fails with the mutant in a copy of the project."""
    file = copy / "domain" / "judge" / f"{mutant.module}.py"
    kept = file.read_text()
    file.write_text(mutant.source)
    try:
        return _tests_fail(copy)
    finally:
        file.write_text(kept)


def _tests_fail(copy: Path) -> bool:
    tests = [f"tests/domain/judge/test_{name}.py" for name in TESTS]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(copy)}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, check=False)
    return done.returncode != 0


def main() -> int:
    """Try them all; prints those that no test noticed."""
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory)
        for folder in ("domain", "tests"):
            shutil.copytree(
                ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__")
            )
        shutil.copy(ROOT / "pyproject.toml", copy)
        if _tests_fail(copy):
            sys.stdout.write("the tests are red already\n")
            return 2
        tried, survived = 0, []
        for mutant in (one for module in MODULES for one in mutants(module)):
            if (mutant.was, mutant.now) in EQUIVALENT:
                continue
            tried += 1
            if not noticed(mutant, copy):
                survived.append(mutant)
                sys.stdout.write(f"no test noticed {mutant}\n")
                sys.stdout.flush()
    sys.stdout.write(f"{tried} inequalities flipped, {tried - len(survived)} noticed\n")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
