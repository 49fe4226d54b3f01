"""Writes the list of request shapes: `python -m tests.contract.shapes`.

The tests of our clients and of what uses them are run; what they send is reduced and listed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.contract.listed import FILE
from tests.contract.recording import OBSERVED_FOLDERS


def main() -> int:
    """Write `shapes.json`; pytest's exit code when the tests fail, and then nothing is written."""
    root = FILE.parents[2]
    with tempfile.TemporaryDirectory() as folder:
        seen = Path(folder, "shapes")
        folders = [f"tests/{name}" for name in OBSERVED_FOLDERS]
        pytest = [sys.executable, "-m", "pytest", "-q", "-n", "auto"]
        wished = ["--request-shapes-to", str(seen), *folders]
        ended = subprocess.run([*pytest, *wished], cwd=root, check=False)
        if ended.returncode:
            return ended.returncode
        shapes = seen.read_text().splitlines()
    FILE.write_text(json.dumps(shapes, indent=1) + "\n")
    sys.stdout.write(f"{len(shapes)} request shapes written to {FILE}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
