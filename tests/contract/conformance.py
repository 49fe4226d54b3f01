"""The OCI distribution specification's own conformance suite, against a registry."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree

from tests.cluster.processes import Processes

PATIENCE = timedelta(seconds=90)
# Beside what every registry must do, what ours claims.
_CLAIMED = {
    "OCI_API_BLOBS_DIGEST_HEADER": "true",
    "OCI_API_BLOBS_UPLOAD_CANCEL": "true",
    "OCI_API_MANIFESTS_DIGEST_HEADER": "true",
    "OCI_API_MANIFESTS_TAG_PARAM": "true",
}


@dataclass(frozen=True)
class Outcome:
    """How many of its tests the suite ran, and which of them failed and why."""

    tests: int
    failed: tuple[str, ...]


async def judge(
    address: str, directory: Path, suite: Path, patience: timedelta = PATIENCE
) -> Outcome:
    """Run the suite (spec 1.1) against a registry without TLS; its results go to the directory.

    `suite` is its program. However this ends, also by subprocess.TimeoutExpired: it runs no longer.
    """
    environment = {
        "OCI_REGISTRY": address,
        "OCI_TLS": "disabled",
        "OCI_VERSION": "1.1",
        "OCI_RESULTS_DIR": str(directory),
        **_CLAIMED,
    }
    with Processes(directory / "processes") as processes:
        started = processes.start("suite", [suite], environment=environment, directory=directory)
        # The registry under judgement may be in this process: its loop goes on meanwhile.
        await asyncio.to_thread(started.process.wait, patience.total_seconds())
        said = started.log.read_text(errors="replace")
    report = directory / "junit.xml"
    assert report.is_file(), said
    return _outcome(report.read_text())


def _outcome(report: str) -> Outcome:
    # Its own report, of a program that we built: nothing in it is hostile.
    root = ElementTree.fromstring(report)  # noqa: S314
    failed = [
        f"{case.get('name')}: {problem.get('message') or problem.text}"
        for case in root.iter("testcase")
        for problem in (*case.iter("failure"), *case.iter("error"))
    ]
    return Outcome(int(root.get("tests", 0)), tuple(failed))
