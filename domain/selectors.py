"""Labels that select pods, as people write them: `app=album,track=canary`."""

from __future__ import annotations

from collections.abc import Mapping

from domain.errors import PermanentFailure

# Set-based requirements (`track in (a, b)`, `track!=a`) select pods that nobody named.
NO_EQUALITY = frozenset("!<>()= ")


def parse_selector(text: str) -> dict[str, str]:
    """Read `app=album,track=canary`; PermanentFailure naming what is no equality of a label."""
    found: dict[str, str] = {}
    for part in text.split(","):
        name, sign, value = (piece.strip() for piece in part.partition("="))
        value = value.removeprefix("=").strip()
        if not sign or not name or not value or NO_EQUALITY & set(name + value):
            raise PermanentFailure(
                f"{text!r} does not say which pods: write labels as name=value, separated by"
                " commas, for example app=album,track=canary"
            )
        found[name] = value
    return found


def written(selector: Mapping[str, str]) -> str:
    """Write labels the way `parse_selector` reads them."""
    return ",".join(f"{name}={value}" for name, value in selector.items())
