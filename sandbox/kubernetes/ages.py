"""Durations and times in the words that `kubectl get` prints."""

from __future__ import annotations

from datetime import UTC, datetime


def age(timestamp: str | None) -> str:
    """How long ago an RFC 3339 time was: `5s`, `3m20s`, `4h`, `2d`."""
    if not timestamp:
        return "<unknown>"
    moment = datetime.fromisoformat(timestamp)
    return duration(max(0.0, (datetime.now(UTC) - moment).total_seconds()))


def duration(total: float) -> str:
    """Seconds in kubectl's short form, two units while they matter."""
    seconds = int(total)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    forms = (
        (seconds < 120, f"{seconds}s"),
        (minutes < 10, _pair(minutes, "m", seconds % 60, "s")),
        (hours < 3, f"{minutes}m"),
        (hours < 8, _pair(hours, "h", minutes % 60, "m")),
        (hours < 48, f"{hours}h"),
        (days < 8, _pair(days, "d", hours % 24, "h")),
    )
    return next((text for fits, text in forms if fits), f"{days}d")


def _pair(big: int, big_unit: str, small: int, small_unit: str) -> str:
    return f"{big}{big_unit}{small}{small_unit}" if small else f"{big}{big_unit}"
