"""Runs a command's asynchronous work, and lets the process end cleanly."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, TypeVar

# Temporal's native threads may still hold the event loop when it closes, and crash the process
# then (sdk-python#300); a moment of peace lets them finish.
PEACE = timedelta(milliseconds=100)
NATIVE = "temporalio.bridge.runtime"

Result = TypeVar("Result")


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a command's work on an event loop of its own; KeyboardInterrupt on Ctrl-C."""
    return asyncio.run(_in_peace(work))


async def _in_peace(work: Coroutine[Any, Any, Result]) -> Result:
    try:
        return await work
    finally:
        if NATIVE in sys.modules:
            await asyncio.sleep(PEACE.total_seconds())
