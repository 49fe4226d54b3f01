"""Telling a release line by line as it goes on: no fact twice, and time never runs backwards."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from domain.release import ReleaseState
from starter.chronicle import Line, chronicle

UNKNOWN_TIME = " " * len("12:00:00")


class Event(NamedTuple):
    """A fact that was not told before, and when it happened (None: nobody looked then)."""

    at: datetime | None
    text: str


class Storyteller:
    """Remembers what was told, and tells what is new."""

    def __init__(self) -> None:
        self._keys: set[tuple[object, ...]] = set()
        self._sentences: set[str] = set()
        self._last: datetime | None = None

    def tell(self, state: ReleaseState, now: datetime) -> list[Event]:
        """What the state says and was not told yet; everything so far when it is the first."""
        fresh: dict[tuple[object, ...], Line] = {}
        for line in chronicle(state, now):
            if line.key not in self._keys:
                fresh.setdefault(line.key, line)
        self._keys.update(fresh)
        times = _times(list(fresh.values()), None if self._last is None else now)
        told = [self._event(line, at) for line, at in zip(fresh.values(), times, strict=True)]
        return [event for event in told if event.text.strip()]

    def _event(self, line: Line, at: datetime | None) -> Event:
        text = self._words(line)
        self._sentences.update({line.sentence, *line.covers})
        if at is not None and text.strip():
            at = self._last = max(at, self._last or at)
        return Event(at, text)

    def _words(self, line: Line) -> str:
        if not line.sentence or line.sentence in self._sentences:
            return line.lead
        return f"{line.lead}: {line.sentence}" if line.lead.strip() else line.lead + line.sentence


def _times(lines: list[Line], now: datetime | None) -> list[datetime | None]:
    """When each line happened; one that does not say so happened before the next that does."""
    times: list[datetime | None] = []
    following = now
    for line in reversed(lines):
        at = line.at or following
        if now is not None:
            following = min(at, following) if at and following else at
        times.append(at)
    return times[::-1]


class Calendar:
    """Writes an event with its time, and the date where it is another than before."""

    def __init__(self, today: datetime) -> None:
        self._day = today.astimezone().date()

    def lines(self, event: Event) -> list[str]:
        """One line, after one with the date when a day has passed."""
        if event.at is None:
            return [f"{UNKNOWN_TIME} {event.text}"]
        at = event.at.astimezone()
        new_day = [f"{at:%Y-%m-%d}"] if at.date() != self._day else []
        self._day = at.date()
        return [*new_day, f"{at:%H:%M:%S} {event.text}"]
