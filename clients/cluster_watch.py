"""Waiting for one object to reach a state: read, then watch, again and again until the deadline."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from clients.cluster_connection import Answer, Call, Connection
from domain.errors import NotFound, TransientFailure

Manifest = dict[str, Any]
Result = TypeVar("Result")

# A watch that hears nothing may be dead on the way: it is begun anew after this long.
WATCH_LENGTH = timedelta(seconds=60)
GRACE = timedelta(seconds=10)
SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
LONGEST_STATE = 600


@dataclass(frozen=True)
class Watched:
    """One object: how it is read, and the call that watches it (without a resource version)."""

    subject: str
    read: Callable[[], Awaitable[Manifest | None]]
    watch: Call


async def watch_until(
    connection: Connection,
    watched: Watched,
    condition: Callable[[Manifest], Result | None],
    timeout: timedelta,
) -> Result:
    """The first result of `condition` that is not None, asked of each state of the object.

    Survives dropped watches, an expired resource version (410) and a server that is away for a
    while. Raises NotFound when the object is absent or deleted, TransientFailure with the last
    state seen when `timeout` passes.
    """
    last: Manifest | None = None
    trouble = ""
    pause = SHORTEST_PAUSE
    clock = asyncio.get_running_loop().time
    try:
        async with asyncio.timeout(timeout.total_seconds()):
            while True:
                begun, wish = clock(), None
                try:
                    async with aclosing(_states(connection, watched)) as states:
                        async for last in states:
                            if (found := condition(last)) is not None:
                                return found
                            trouble = ""
                except TransientFailure as error:
                    trouble, wish = f" ({error})", error.retry_after
                quick = clock() - begun < LONGEST_PAUSE
                pause = min(2 * pause, LONGEST_PAUSE) if quick else SHORTEST_PAUSE
                await asyncio.sleep(wish.total_seconds() if wish else pause)
    except TimeoutError:
        raise TransientFailure(
            f"{watched.subject} did not get there within {timeout.total_seconds():g} s; "
            f"last seen: {_state(last)}{trouble}"
        ) from None


async def _states(connection: Connection, watched: Watched) -> AsyncGenerator[Manifest, None]:
    """The object now and after each change, until the watch ends for whatever reason."""
    now = await watched.read()
    if now is None:
        raise NotFound(f"{watched.subject} does not exist; nothing to wait for")
    yield now
    call = _from_version(watched.watch, now["metadata"]["resourceVersion"])
    async with aclosing(_events(connection, call)) as events:
        async for kind, seen in events:
            if kind == "DELETED":
                raise NotFound(f"{watched.subject} was deleted while it was waited for")
            yield seen


async def _events(connection: Connection, call: Call) -> AsyncGenerator[tuple[str, Manifest], None]:
    """Type and object of each event; ends when the stream does or the version has expired."""
    async with connection.stream(call) as response:
        if response.status != 200:
            answer = Answer(response.status, response.headers, await response.read())
            _raise_unless_expired(connection, call, answer)
            return
        async for line in response.content:
            # A connection that drops in the middle of a line leaves a part of an event.
            if not line.endswith(b"\n"):
                return
            event = json.loads(line)
            if event["type"] == "ERROR":
                status = event["object"]
                answer = Answer(int(status.get("code") or 500), {}, json.dumps(status).encode())
                _raise_unless_expired(connection, call, answer)
                return
            if event["type"] != "BOOKMARK":
                yield event["type"], event["object"]


def _from_version(call: Call, version: str) -> Call:
    query = {
        **call.query,
        "watch": "1",
        "resourceVersion": version,
        "allowWatchBookmarks": "true",
        "timeoutSeconds": f"{WATCH_LENGTH.total_seconds():.0f}",
    }
    return Call(
        call.method, call.path, call.action, call.permission, query, timeout=WATCH_LENGTH + GRACE
    )


def _raise_unless_expired(connection: Connection, call: Call, answer: Answer) -> None:
    if answer.status != 410:
        raise connection.failure(call, answer)


def _state(manifest: Manifest | None) -> str:
    """The status of an object in one line: its numbers and words, then its conditions."""
    if manifest is None:
        return "nothing"
    status = manifest.get("status") or {}
    if not isinstance(status, dict) or not status:
        return "no status yet"
    words = [f"{k}={v}" for k, v in status.items() if isinstance(v, str | int | float | bool)]
    for condition in status.get("conditions") or ():
        why = ": ".join(condition[k] for k in ("reason", "message") if condition.get(k))
        words.append(f"{condition.get('type')}={condition.get('status')}" + f" ({why})" * bool(why))
    shown = ", ".join(words) or json.dumps(status)
    return shown if len(shown) <= LONGEST_STATE else shown[:LONGEST_STATE] + "..."
