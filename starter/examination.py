"""One thing that `tidegate doctor` looks at, and what it found."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import NamedTuple

from domain.errors import ReleaseError

PATIENCE = timedelta(seconds=15)


class Check(NamedTuple):
    """One answer: what was tried, whether it is well, what was seen, how to fix it."""

    name: str
    ok: bool
    sentence: str
    fix: str = ""


class Examination(NamedTuple):
    """Something to try; `fix` is what to do when it cannot be tried at all."""

    name: str
    examine: Callable[[], Awaitable[list[Check]]]
    fix: str = ""


async def examined(examination: Examination) -> list[Check]:
    """Try it for a while; whatever happens is an answer."""
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            return await examination.examine()
    except ReleaseError as error:
        return [Check(examination.name, False, str(error), examination.fix)]
    except TimeoutError:
        told = f"no answer within {PATIENCE.seconds} s"
        return [Check(examination.name, False, told, examination.fix)]
