"""A source that answers our own small protocol by HTTP (docs/metrics-source.schema.json)."""

from __future__ import annotations

from datetime import timedelta

from pydantic import ValidationError

from clients.source_http import REQUEST_TIMEOUT, UNREADABLE, Protocol, SourceConnection, named
from domain.errors import PermanentFailure, ReleaseError
from domain.metrics.http_json import HttpJsonAnswer, arm_of, stray_in
from domain.metrics.places import HttpJsonPlace
from domain.metrics.source import Asked
from domain.metrics.timeframe import Timeframe
from domain.samples import SERIES_LIMIT, Arm

SPOKEN = Protocol(
    system="http-json",
    query_key="arm",
    answers="counts by pod and interval",
    wrong="let it answer as docs/metrics-source.schema.json says, and check the url",
    refused="let it take the question as docs/metrics.md says it",
)
NO_POD = "a question about no pod"


class HttpJson:
    """One address that counts for us; what is measured is its own business. Safe to share."""

    def __init__(self, place: HttpJsonPlace, *, timeout: timedelta = REQUEST_TIMEOUT) -> None:
        self._place = place
        self._http = SourceConnection(SPOKEN, place, headers=named(), timeout=timeout)

    @property
    def said(self) -> str:
        """The source in messages."""
        return self._http.said

    @property
    def lag(self) -> timedelta:
        """What is younger may still be missing."""
        return self._place.lag

    async def arm(self, asked: Asked) -> Arm:
        """The arm's counts as running sums; PermanentFailure when it counts pods of others."""
        parameters = {
            "arm": asked.arm,
            "namespace": asked.namespace,
            "pods": ",".join(sorted(asked.pods)),
            "from": f"{asked.span.seen_from.timestamp():.3f}",
            "until": f"{asked.span.until.timestamp():.3f}",
        }
        answer = await self._answer(parameters, _name(asked))
        if strangers := sorted(answer.pods.keys() - asked.pods.keys()):
            raise PermanentFailure(
                f"{self._http.said} counts pod {strangers[0]} for {asked.arm}, which has it not: it"
                " must answer for the pods that it is asked for, and no others"
            )
        if asked.measure.tells_slow and answer.lacks_durations:
            raise PermanentFailure(
                f"{self._http.said} tells no durations (`under`) of the requests of {asked.arm}:"
                " add them, or say `slow: false` in the plan's metrics"
            )
        if (count := sum(len(pod.intervals) for pod in answer.pods.values())) > SERIES_LIMIT:
            raise PermanentFailure(
                f"{self._http.said} answered {count:,} intervals for {asked.arm}, more than the"
                f" limit of {SERIES_LIMIT:,}: make them longer"
            )
        frame = Timeframe.around(asked.span.seen_from, asked.span.until)
        if found := stray_in(answer, frame):
            stray, of = found
            self._http.wrong_time(_name(asked), stray, of)
        return arm_of(answer, asked.pods)

    async def problem(self) -> str | None:
        """Why it does not answer a question about no pod."""
        try:
            parameters = {"arm": "", "namespace": "", "pods": "", "from": "0", "until": "0"}
            await self._answer(parameters, NO_POD)
        except ReleaseError as error:
            return str(error)
        return None

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _answer(self, parameters: dict[str, str], asked: str) -> HttpJsonAnswer:
        said = await self._http.json("", parameters, asked)
        try:
            return HttpJsonAnswer.model_validate(said)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the answer"
            self._http.wrong_shape(asked, f"{where}: {first['msg']}")
        except UNREADABLE as error:
            self._http.wrong_shape(asked, f"{type(error).__name__} {error}")


def _name(asked: Asked) -> str:
    """What is asked for, in messages: pods that are chosen by labels have no arm's name."""
    return asked.arm or f"pod {min(asked.pods)}"
