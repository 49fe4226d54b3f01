"""Ports of the sandbox: chosen once, kept, so that names with a port in them stay true."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from domain.errors import PermanentFailure

HOST = "127.0.0.1"
# Below the ports that systems give to whoever binds none: between our choice and our server's
# start, the others (Temporal's own services among them) take theirs from those.
UNASSIGNED = range(20_000, 32_000)
_ATTEMPTS = 200


def choose(file: Path, names: Iterable[str], wished: Mapping[str, int]) -> dict[str, int]:
    """A free port for each name: the wished one, else the one of last time, else any.

    PermanentFailure when a wished one is taken.
    """
    kept = _read(file)
    with ExitStack() as held:
        # All stay bound until all are chosen, so that no two names get the same.
        ports = {name: _wished(held, name, port) for name, port in wished.items()}
        others = in_a_row()
        for name in names:
            if name not in ports:
                last = kept.get(name)
                ports[name] = (last and _bind(held, last)) or _any(held, others)
    file.write_text(json.dumps(ports, indent=2))
    return ports


def _wished(held: ExitStack, name: str, port: int) -> int:
    bound = _bind(held, port)
    if bound is None:
        raise PermanentFailure(f"port {port} for {name} is taken; choose another, or none")
    return bound


def in_a_row() -> Iterator[int]:
    """Ports from a random one upwards: two who choose a dozen at once seldom meet in a row."""
    start = random.randrange(len(UNASSIGNED))  # noqa: S311 - a spread, not a secret
    return itertools.chain(UNASSIGNED[start:], UNASSIGNED[:start])


def _any(held: ExitStack, candidates: Iterator[int]) -> int:
    for port in itertools.islice(candidates, _ATTEMPTS):
        bound = _bind(held, port)
        if bound is not None:
            return bound
    raise PermanentFailure(f"there is no free port on {HOST}; end something first")


def _bind(held: ExitStack, port: int) -> int | None:
    listening = held.enter_context(contextlib.closing(socket.socket()))
    # As servers do: a port whose last connections are only waiting for their end is free.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
        # Bound alone, a port that somebody else bound the same way would look free.
        listening.listen(1)
    except (OSError, OverflowError):
        return None
    bound: int = listening.getsockname()[1]
    return bound


def _read(file: Path) -> dict[str, int]:
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return {name: port for name, port in found.items() if isinstance(port, int)}
