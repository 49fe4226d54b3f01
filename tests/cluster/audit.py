"""The API server's audit log: who asked for what, and how it was answered."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Watches end with their own line, so that who reads the log sees a request once.
POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [{"level": "Metadata"}],
}


@dataclass(frozen=True)
class Entry:
    """One answered request; `resource` has its subresource (`deployments/scale`)."""

    user: str
    user_agent: str
    verb: str
    resource: str
    namespace: str
    name: str
    uri: str
    code: int
    at: str


def entries(log: Path) -> Iterator[Entry]:
    """Everything answered so far, oldest first; a line still being written is left out."""
    with log.open() as lines:
        for line in lines:
            if line.endswith("\n"):
                yield _entry(json.loads(line))


class Tail:
    """The answered requests to one namespace by one user, from now on, as the log grows.

    Whoever has read an answer to its end finds it here: the log is written before that.
    """

    def __init__(self, log: Path, user: str, namespace: str) -> None:
        self._user = user
        self._namespace = namespace
        self._opened = log.open("rb")
        self._opened.seek(max(0, self._opened.seek(0, os.SEEK_END) - 1))
        # Where somebody's line is being written, its rest is of before and no line of its own.
        self._is_of_before = self._opened.read(1) not in (b"", b"\n")
        self._rest = b""

    def fresh(self) -> list[Entry]:
        """Those that came since this was last asked, oldest first."""
        *lines, self._rest = (self._rest + self._opened.read()).split(b"\n")
        if lines and self._is_of_before:
            self._is_of_before, lines = False, lines[1:]
        # The log is everybody's, and long: only the lines of the namespace are worth parsing.
        found = [_entry(json.loads(one)) for one in lines if self._namespace.encode() in one]
        return [one for one in found if (one.user, one.namespace) == (self._user, self._namespace)]

    def close(self) -> None:
        self._opened.close()


def _entry(event: dict[str, Any]) -> Entry:
    target = event.get("objectRef", {})
    parts = (target.get("resource", ""), target.get("subresource", ""))
    return Entry(
        user=event["user"].get("username", ""),
        user_agent=event.get("userAgent", ""),
        verb=event["verb"],
        resource="/".join(filter(None, parts)),
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        uri=event["requestURI"],
        code=event.get("responseStatus", {}).get("code", 0),
        at=event["stageTimestamp"],
    )
