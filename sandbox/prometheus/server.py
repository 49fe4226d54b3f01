"""Prometheus as a server: the query API of one cluster's series."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler
from multidict import MultiDict

from sandbox.listener import Listener
from sandbox.metrics import Sample, Scraper, Series, SeriesStore
from sandbox.outage import Outage
from sandbox.prometheus.errors import QueryError, Unsupported
from sandbox.prometheus.evaluation import Evaluation
from sandbox.prometheus.parser import parse
from sandbox.prometheus.syntax import Expression, Range, Selector
from sandbox.prometheus.targets import targets_data
from sandbox.prometheus.vectors import Element, Stream, sorted_pairs
from sandbox.prometheus.wire import (
    JSON,
    check_timeout,
    instant_data,
    json_answer,
    limit_parameter,
    matrix_data,
    now_ms,
    step_parameter,
    time_parameter,
)
from sandbox.request_log import RequestLog

VERSION = "3.0.0-sandbox"
# What a real one has beside what is here.
NOT_DONE_HERE = (
    "/-/",
    *(
        f"/api/v1/{name}"
        for name in (
            "admin",
            "alert",
            "format_query",
            "metadata",
            "otlp",
            "parse_query",
            "query_exemplars",
            "read",
            "rules",
            "scrape_pools",
            "status",
            "targets",
            "write",
        )
    ),
)
MOST_POINTS = 11_000
EARLIEST_MS, LATEST_MS = 0, 1 << 53


class Prometheus:
    """The HTTP API over one scraper's store."""

    def __init__(self, scraper: Scraper, interval_seconds: float) -> None:
        self.requests = RequestLog()
        self.outage = Outage("prometheus")
        self._scraper = scraper
        self._store: SeriesStore = scraper.store
        self._interval = interval_seconds
        self._listener = Listener(self._application())

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen on `port` (0 = any free one); OSError when it is taken."""
        await self._listener.start(host, port)

    async def close(self) -> None:
        """Stop listening."""
        await self._listener.close()

    @property
    def url(self) -> str:
        """`http://host:port`."""
        return self._listener.url

    def _application(self) -> web.Application:
        application = web.Application(
            middlewares=[self.requests.middleware(), self.outage.middleware(), _answer_errors]
        )
        for path, handler in {
            "query": self._query,
            "query_range": self._query_range,
            "series": self._series,
            "labels": self._labels,
        }.items():
            application.router.add_get(f"/api/v1/{path}", handler)
            application.router.add_post(f"/api/v1/{path}", handler)
        application.add_routes(
            [
                web.get("/api/v1/label/{label}/values", self._label_values),
                web.get("/api/v1/targets", self._targets),
                web.get("/api/v1/status/buildinfo", _build_info),
                web.get("/-/healthy", _healthy),
                web.get("/-/ready", _ready),
                web.get("/", _ready),
                web.get("/sandbox/requests", self.requests.answer),
                web.route("*", "/{anything:.*}", _unsupported),
            ]
        )
        return application

    async def _query(self, request: web.Request) -> web.Response:
        parameters = await _parameters(request)
        limit = limit_parameter(parameters)
        time_ms = time_parameter(parameters, "time", now_ms())
        check_timeout(parameters)
        expression = parse(str(parameters.get("query", "")))
        if isinstance(expression, Range):
            # An empty range vector is still a matrix, which its value alone does not tell.
            streams = Evaluation(self._store, time_ms).matrix(expression)
            return _limited(matrix_data(streams), limit)
        value = Evaluation(self._store, time_ms).value(expression)
        return _limited(instant_data(value, time_ms), limit)

    async def _query_range(self, request: web.Request) -> web.Response:
        parameters = await _parameters(request)
        start = time_parameter(parameters, "start", None)
        end = time_parameter(parameters, "end", None)
        step = step_parameter(parameters)
        if end < start:
            raise QueryError('invalid parameter "end": end timestamp must not be before start time')
        if (end - start) // step + 1 > MOST_POINTS:
            raise QueryError(
                f"exceeded maximum resolution of {MOST_POINTS} points per timeseries; "
                "try decreasing the query resolution (?step=XX)"
            )
        expression = parse(str(parameters.get("query", "")))
        if isinstance(expression, Range):
            text = 'invalid expression type "range vector" for range query'
            raise QueryError(f'invalid parameter "query": {text}, must be Scalar or instant Vector')
        return _success(matrix_data(self._streams(expression, range(start, end + 1, step))))

    def _streams(self, expression: Expression, times: range) -> list[Stream]:
        streams: dict[tuple[tuple[str, str], ...], tuple[dict[str, str], list[Sample]]] = {}
        for time_ms in times:
            value = Evaluation(self._store, time_ms).value(expression)
            elements = [Element({}, value)] if isinstance(value, float) else value
            for one in elements:
                _, samples = streams.setdefault(sorted_pairs(one.labels), (one.labels, []))
                samples.append((time_ms, one.value))
        return [Stream(labels, samples) for labels, samples in streams.values()]

    async def _series(self, request: web.Request) -> web.Response:
        return _success([one.labels for one in await self._matching(request, needed=True)])

    async def _labels(self, request: web.Request) -> web.Response:
        found = await self._matching(request, needed=False)
        return _success(sorted({label for series in found for label in series.labels}))

    async def _label_values(self, request: web.Request) -> web.Response:
        label = request.match_info["label"]
        found = await self._matching(request, needed=False)
        return _success(sorted({one.labels[label] for one in found if label in one.labels}))

    async def _matching(self, request: web.Request, *, needed: bool) -> list[Series]:
        parameters = await _parameters(request)
        start = time_parameter(parameters, "start", EARLIEST_MS)
        end = time_parameter(parameters, "end", LATEST_MS)
        selectors = [parse(str(text)) for text in parameters.getall("match[]", [])]
        if needed and not selectors:
            raise QueryError("no match[] parameter provided")
        if not all(isinstance(one, Selector) for one in selectors):
            raise QueryError('invalid parameter "match[]": it must be a series selector')
        wanted = [one.matchers for one in selectors if isinstance(one, Selector)] or [()]
        found = {id(one): one for matchers in wanted for one in self._store.select(matchers)}
        return [one for one in found.values() if one.overlaps(start, end)]

    async def _targets(self, _request: web.Request) -> web.Response:
        return _success(targets_data(self._scraper, self._interval))


@web.middleware
async def _answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except QueryError as error:
        return error.response()


async def _parameters(request: web.Request) -> MultiDict[Any]:
    """Query and form parameters as one multi-valued mapping."""
    form: Mapping[str, Any] = await request.post() if request.method == "POST" else {}
    merged: MultiDict[Any] = MultiDict(request.query)
    merged.extend(form)
    return merged


def _success(data: object, *warnings: str) -> web.Response:
    told = {"warnings": warnings} if warnings else {}
    return json_answer({"status": "success", "data": data, **told})


def _limited(data: JSON, limit: int) -> web.Response:
    found = data["result"]
    if data["resultType"] == "scalar" or not limit or len(found) <= limit:
        return _success(data)
    return _success({**data, "result": found[:limit]}, "results truncated due to limit")


async def _build_info(_request: web.Request) -> web.Response:
    return _success({"version": VERSION, "revision": "sandbox", "branch": "", "goVersion": ""})


async def _healthy(_request: web.Request) -> web.Response:
    return web.Response(text="Prometheus Server is Healthy.\n")


async def _ready(_request: web.Request) -> web.Response:
    return web.Response(text="Prometheus Server is Ready.\n")


async def _unsupported(request: web.Request) -> web.Response:
    if not request.path.startswith(NOT_DONE_HERE):
        return web.Response(status=404, text="404 page not found\n")
    raise Unsupported(f"{request.method} {request.path}")
