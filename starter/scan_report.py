"""A vulnerability report that is handed in with a release."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from clients.files import read_file
from domain.errors import NotFound, PermanentFailure
from domain.images import Reference
from domain.plan import ServicePlan
from domain.scan import objection, summarise, target_of


class ScanReport(NamedTuple):
    """A scanner's report, byte for byte as it was handed in."""

    content: bytes


def read_report(path: Path, image: Reference | None, plan: ServicePlan) -> ScanReport:
    """Read a report; PermanentFailure when it is none, or about something else.

    Without an `image` yet it may be of the service's source directory.
    """
    try:
        content = read_file(path)
        data = json.loads(content)
    except OSError as error:
        raise NotFound(
            f"scan report {path} cannot be read: {error.strerror}; correct --scan-report"
        ) from error
    except ValueError as error:
        raise PermanentFailure(f"scan report {path} is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise PermanentFailure(f"scan report {path} is not a JSON object")
    summarise(data, str(path), plan.scan.block)
    wanted = (image.digest, None) if image else (None, plan.path)
    if why := objection(target_of(data, str(path)), *wanted):
        raise PermanentFailure(f"scan report {path} {why}; scan {image or plan.path}")
    return ScanReport(content)
