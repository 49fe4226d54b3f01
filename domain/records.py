"""The one way records are made: frozen, closed against unknown keys, hashed canonically."""

from __future__ import annotations

import hashlib
import json
from typing import Self

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """A value: frozen, replaced as a whole, equal by content."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def with_(self, **changes: object) -> Self:
        """Return a copy with some fields replaced (the record itself never changes)."""
        return self.model_copy(update=changes)


def canonical_json(value: object) -> bytes:
    """Serialise to the bytes that are hashed and signed: sorted keys, no spaces, UTF-8."""
    data = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest_of(value: object) -> str:
    """Content address of a record: `sha256:<hex>` of its canonical JSON (or of raw bytes)."""
    content = value if isinstance(value, bytes) else canonical_json(value)
    return "sha256:" + hashlib.sha256(content).hexdigest()
