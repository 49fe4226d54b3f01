"""From what the arms' pods counted in a stretch of time to one block for the judge."""

from __future__ import annotations

from collections.abc import Iterable

from domain.arm_readings import ArmReading, Scrape
from domain.judge.counts import ArmName, Block, Counts, Histogram, Pods
from domain.judge.votes import LEAST_CANARY_PODS
from domain.scrapes import moment

ERRORS = "errors"
SLOW = "slow"
RESTARTS = "restarts"
ARMS: tuple[ArmName, ...] = ("canary", "stable")


def block_of(
    readings: list[ArmReading],
    cell: tuple[float, float],
    edge: float | None,
    others: list[float],
    *,
    slow: bool,
) -> Block:
    """The block over `cell` = (start, end]; `edge` is the limit's, `others` the histogram's.

    `slow`: durations are judged; without any request there is no histogram, and nothing was slow.
    """
    start, end = cell
    arms = [*readings, ArmReading()][:2]
    by_arm = [arm.inside(start, end) for arm in arms]
    canary, stable = (_summed(pods.values()) for pods in by_arm)
    counts: dict[str, Counts] = {}
    if any(arm.counts_requests for arm in arms):
        counts[ERRORS] = _counts((canary.requests, stable.requests), (canary.bad, stable.bad))
    if edge is not None:
        above = (canary.above(edge), stable.above(edge))
        counts[SLOW] = _counts((canary.timed, stable.timed), above)
    elif slow and ERRORS in counts and not canary.requests + stable.requests:
        counts[SLOW] = Counts()
    # Also where none can be told yet: a metric that misses the first block is never judged.
    if any(arm.counts_restarts for arm in arms):
        restarts = [[grown for time, grown in arm.restarts if start < time <= end] for arm in arms]
        exposure = (float(len(restarts[0])), float(len(restarts[1])))
        counts[RESTARTS] = _counts(exposure, (sum(restarts[0]), sum(restarts[1])))
    return Block(
        start=moment(start),
        end=moment(end),
        counts=counts,
        histograms={SLOW: _histogram(canary, stable, others)} if others else {},
        pods=_pods(by_arm[0], by_arm[1], edge) if _pods_are_told(arms) else None,
        dark=_dark(readings, cell, slow=slow),
    )


def _dark(
    readings: list[ArmReading], cell: tuple[float, float], *, slow: bool
) -> dict[str, tuple[ArmName, ...]]:
    """The arms whose requests nobody scraped: what they count there is unknown, not 0."""
    arms: list[tuple[ArmName, ArmReading]] = list(zip(ARMS, readings, strict=False))
    dark = tuple(name for name, reading in arms if not reading.is_scraped_in(*cell))
    return dict.fromkeys((ERRORS, SLOW) if slow else (ERRORS,), dark) if dark else {}


def _pods_are_told(arms: list[ArmReading]) -> bool:
    """Whether what counted are pods of the arms, which a fault may hit one by one, not proxies."""
    return any(arm.counts_requests for arm in arms) and not any(arm.is_of_proxies for arm in arms)


def _summed(scrapes: Iterable[Scrape]) -> Scrape:
    total = Scrape()
    for scrape in scrapes:
        total.add(scrape)
    return total


def _histogram(canary: Scrape, stable: Scrape, edges: list[float]) -> Histogram:
    return Histogram(
        edges=tuple(edges),
        canary_above=tuple(round(canary.above(edge)) for edge in edges),
        stable_above=tuple(round(stable.above(edge)) for edge in edges),
    )


def _pods(canary: dict[str, Scrape], stable: dict[str, Scrape], edge: float | None) -> Pods | None:
    """Pods one by one, where there are several beside a stable's."""
    if len(canary) < LEAST_CANARY_PODS or not stable:
        return None
    # By name: VictoriaMetrics answers the same question in another order each time.
    own = [canary[pod] for pod in sorted(canary)]
    bad = {ERRORS: tuple(round(pod.bad) for pod in own)}
    if edge is not None:
        bad[SLOW] = tuple(round(pod.above(edge)) for pod in own)
    others = [round(pod.requests) for pod in stable.values()]
    return Pods(
        canary_requests=tuple(round(pod.requests) for pod in own),
        canary_bad=bad,
        stable_pods=len(others),
        stable_least=min(others),
        stable_most=max(others),
    )


def _counts(requests: tuple[float, float], bad: tuple[float, float]) -> Counts:
    return Counts(
        canary_requests=round(requests[0]),
        canary_bad=round(bad[0]),
        stable_requests=round(requests[1]),
        stable_bad=round(bad[1]),
    )
