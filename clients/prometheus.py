"""Prometheus' HTTP API, read only: raw counter samples for the judge and the soak.

Thanos, Mimir and VictoriaMetrics speak it as well, each under a path of its own.
Protocol: an instant query whose expression is a range selector answers the raw samples
(`resultType: matrix`). `prometheus-api-client` speaks it.
"""

from __future__ import annotations

import asyncio
import math
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from prometheus_api_client.prometheus_connect import PrometheusConnect
from requests import Response
from urllib3.util.retry import Retry

from clients.source_http import (
    CALL_TIMEOUT_FACTOR,
    REQUEST_TIMEOUT,
    UNREADABLE,
    Protocol,
    SourceConnection,
)
from domain.errors import NotFound, PermanentFailure, ReleaseError
from domain.metrics.measure import ArmLabel
from domain.metrics.places import PrometheusPlace
from domain.metrics.source import Asked, Survey
from domain.metrics.timeframe import Timeframe
from domain.samples import SERIES_LIMIT, Arm, Series
from domain.scrapes import scrape_times

__all__ = ["CALL_TIMEOUT_FACTOR", "REQUEST_TIMEOUT", "Matches", "Prometheus", "selector"]

RESTARTS, UP = "kube_pod_container_status_restarts_total", "up"
# Servers on the way take addresses of 8 KB and refuse longer ones.
PODS_OF_A_QUERY = 50
SPOKEN = Protocol(
    system="Prometheus",
    query_key="query",
    answers="raw samples",
    wrong="check that the url is that of a Prometheus API and the metric a counter or classic"
    " histogram",
)
METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
NO_LONGER = timedelta(seconds=1)
LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
# An answer of some of the stores would look like one of all: Thanos, then VictoriaMetrics' cluster.
WHOLE_OR_NOTHING = {"partial_response": "false", "deny_partial_response": "1"}
# As VictoriaMetrics answers range selectors: raw, with Prometheus' staleness markers as NaN. It
# stores no other NaN.
RAW_EXPORT = "application/stream+json"


@dataclass(frozen=True, slots=True)
class Matches:
    """A label matcher by (RE2, fully anchored) regular expression; `negated` inverts it."""

    pattern: str
    negated: bool = False

    @classmethod
    def any_of(cls, *values: str, negated: bool = False) -> Matches:
        """Exactly one of the values, each taken literally."""
        return cls("|".join(re.escape(value) for value in values), negated)


Matchers = Mapping[str, str | Matches]


def selector(metric: str, matchers: Matchers, window: timedelta) -> str:
    """A PromQL range selector, values escaped: `metric{a="b",c=~"d|e"}[30000ms]`.

    Raises PermanentFailure for a name PromQL does not allow or a window under a millisecond.
    """
    if not METRIC_NAME.fullmatch(metric):
        raise PermanentFailure(f"{metric!r} is not a metric name: correct it in the plan")
    for label in matchers:
        if not LABEL_NAME.fullmatch(label):
            raise PermanentFailure(f"{label!r} (on {metric}) is not a label name: correct it")
    milliseconds = round(window / timedelta(milliseconds=1))
    if milliseconds < 1:
        raise PermanentFailure(f"cannot query {metric} over {window}: ask for 1 ms at least")
    inside = ",".join(f"{label}{_matcher(value)}" for label, value in matchers.items())
    return f"{metric}{{{inside}}}[{milliseconds}ms]"


