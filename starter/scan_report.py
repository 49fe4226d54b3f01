"""A vulnerability report that is handed in with a release."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from domain.errors import PermanentFailure
from domain.images import Reference
from domain.plan import ServicePlan
from domain.scan import summarise


class ScanReport(NamedTuple):
    """A scanner's report, byte for byte as it was handed in."""

    content: bytes


def read_report(path: Path, image: Reference | None, plan: ServicePlan) -> ScanReport:
    """Read a report; PermanentFailure when it is none, or about another image than `image`."""
    try:
        content = path.read_bytes()
        data = json.loads(content)
    except OSError as error:
        raise PermanentFailure(f"scan report {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise PermanentFailure(f"scan report {path} is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise PermanentFailure(f"scan report {path} is not a JSON object")
    target = summarise(data, str(path), plan.scan.block).target_digest
    if image is not None and target not in (None, image.digest):
        raise PermanentFailure(
            f"scan report {path} is about {target}, not about {image}; scan the image that is "
            "released"
        )
    return ScanReport(content)
