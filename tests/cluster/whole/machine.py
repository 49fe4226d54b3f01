"""Whether this machine can carry a bed; if not, what is missing and what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from domain.errors import NotFound, PermanentFailure
from tests.cluster import cache

# Images unpacked twice, databases and logs; the programs' build is refused separately.
_SPACE_BYTES = 3 * 1024**3
_TOOLS = {"ip": "iproute2", "nsenter": "util-linux", "unshare": "util-linux", "mount": "mount"}


def refuse_unfit() -> None:
    """NotFound or PermanentFailure with the remedy when a bed cannot run here."""
    if sys.platform != "linux":
        raise PermanentFailure(
            "whole clusters need Linux (network namespaces, control groups); run it in a Linux "
            "machine, or make test-real, which needs none of these"
        )
    if os.geteuid() != 0:
        raise PermanentFailure("whole clusters need root; run it as root (sudo -E make ...)")
    for tool, package in _TOOLS.items():
        if shutil.which(tool) is None:
            raise NotFound(f"there is no program {tool}; install the package {package}")
    _refuse_no_namespaces()
    _refuse_full_disk()


def _refuse_no_namespaces() -> None:
    command = ("unshare", "--net", "--mount", "true")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PermanentFailure(
            f"this machine lets root make no namespaces: {done.stderr.strip()}; run it outside of "
            "a container, or in one with --privileged"
        )


def _refuse_full_disk() -> None:
    folder = cache.folder()
    free = shutil.disk_usage(folder).free
    if free < _SPACE_BYTES:
        raise PermanentFailure(
            f"two clusters need {_SPACE_BYTES / 1e9:.0f} GB, and the disk of {folder} has "
            f"{free / 1e9:.1f}; free some, or name another folder by {cache.CACHE_VARIABLE}"
        )