class Prometheus:
    """One Prometheus-compatible server at `place` (a path prefix is kept); safe to share."""

    def __init__(
        self,
        place: PrometheusPlace | str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: timedelta = REQUEST_TIMEOUT,
        series_limit: int = SERIES_LIMIT,
    ) -> None:
        self._place = PrometheusPlace(url=place) if isinstance(place, str) else place
        self._series_limit = series_limit
        self._http = SourceConnection(SPOKEN, self._place, timeout=timeout)
        # Which form the answer had that this thread read last, and what it lacks.
        self._read = threading.local()
        self._http.session.hooks["response"].append(self._note_form)
        tenant = {"X-Scope-OrgID": self._place.tenant} if self._place.tenant else {}
        # Retrying is the activity's business: the library's own would hide an outage for seconds.
        self._connection = PrometheusConnect(
            url=self._http.url,
            headers={**self._place.headers, **tenant, **(headers or {})},
            retry=Retry(total=0),
            session=self._http.session,
            timeout=self._http.seconds,
        )
        self._http.bind()

    @property
    def said(self) -> str:
        """The source in messages."""
        return self._http.said

    @property
    def lag(self) -> timedelta:
        """What is younger may still be missing."""
        return self._place.lag

    async def arm(self, asked: Asked) -> Arm:
        """The arm's series: of its pods, or, by a proxy's convention, of its Service."""
        measure = asked.measure
        if measure.arm is None:
            parts = await asyncio.gather(*(self._of_pods(asked, some) for some in _parts(asked)))
        else:
            told = {**_of_service(measure.arm, asked), **measure.where}
            restarts = [self._restarts(asked, some) for some in _parts(asked)]
            proxied = self._requests(asked, told, (self._place.pod_label, "instance"))
            parts = [await proxied, *({"restarts": one} for one in await asyncio.gather(*restarts))]
        found: dict[str, tuple[Series, ...]] = {}
        for part in parts:
            for what, series in part.items():
                found[what] = (*found.get(what, ()), *series)
        return Arm(**found, started=asked.pods, measure=measure)

    async def _of_pods(self, asked: Asked, pods: list[str]) -> dict[str, tuple[Series, ...]]:
        place = self._place
        own: Matchers = {
            place.namespace_label: asked.namespace,
            place.pod_label: Matches.any_of(*pods),
        }
        requests, restarts, up = await asyncio.gather(
            self._requests(asked, {**own, **asked.measure.where}),
            self._restarts(asked, pods),
            self._told_by(UP, own, asked),
        )
        return {**requests, "restarts": restarts, "up": up}

    async def _requests(
        self, asked: Asked, told: Matchers, names: tuple[str, ...] = ()
    ) -> dict[str, tuple[Series, ...]]:
        measure = asked.measure
        metrics = {
            "buckets": measure.latency and f"{measure.latency}_bucket",
            "counts": measure.requests,
            "failures": measure.failures,
        }
        series = await asyncio.gather(
            *(self._told_by(metric, told, asked, names) for metric in metrics.values())
        )
        return dict(zip(metrics, series, strict=True))

    async def _restarts(self, asked: Asked, pods: list[str]) -> tuple[Series, ...]:
        """kube-state-metrics' own labels, whatever the scrape of pods calls them."""
        kept: Matchers = {"namespace": asked.namespace, "pod": Matches.any_of(*pods)}
        return await self._told_by(RESTARTS, kept, asked, ("pod",))

    async def survey(self, asked: Asked) -> Survey:
        """Who else has the metric, told by one series per pod and labels."""
        place = self._place
        whole: Matchers = {} if asked.measure.requests else {"le": "+Inf"}
        inside: Matchers = {place.namespace_label: asked.namespace, **whole}
        named: Matchers = {place.pod_label: Matches.any_of(*asked.pods), **whole}
        there, namesakes = await asyncio.gather(
            *(
                self.raw_series(
                    asked.measure.counted, matchers, asked.span.until, asked.span.window
                )
                for matchers in (inside, named)
            )
        )
        found = {one.pod: one.labels.get(place.namespace_label, "") for one in namesakes}
        return Survey(
            pods=frozenset(one.pod for one in there),
            elsewhere={pod: name for pod, name in found.items() if name != asked.namespace},
        )

    async def proxies(self, asked: Asked) -> tuple[Series, ...]:
        """When proxies were scraped, told by what they count of other Services there."""
        measure = asked.measure
        if measure.arm is None:
            return ()
        whole: Matchers = {} if measure.requests else {"le": "+Inf"}
        told = {**_of_any_service(measure.arm, asked), **measure.where, **whole}
        found = await self.raw_series(
            measure.counted,
            told,
            asked.span.until,
            asked.span.window,
            (self._place.pod_label, "instance"),
        )
        return tuple(
            Series(pod, {"job": job, "instance": instance}, tuple((time, 1.0) for time in times))
            for pod, targets in scrape_times(found, ()).items()
            for (job, instance), times in targets.items()
        )

    async def raw_series(
        self,
        metric: str,
        matchers: Matchers,
        at: datetime,
        window: timedelta,
        told_by: tuple[str, ...] = (),
    ) -> list[Series]:
        """Every series of `metric` that matches, with its raw samples in `(at - window, at]`.

        `told_by`: the labels of which the first that is there names what counted; by default the
        place's label of pods. Values stay as the server has them (NaN, Inf): judging them is not
        the wire's business. Raises TransientFailure when the server cannot be reached, is
        overloaded or too slow; PermanentFailure for a query it refuses, more than `series_limit`
        series, a series without such a label or with a time far from `at`, or an answer that is
        not a matrix of samples. An answer in part (`warnings`, `isPartial`) is a TransientFailure.
        """
        query = selector(metric, {**self._place.matchers, **matchers}, window)
        result = await self._query(query, at)
        names = told_by or (self._place.pod_label,)
        frame = Timeframe.around(at - window, at)
        return [self._series(query, item, names, frame) for item in result]

    async def problem(self) -> str | None:
        """Why it does not answer queries with the credentials it was given; None: it does.

        `/-/ready` alone would not say: Mimir has none, VictoriaMetrics and vmauth tell it to all.
        """
        try:
            await self._http.call("/-/ready", lambda: self._http.get("/-/ready"))
        except NotFound:
            return await self._refusal()
        except ReleaseError as error:
            return str(error)
        return await self._refusal()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _query(self, query: str, at: datetime) -> list[Any]:
        parameters = {
            "time": f"{at.timestamp():.3f}",
            "timeout": f"{round(self._http.seconds * 1000)}ms",
            "limit": str(self._series_limit + 1),
            **WHOLE_OR_NOTHING,
        }

        def ask() -> tuple[Any, bool, object]:
            result = self._connection.custom_query(query, params=parameters)
            return result, self._read.has_markers, self._read.lacks

        result, has_markers, lacks = await self._http.call(query, ask)
        if not isinstance(result, list):
            self._http.wrong_shape(query, f"its result is a {type(result).__name__}, not a list")
        # Said first: that it was cut off at the limit is a warning of Prometheus as well.
        if len(result) > self._series_limit:
            raise PermanentFailure(
                f"{self._http.url}: {query} matches more than {self._series_limit} series, the"
                " limit: narrow the matchers or drop labels at the scrape"
            )
        if lacks:
            self._http.in_part(query, lacks)
        return [_without_markers(item) for item in result] if has_markers else result

    def _note_form(self, response: Response, **_: object) -> None:
        kind = response.headers.get("Content-Type", "")
        self._read.has_markers = kind.partition(";")[0].strip() == RAW_EXPORT
        if response.url.partition("?")[0].endswith("/api/v1/query"):
            self._read.lacks = _lack(response.json())

    async def _refusal(self) -> str | None:
        try:
            await self._query(selector(UP, {"job": "nobody"}, NO_LONGER), datetime.now(UTC))
        except ReleaseError as error:
            return str(error)
        return None

    async def _told_by(
        self, metric: str | None, matchers: Matchers, asked: Asked, names: tuple[str, ...] = ()
    ) -> tuple[Series, ...]:
        """The series of a metric that the convention has; none of one that it has not."""
        if metric is None:
            return ()
        span = asked.span
        return tuple(await self.raw_series(metric, matchers, span.until, span.window, names))

    def _series(self, query: str, item: Any, names: tuple[str, ...], frame: Timeframe) -> Series:
        try:
            labels = {str(name): str(value) for name, value in item["metric"].items()}
            points = tuple((float(time), float(value)) for time, value in item["values"])
        except UNREADABLE as error:
            why = f"{type(error).__name__} {error}"
            self._http.wrong_shape(query, f"a series is not labels and values ({why})")
        if stray := frame.stray([time for time, _ in points]):
            self._http.wrong_time(query, stray, f"series {labels}")
        pod = next((labels[name] for name in names if labels.get(name)), "")
        if not pod:
            raise PermanentFailure(
                f"{self._http.url}: {query} gave a series without label {names[0]}: add it by"
                " relabelling, counters are compared pod by pod"
            )
        return Series(pod=pod, labels=labels, points=points)


