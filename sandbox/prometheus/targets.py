"""The answer of `/api/v1/targets`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sandbox.metrics import Scraper, Target


def targets_data(scraper: Scraper, interval_seconds: float) -> dict[str, Any]:
    """Every target of the last round with its health; nothing is ever dropped here."""
    active = [
        _active(target, when, up, interval_seconds) for target, (when, up) in scraper.last.items()
    ]
    return {"activeTargets": active, "droppedTargets": [], "droppedTargetCounts": {}}


def _active(target: Target, when_ms: int, up: bool, interval_seconds: float) -> dict[str, Any]:
    labels = dict(target.labels)
    last = datetime.fromtimestamp(when_ms / 1000, UTC)
    return {
        "discoveredLabels": {"__address__": labels.get("instance", ""), **labels},
        "labels": labels,
        "scrapePool": labels.get("job", ""),
        "scrapeUrl": target.url,
        "globalUrl": target.url,
        "lastError": "" if up else "connection refused",
        "lastScrape": last.isoformat().replace("+00:00", "Z"),
        "lastScrapeDuration": 0.0,
        "health": "up" if up else "down",
        "scrapeInterval": f"{round(interval_seconds * 1000)}ms",
        "scrapeTimeout": f"{round(interval_seconds * 1000)}ms",
    }
