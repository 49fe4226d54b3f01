"""Prometheus' HTTP API, read only: raw counter samples for the judge and the soak.

Protocol: an instant query whose expression is a range selector answers the raw samples
(`resultType: matrix`). `prometheus-api-client` speaks it, synchronously, so calls run in threads.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn, TypeVar
from urllib.parse import parse_qs, urlsplit

import requests
from prometheus_api_client.prometheus_connect import PrometheusConnect
from requests.exceptions import RequestException
from urllib3.util.retry import Retry

from domain.errors import PermanentFailure, ReleaseError, TransientFailure
from domain.samples import Series

SERIES_LIMIT = 10_000
# Clearly shorter than the heartbeat timeout of those who ask: they hear of a server that hangs.
REQUEST_TIMEOUT = timedelta(seconds=4)
# A server may drip bytes for ever within the per-read timeout; this bounds the whole call.
CALL_TIMEOUT_FACTOR = 2
MESSAGE_LENGTH = 300
METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Matches:
    """A label matcher by (RE2, fully anchored) regular expression; `negated` inverts it."""

    pattern: str
    negated: bool = False

    @classmethod
    def any_of(cls, *values: str, negated: bool = False) -> Matches:
        """Exactly one of the values, each taken literally."""
        return cls("|".join(re.escape(value) for value in values), negated)


def selector(metric: str, matchers: Mapping[str, str | Matches], window: timedelta) -> str:
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
    """One Prometheus-compatible server at `url` (a path prefix is kept); safe to share."""

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: timedelta = REQUEST_TIMEOUT,
        series_limit: int = SERIES_LIMIT,
    ) -> None:
        self._url = url.rstrip("/")
        self._timeout = timeout.total_seconds()
        self._series_limit = series_limit
        self._session = requests.Session()
        self._session.hooks["response"].append(self._translate_status)
        # Retrying is the activity's business: the library's own would hide an outage for seconds.
        self._connection = PrometheusConnect(
            url=self._url,
            headers=dict(headers or {}),
            retry=Retry(total=0),
            session=self._session,
            timeout=self._timeout,
        )

    async def raw_series(
        self,
        metric: str,
        matchers: Mapping[str, str | Matches],
        at: datetime,
        window: timedelta,
    ) -> list[Series]:
        """Every series of `metric` that matches, with its raw samples in `(at - window, at]`.

        Values stay as the server has them (NaN, Inf): judging them is not the wire's business.
        Raises TransientFailure when the server cannot be reached, is overloaded or too slow;
        PermanentFailure for a query it refuses, more than `series_limit` series, a series without
        `pod` label, or an answer that is not a matrix of samples.
        """
        query = selector(metric, matchers, window)
        parameters = {
            "time": f"{at.timestamp():.3f}",
            "timeout": f"{round(self._timeout * 1000)}ms",
            "limit": str(self._series_limit + 1),
        }
        result = await self._call(
            query, lambda: self._connection.custom_query(query, params=parameters)
        )
        if not isinstance(result, list):
            self._wrong_shape(query, f"its result is a {type(result).__name__}, not a list")
        if len(result) > self._series_limit:
            raise PermanentFailure(
                f"{self._url}: {query} matches more than {self._series_limit} series, the limit:"
                " narrow the matchers or drop labels at the scrape"
            )
        return [self._series(query, item) for item in result]

    async def is_ready(self) -> bool:
        """Whether the server answers that it serves queries (`/-/ready`)."""
        try:
            await self._call(
                "/-/ready",
                lambda: self._session.get(f"{self._url}/-/ready", timeout=self._timeout),
            )
        except ReleaseError:
            return False
        return True

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.to_thread(self._connection.close)

    async def _call(self, asked: str, function: Callable[[], Answer]) -> Answer:
        try:
            async with asyncio.timeout(self._timeout * CALL_TIMEOUT_FACTOR):
                return await asyncio.to_thread(function)
        except (RequestException, TimeoutError) as error:
            if isinstance(error, requests.exceptions.JSONDecodeError):
                self._wrong_shape(asked, "it is not JSON")
            raise TransientFailure(
                f"Prometheus at {self._url} did not answer {asked}: {_told(error)}; look whether"
                " it is up and reachable from here"
            ) from error
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            self._wrong_shape(asked, f"it lacks data.result ({_told(error)})")

    def _translate_status(self, response: requests.Response, **_: object) -> None:
        """Called by requests on every response, before the library turns it into one string."""
        status = response.status_code
        if status < 300 or response.is_redirect:
            return
        said = (
            f"Prometheus at {self._url} answered {status} to {_asked(response)}: {_why(response)}"
        )
        if status in {408, 429} or status >= 500:
            raise TransientFailure(f"{said}; it is retried", _retry_after(response))
        if status in {401, 403}:
            raise PermanentFailure(f"{said}; check the credentials of this environment")
        if status == 404:
            raise PermanentFailure(f"{said}; check that the url is that of a Prometheus API")
        if status == 422:
            raise PermanentFailure(f"{said}; ask for less: fewer series or a shorter window")
        raise PermanentFailure(f"{said}; correct the query in the plan")

    def _series(self, query: str, item: Any) -> Series:
        try:
            labels = {str(name): str(value) for name, value in item["metric"].items()}
            points = tuple((float(time), float(value)) for time, value in item["values"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self._wrong_shape(query, f"a series is not labels and values ({_told(error)})")
        if not labels.get("pod"):
            raise PermanentFailure(
                f"{self._url}: {query} gave a series without label pod: add it by relabelling,"
                " counters are compared pod by pod"
            )
        return Series(pod=labels["pod"], labels=labels, points=points)

    def _wrong_shape(self, asked: str, what: str) -> NoReturn:
        raise PermanentFailure(
            f"the answer of {self._url} to {asked} is not raw samples: {what}; check that the url"
            " is that of a Prometheus API and the metric a counter or classic histogram"
        )


def _matcher(value: str | Matches) -> str:
    if isinstance(value, Matches):
        return f'{"!~" if value.negated else "=~"}"{_escaped(value.pattern)}"'
    return f'="{_escaped(value)}"'


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _asked(response: requests.Response) -> str:
    address = urlsplit(response.url)
    query = parse_qs(address.query).get("query")
    return query[0] if query else address.path


def _why(response: requests.Response) -> str:
    try:
        return str(response.json()["error"])[:MESSAGE_LENGTH]
    except (ValueError, KeyError, TypeError):
        return (response.text.strip() or response.reason or "no reason given")[:MESSAGE_LENGTH]


def _retry_after(response: requests.Response) -> timedelta | None:
    seconds = response.headers.get("Retry-After", "")
    return timedelta(seconds=int(seconds)) if seconds.isdigit() else None


def _told(error: BaseException) -> str:
    return f"{type(error).__name__} {error}"[:MESSAGE_LENGTH].strip()
