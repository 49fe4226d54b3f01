"""The audit log: every request that reached one cluster's API, for tests, bench and people."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

KEPT = 100_000


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request as the API server saw it; `time` is seconds since the epoch."""

    verb: str
    resource: str
    subresource: str
    namespace: str
    name: str
    user_agent: str
    code: int
    time: float


class RequestLog:
    """The latest requests in memory; all of them as JSON lines when given a file."""

    def __init__(self, path: Path | None = None) -> None:
        self.records: deque[RequestRecord] = deque(maxlen=KEPT)
        self._path = path

    def add(self, record: RequestRecord) -> None:
        """Keep one request; appended to the file at once, so that a kill loses nothing."""
        self.records.append(record)
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(record)) + "\n")

    def counts(self, wanted: Callable[[RequestRecord], bool] = lambda _: True) -> dict[str, int]:
        """Number of requests by verb, of those kept that are wanted."""
        return dict(
            sorted(Counter(record.verb for record in self.records if wanted(record)).items())
        )
