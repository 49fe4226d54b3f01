"""Where a contract is spoken: one running server, the sandbox's or the real one."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Target:
    """How one server is reached; `headers` authenticate and name the client.

    `others` is the same one reached by others, by name, where a contract is about them.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    trust: ssl.SSLContext | None = None
    others: Mapping[str, Target] = field(default_factory=dict)


@dataclass(frozen=True)
class Masks:
    """What may differ between two servers that keep the same contract.

    `values` are keys whose value is replaced by its name in angle brackets, `dropped` keys that
    are left out, `distinct` keys of lists in which a repetition says nothing, `texts` (pattern,
    replacement) pairs applied to every remaining text. Of headers only `headers` are compared, and
    always Retry-After, which our clients obey whoever sends it.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()
    distinct: frozenset[str] = frozenset()
    texts: tuple[tuple[str, str], ...] = ()
    headers: tuple[str, ...] = ("Content-Type",)
