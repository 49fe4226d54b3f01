"""Watches: the store's events as a stream of JSON lines, with bookmarks and initial events."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable

from sandbox.kubernetes.reading import selected_by, wants_table
from sandbox.kubernetes.request_info import RequestInfo
from sandbox.kubernetes.selectors import Predicate
from sandbox.kubernetes.status import Manifest, StatusError
from sandbox.kubernetes.store import Event, Store
from sandbox.kubernetes.tables import as_table

DEFAULT_TIMEOUT_SECONDS = 1800.0
BOOKMARK_SECONDS = 60.0
# So long before its end a watch has the last bookmark of the real server.
LAST_BOOKMARK_SECONDS = 2.0


class Watch:
    """One client's watch; construct it before the response begins, so that errors have a code."""

    def __init__(self, store: Store, info: RequestInfo, accept: str) -> None:
        self._store = store
        self._info = info
        self._wanted = selected_by(info)
        self._table = wants_table(accept)
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self._bookmarks = info.flag("allowWatchBookmarks")
        timeout = info.number("timeoutSeconds", DEFAULT_TIMEOUT_SECONDS)
        self._until = time.monotonic() + timeout
        self._first = self._first_lines()
        self._unsubscribe: Callable[[], None] = store.subscribe(self._queue.put_nowait)

    def stop(self) -> None:
        """End the stream after what is already queued; used when the server closes."""
        self._queue.put_nowait(None)

    def close(self) -> None:
        """Forget the store; call it however the stream ended."""
        self._unsubscribe()

    async def lines(self) -> AsyncIterator[bytes]:
        """The stream, until its timeout or stop()."""
        for first in self._first:
            yield first
        while True:
            try:
                event = await asyncio.wait_for(self._queue.get(), self._patience())
            except TimeoutError:
                if self._bookmarks:
                    yield self._bookmark()
                if time.monotonic() >= self._until:
                    return
                continue
            if event is None:
                return
            if (line := self._line(event)) is not None:
                yield line

    def _patience(self) -> float:
        left = self._until - time.monotonic()
        early = left - LAST_BOOKMARK_SECONDS
        return max(0.0, min(BOOKMARK_SECONDS, early if self._bookmarks and early > 0 else left))

    def _first_lines(self) -> list[bytes]:
        resource = self._info.resource.plural
        version = self._info.query.get("resourceVersion") or "0"
        if not version.isdigit():
            why = f'strconv.ParseUint: parsing "{version}": invalid syntax'
            # An InternalError by its code, without a reason: so says the real one.
            text = f'resourceVersion: Invalid value: "{version}": {why}'
            raise StatusError(500, "", text)
        initial = self._info.flag("sendInitialEvents")
        if version == "0" or initial:
            objects = self._store.list(resource, self._info.namespace)
            lines = [self._encoded("ADDED", m) for m in objects if self._wanted(m)]
            return [*lines, self._bookmark(initial_end=True)] if initial else lines
        try:
            events = self._store.events_since(resource, int(version))
        except StatusError as error:
            self.stop()
            return [_json_line({"type": "ERROR", "object": error.body()})]
        return [line for event in events if (line := self._line(event))]

    def _line(self, event: Event) -> bytes | None:
        if event.resource != self._info.resource.plural:
            return None
        namespace = event.object["metadata"].get("namespace")
        if self._info.namespace not in (None, namespace):
            return None
        type_ = _seen_as(event, self._wanted)
        return None if type_ is None else self._encoded(type_, event.object)

    def _encoded(self, type_: str, manifest: Manifest) -> bytes:
        shown = manifest
        if self._table:
            include = self._info.query.get("includeObject", "Metadata")
            shown = as_table(self._info.resource, [manifest], include)
        return _json_line({"type": type_, "object": shown})

    def _bookmark(self, *, initial_end: bool = False) -> bytes:
        kind = self._info.resource
        metadata: Manifest = {"resourceVersion": str(self._store.version)}
        if initial_end:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        shown = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata}
        return _json_line({"type": "BOOKMARK", "object": shown})


def _seen_as(event: Event, wanted: Predicate) -> str | None:
    """The event as a watcher with selectors sees it: leaving the selection is a deletion."""
    before = event.previous is not None and wanted(event.previous)
    after = event.type != "DELETED" and wanted(event.object)
    if after:
        return "MODIFIED" if before else "ADDED"
    return "DELETED" if before else None


def _json_line(value: Manifest) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
