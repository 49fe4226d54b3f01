"""Datadog's query API, read only: counts per interval, by pod.

Protocol: GET /api/v1/query answers a point per interval of `rollup`, its time (ms) the interval's
begin. Intervals in which nothing was counted have no point: a gauge that every running pod has
tells them from those of which nothing is known. A distribution is kept without buckets, so
nothing is judged slow by this source.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from clients.source_http import REQUEST_TIMEOUT, UNREADABLE, Protocol, SourceConnection, named
from domain.errors import PermanentFailure, ReleaseError
from domain.metrics.measure import Measure
from domain.metrics.places import DatadogPlace
from domain.metrics.source import Asked
from domain.metrics.sums import running_sum
from domain.metrics.timeframe import STRAY, Timeframe
from domain.samples import SERIES_LIMIT, Arm, Series

# Keeps the address of a query within what servers on the way accept.
PODS_OF_A_QUERY = 100
SPOKEN = Protocol(
    system="Datadog",
    query_key="query",
    answers="points by tags",
    wrong="check that the url is that of Datadog's API",
)
_TAG_VALUE = re.compile(r"[\w.\-/:@]+")
Tags = tuple[tuple[str, str], ...]


@dataclass
class _PodCounts:
    """What was counted of one pod: per metric and tags, per end of an interval (unix seconds)."""

    counts: dict[tuple[str, Tags], dict[float, float]] = field(default_factory=dict)
    begins: float = math.inf

    def add(self, metric: str, tags: Tags, interval: tuple[float, float], value: float) -> None:
        begin, end = interval
        self.counts.setdefault((metric, tags), {})[end] = value
        self.begins = min(self.begins, begin)

    @property
    def ends(self) -> list[float]:
        return sorted({end for found in self.counts.values() for end in found})


class Datadog:
    """One Datadog site, or what speaks as it does; safe to share."""

    def __init__(self, place: DatadogPlace, *, timeout: timedelta = REQUEST_TIMEOUT) -> None:
        self._place = place
        keys = {"DD-API-KEY": place.api_key_file, "DD-APPLICATION-KEY": place.app_key_file}
        self._http = SourceConnection(
            SPOKEN, place, headers=named(), secret_headers=keys, timeout=timeout
        )

    @property
    def said(self) -> str:
        """The source in messages."""
        return self._http.said

    @property
    def lag(self) -> timedelta:
        """What is younger may still be on its way from the agents."""
        return self._place.lag

    async def arm(self, asked: Asked) -> Arm:
        """The arm's counts as running sums from the window's start; never buckets.

        Raises PermanentFailure as well for a convention that has no counter of requests.
        """
        measure = asked.measure
        _refuse_unspeakable(measure)
        pods = sorted(asked.pods)
        some = [pods[at : at + PODS_OF_A_QUERY] for at in range(0, len(pods), PODS_OF_A_QUERY)]
        answers = await asyncio.gather(*(self._ask(asked, names) for names in some))
        found = {pod: told for answer in answers for pod, told in answer.items()}
        return Arm(
            counts=tuple(_sums(found, str(measure.requests), asked)),
            failures=tuple(_sums(found, str(measure.failures), asked)),
            restarts=tuple(_gauges(found, self._place.restarts)),
            up=tuple(
                Series(pod, {}, tuple((end, 1.0) for end in one.ends)) for pod, one in found.items()
            ),
            started=asked.pods,
            measure=measure,
        )

    async def problem(self) -> str | None:
        """Why the site does not take the API key."""
        try:
            answer = await self._http.json("/api/v1/validate", {}, "/api/v1/validate")
        except ReleaseError as error:
            return str(error)
        if isinstance(answer, Mapping) and answer.get("valid") is True:
            return None
        return (
            f"{self._http.said} does not call the API key valid; check {self._place.api_key_file}"
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _ask(self, asked: Asked, pods: list[str]) -> dict[str, _PodCounts]:
        seconds = max(1, math.ceil(asked.span.length.total_seconds()))
        begin = math.floor(asked.span.seen_from.timestamp() / seconds) * seconds
        query = self._query(asked, pods, seconds)
        until = asked.span.until.timestamp()
        parameters = {"from": str(begin), "to": str(math.ceil(until)), "query": query}
        answer = await self._http.json("/api/v1/query", parameters, query)
        if not isinstance(answer, Mapping) or answer.get("status", "ok") != "ok":
            said = answer.get("error") if isinstance(answer, Mapping) else "it is no object"
            self._http.wrong_shape(query, f"{said}")
        found: dict[str, _PodCounts] = {}
        series = answer.get("series")
        if not isinstance(series, list) or len(series) > SERIES_LIMIT:
            self._http.wrong_shape(query, f"series is not a list of at most {SERIES_LIMIT:,}")
        frame = Timeframe.around(asked.span.seen_from, asked.span.until)
        for item in series:
            self._take(item, query, (frame, until), found)
        return found

    def _query(self, asked: Asked, pods: list[str], seconds: int) -> str:
        measure, place = asked.measure, self._place
        where = {place.namespace_tag: asked.namespace, **place.matchers}
        kept = " AND ".join(f"{tag}:{_tag(value)}" for tag, value in where.items())
        kept += f" AND {place.pod_tag} IN ({','.join(map(_tag, pods))})"
        own = kept + "".join(f" AND {tag}:{_tag(value)}" for tag, value in measure.where.items())
        by = ",".join((place.pod_tag, *_tags_read(measure)))
        counted = [metric for metric in (measure.requests, measure.failures) if metric]
        queries = [
            f"sum:{metric}{{{own}}} by {{{by}}}.as_count().rollup(sum, {seconds})"
            for metric in counted
        ]
        each = f"{place.pod_tag},kube_container_name"
        queries.append(f"max:{place.restarts}{{{kept}}} by {{{each}}}.rollup(max, {seconds})")
        return ",".join(queries)

    def _take(
        self, item: Any, query: str, asked: tuple[Timeframe, float], found: dict[str, _PodCounts]
    ) -> None:
        """Read one series; intervals that are not over, or had nothing, are left out."""
        try:
            metric, interval = str(item["metric"]), float(item["interval"])
            tags = dict(tag.split(":", 1) for tag in item["tag_set"])
            pod = tags.pop(self._place.pod_tag, "")
            points = [
                (float(at) / 1000, float(value))
                for at, value in item["pointlist"]
                if value is not None
            ]
        except UNREADABLE as error:
            self._http.wrong_shape(
                query, f"a series is not tags and points ({type(error).__name__} {error})"
            )
        frame, until = asked
        if stray := frame.stray([at for at, _ in points]):
            self._http.wrong_time(query, stray, f"{metric} of pod {pod}", "milliseconds")
        if not 0 < interval <= STRAY.total_seconds():
            self._http.wrong_shape(query, f"{metric} has an interval of {interval:g} s")
        if not pod:
            raise PermanentFailure(
                f"{self._http.url}: {metric} has no tag {self._place.pod_tag}: let the agent add"
                " it, counts are compared pod by pod"
            )
        told = found.setdefault(pod, _PodCounts())
        named = tuple(sorted((tag, value) for tag, value in tags.items() if value != "N/A"))
        for at, value in points:
            if at + interval <= until:
                told.add(metric, named, (at, at + interval), value)


def _refuse_unspeakable(measure: Measure) -> None:
    if measure.arm is not None:
        raise PermanentFailure(
            f"metrics {measure.name} tell the arms by a proxy's label, Datadog is asked by pod:"
            " name a counter of the service's own in the plan's metrics"
        )
    if measure.tells_slow:
        raise PermanentFailure(
            f"metrics {measure.name} tell slow requests by a histogram's buckets, Datadog keeps"
            " none: say `slow: false` in the plan's metrics"
        )
    if measure.requests is None:
        raise PermanentFailure(
            f"metrics {measure.name} count requests by a histogram's buckets, Datadog keeps none:"
            " say `requests` (a counter) and `bad` or `failures` in the plan's metrics"
        )


def _tags_read(measure: Measure) -> list[str]:
    return sorted({*measure.probes, *(tag for entry in measure.bad for tag in entry)})


def _tag(value: str) -> str:
    if not _TAG_VALUE.fullmatch(value):
        raise PermanentFailure(f"{value!r} is no value of a Datadog tag: correct it")
    return value


def _sums(found: Mapping[str, _PodCounts], metric: str, asked: Asked) -> Iterator[Series]:
    for pod, told in found.items():
        ends, begins = told.ends, told.begins
        created = asked.pods[pod].timestamp() if pod in asked.pods else begins
        # Nobody counted before the pod was there.
        start = created if ends and begins < created < ends[0] else begins
        for (name, tags), counts in told.counts.items():
            if name == metric:
                yield Series(pod, dict(tags), running_sum(counts, start, ends))


def _gauges(found: Mapping[str, _PodCounts], metric: str) -> Iterator[Series]:
    for pod, told in found.items():
        for (name, tags), values in told.counts.items():
            if name == metric:
                yield Series(pod, dict(tags), tuple(sorted(values.items())))
