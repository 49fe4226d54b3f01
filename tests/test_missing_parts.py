"""In CI nothing is left out: a part that is missing fails, with its reason."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
TESTS = """
import pytest

def test_that_asks_for_root():
    pytest.skip("not root here")

@pytest.mark.skipif(True, reason="no Go here")
def test_that_asks_for_go():
    pass

@pytest.mark.xfail(reason="measured")
def test_of_a_missed_goal():
    assert False
"""


@pytest.mark.parametrize(("ci", "code"), [("true", 1), ("", 0)])
def test_a_missing_part_fails_in_ci_and_is_told_elsewhere(
    tmp_path: Path, ci: str, code: int
) -> None:
    file = tmp_path / "test_parts.py"
    file.write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "--rootdir", str(tmp_path)]
    ended = subprocess.run(
        [*command, "-c", os.devnull, "-rsfE", "-o", f"cache_dir={tmp_path}", str(file)],
        cwd=PROJECT,
        env={**os.environ, "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == code, ended.stdout
    assert "not root here" in ended.stdout
    assert "no Go here" in ended.stdout
    assert ("in CI a missing part is a failure" in ended.stdout) is (code == 1)