def _lack(body: Any) -> object:
    """Why an answer is not the whole truth: Prometheus' API and Thanos, then VictoriaMetrics."""
    if not isinstance(body, Mapping):
        return None
    if (status := body.get("status", "success")) != "success":
        return f"status {status}: {body.get('error', 'no reason given')}"
    if warnings := body.get("warnings"):
        return "; ".join(map(str, warnings)) if isinstance(warnings, list) else warnings
    return "isPartial" if body.get("isPartial") else None


def _of_service(proxied: ArmLabel, asked: Asked) -> Matchers:
    return _of_services(proxied, asked, proxied.expression(asked.namespace, asked.arm))


def _of_any_service(proxied: ArmLabel, asked: Asked) -> Matchers:
    return _of_services(proxied, asked, proxied.of_any(asked.namespace))


def _of_services(proxied: ArmLabel, asked: Asked, expression: str) -> Matchers:
    inside = {proxied.namespace: asked.namespace} if proxied.namespace else {}
    return {**inside, proxied.label: Matches(expression)}


def _parts(asked: Asked) -> list[list[str]]:
    pods = list(asked.pods)
    return [pods[at : at + PODS_OF_A_QUERY] for at in range(0, len(pods), PODS_OF_A_QUERY)]


def _without_markers(item: Any) -> Any:
    """A series without the scrapes at which it was not there; another form is left as it is."""
    try:
        values = [pair for pair in item["values"] if not math.isnan(float(pair[1]))]
    except UNREADABLE:
        return item
    return {**item, "values": values}


def _matcher(value: str | Matches) -> str:
    if isinstance(value, Matches):
        return f'{"!~" if value.negated else "=~"}"{_escaped(value.pattern)}"'
    return f'="{_escaped(value)}"'


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
