"""The OCI distribution specification's own conformance suite, built from its Go module once."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tests.cluster import cache, go_toolchain
from tests.cluster.go_modules import Module

_MODULES = Path(__file__).with_name("modules")
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


class _ModuleHere(Module):
    """A go.mod of the contract suite's own."""

    @property
    def folder(self) -> Path:
        return _MODULES / self.name


_SUITE = _ModuleHere("conformance", ("conformance",), space_bytes=1 << 28)


def program() -> Path:
    """The suite's program, built when it is not in the cache (seconds).

    Raises NotFound when Go is missing, PermanentFailure when it is too old or the build fails.
    """

    def build(half: Path) -> None:
        go = go_toolchain.toolchain(_SUITE.go_version, _SUITE.name)
        arguments = ("build", *_SUITE.flags, "-o", f"{half}{os.sep}", "tool")
        go_toolchain.run(go, arguments, _SUITE.folder, cache.silent, _SUITE.name)

    place = cache.folder() / "programs" / _SUITE.key
    return cache.made_once(place, build) / _SUITE.programs[0]


async def judge(address: str, directory: Path) -> Outcome:
    """Run the suite (spec 1.1) against a registry without TLS; its results go to the directory."""
    environment = {
        "OCI_REGISTRY": address,
        "OCI_TLS": "disabled",
        "OCI_VERSION": "1.1",
        "OCI_RESULTS_DIR": str(directory),
        **_CLAIMED,
    }
    process = await asyncio.create_subprocess_exec(
        str(program()),
        env=environment,
        cwd=directory,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    report = directory / "junit.xml"
    assert report.is_file(), said.decode(errors="replace")
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
