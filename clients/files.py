"""Files that people name: read whole, never without end, and never waited for."""

from __future__ import annotations

import stat
from pathlib import Path

from domain.errors import PermanentFailure

LIMIT_BYTES = 16 * 2**20


def read_file(file: Path, limit_bytes: int = LIMIT_BYTES) -> bytes:
    """The bytes of a regular file; PermanentFailure for a device, a pipe, or one beyond the limit.

    OSError (a folder, no right, no such file) is the caller's to tell: it knows what was named.
    """
    kind = file.stat().st_mode
    if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
        raise PermanentFailure(f"{file} is no regular file: copy what it gives into one, name that")
    with file.open("rb") as opened:
        # A size that is told (0 for a device) may be another one by now.
        content = opened.read(limit_bytes + 1)
    if len(content) > limit_bytes:
        raise PermanentFailure(
            f"{file} is something else: it is larger than {limit_bytes / 2**20:g} MiB"
        )
    return content
