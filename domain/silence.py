"""A source that answers, and yet tells nothing of now: said by name, whatever the verdict.

No block can close then, so nothing is judged by it; here it gets its sentence.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from domain.arm_readings import Arm, ArmReading
from domain.blocks import ARMS
from domain.scrapes import Broken, Series, moment

# A rehearsal clock makes scrapes so short that a busy machine alone is later.
SHORTEST_PATIENCE = timedelta(seconds=10)


def silences(
    arms: Sequence[Arm], readings: Sequence[ArmReading], until: datetime, patience: timedelta
) -> Iterator[Broken]:
    """What is missing at `until`: everything (the source is stale), or the scrapes of an arm."""
    patience = max(patience, SHORTEST_PATIENCE)
    newest = _newest([one for arm in arms for one in (*arm.requests, *arm.restarts, *arm.up)])
    if newest is not None and until - newest > patience:
        what = "answers stale data, it has nothing newer: look why it no longer takes samples"
        yield Broken("", "the source", what, newest)
        return
    for name, arm, reading in zip(ARMS, arms, readings, strict=False):
        yield from _of_arm(name, arm, reading, until - patience)


def needs_proxies(arms: Sequence[Arm], after: datetime) -> bool:
    """Whether only other Services tell when proxies were scraped: of these they have nothing yet.

    What is first seen after `after` (the end of the last block) was 0 at the scrape before.
    """
    if arms[0].measure.arm is None or not arms[0].started:
        return False
    points = [one.points[0][0] for arm in arms for one in arm.requests if one.points]
    return min(points, default=math.inf) > after.timestamp()


def _of_arm(name: str, arm: Arm, reading: ArmReading, least: datetime) -> Iterator[Broken]:
    metric = arm.measure.counted
    scraped = [times[-1] for pod, times in reading.times.items() if pod in reading.measured]
    if scraped and moment(max(scraped)) < least:
        what = f"no pod of the {name} was scraped since: look at its targets in the source"
        yield Broken("", metric, what, moment(max(scraped)))
    old = sorted(pod for pod, created in arm.started.items() if created < least)
    if not scraped and old and arm.measure.arm is not None:
        what = (
            f"no proxy has a series of the {name}'s Service, nor one of another Service of its"
            " namespace: whether proxies are scraped is not known; let the source scrape them,"
            " correct metrics in the plan, or send the service a request"
        )
        yield Broken("", metric, what, arm.started[old[0]])
    elif not scraped and any(one.points for one in arm.up):
        what = f"every scrape of the {name}'s pods fails (`up` is 0): look at its targets"
        yield Broken("", metric, what, moment(max(one.points[-1][0] for one in arm.up)))
    elif not scraped and old:
        what = (
            f"none came since then of {old[0]} or another pod of the {name}, and no `up`: let the"
            " source scrape them, or correct metrics in the plan"
        )
        yield Broken("", metric, what, arm.started[old[0]])


def _newest(series: Sequence[Series]) -> datetime | None:
    times = [one.points[-1][0] for one in series if one.points]
    return moment(max(times)) if times else None
