"""`tidegate worker`: the roles of one process."""

from __future__ import annotations

import settings
import worker as composition


def worker(roles: tuple[str, ...]) -> int:
    """Serve roles until told to stop; unfit ones are refused before a connection is opened."""
    return composition.run(roles, settings.load())
