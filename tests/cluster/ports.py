"""Loopback ports: free ones, and the message for a wished one that is taken."""

from __future__ import annotations

import contextlib
import itertools
import socket

from domain.errors import PermanentFailure
from starter import ports as sandbox

HOST = sandbox.HOST
_ATTEMPTS = 200
_given: set[int] = set()


def free(count: int) -> tuple[int, ...]:
    """That many free ports, given to nobody else of this process; PermanentFailure without any."""
    found: set[int] = set()
    for port in itertools.islice(sandbox.in_a_row(), _ATTEMPTS * count):
        if port not in _given and is_free(port):
            found.add(port)
            _given.add(port)
        if len(found) == count:
            return tuple(found)
    raise PermanentFailure(f"there are no {count} free ports on {HOST}; end something first")


def is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with contextlib.closing(socket.socket()) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, port))
            listening.listen(1)
        except OSError:
            return False
    return True


def refuse_taken(port: int, purpose: str) -> None:
    """PermanentFailure with the remedy when somebody listens there."""
    if not is_free(port):
        raise PermanentFailure(
            f"port {port} on {HOST}, wished for {purpose}, is taken; end who listens there "
            f"(`ss -ltnp sport = :{port}` names it), or wish for another port or none"
        )
