"""The committed list of request shapes, `shapes.json`: read by the plugin and the suite."""

from __future__ import annotations

import json
from pathlib import Path

FILE = Path(__file__).with_name("shapes.json")
WRITE = "python -m tests.contract.shapes"


def listed_shapes() -> list[str]:
    """Every listed shape in order; empty when the file is not there yet."""
    return list(json.loads(FILE.read_text())) if FILE.is_file() else []
