"""One exchange with a source of metrics: over at its deadline, never larger than can be read.

`requests` bounds each read alone: a source that drips a byte a second would keep a thread for
ever. Here the socket is shut at the deadline, so the thread that waits for it ends; and the
threads are the source's own, so whatever it does with them nobody else waits.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

# What 50,000 series of some 40 samples take; a gigabyte of objects when it is read.
LARGEST_ANSWER = 64 * 2**20
CONCURRENT = 8
# Of a page of an error more would be read for nothing.
TEXT_LENGTH = 64 * 2**10

Result = TypeVar("Result")
_here = threading.local()


class TooLarge(Exception):  # noqa: N818 - told in the caller's words
    """The answer is longer than `LARGEST_ANSWER` bytes."""


class IsClosed(TimeoutError):  # noqa: N818 - a state, told in the caller's words
    """The source is asked no more."""


class Exchange:
    """What one question has come to, and the connection it uses."""

    def __init__(self) -> None:
        self._is_over = False
        self._connection: _Cuttable | None = None

    def run(self, function: Callable[[], Result]) -> Result:
        """In the thread."""
        self.check()
        _here.exchange = self
        try:
            return function()
        finally:
            _here.exchange = self._connection = None

    def uses(self, connection: _Cuttable) -> None:
        """From now on the deadline is this connection's."""
        self._connection, connection.exchange = connection, self
        self.check()

    def check(self) -> None:
        """Raise TimeoutError when nobody waits any more."""
        if self._is_over:
            raise TimeoutError("given up")

    def end(self) -> None:
        """From any thread: what its thread still waits for comes no more."""
        self._is_over = True
        self.hang_up()

    def hang_up(self) -> None:
        """Nothing more comes by its connection."""
        connection = self._connection
        # A connection that was given back may be another's by now.
        if connection is not None and connection.exchange is self:
            connection.cut()


def _current() -> Exchange | None:
    """The exchange of this thread."""
    exchange: Exchange | None = getattr(_here, "exchange", None)
    return exchange


class Exchanges:
    """The threads in which one source is asked: few, its own, and gone when it is closed."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(CONCURRENT, thread_name_prefix="metrics-source")
        self._open: set[Exchange] = set()
        self._is_closed = False

    async def run(self, function: Callable[[], Result], seconds: float) -> Result:
        """What the function returns or raises; TimeoutError, with its socket shut, after so long.

        The time in which it waits for a free thread counts.
        """
        if self._is_closed:
            raise IsClosed
        exchange = Exchange()
        self._open.add(exchange)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(seconds):
                return await loop.run_in_executor(self._threads, exchange.run, function)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._is_closed or (task is not None and task.cancelling()):
                raise
            # Closing took it from the threads' queue; whoever asks is not cancelled by that.
            raise IsClosed from None
        finally:
            exchange.end()
            self._open.discard(exchange)

    def close(self) -> None:
        """End what is under way; no thread is waited for."""
        self._is_closed = True
        # The queue first: a thread that is freed would take from it.
        self._threads.shutdown(wait=False, cancel_futures=True)
        for exchange in tuple(self._open):
            exchange.end()


class Answer(requests.Response):
    """Read once, as what JSON is: to guess another encoding of a large answer takes minutes."""

    def json(self, **_: object) -> Any:
        """The value; ValueError or RecursionError when it is none."""
        if not hasattr(self, "_value"):
            self._value = json.loads(self.content)
        return self._value

    @property
    def text(self) -> str:
        """Its begin."""
        return (self.content or b"")[:TEXT_LENGTH].decode(errors="replace")


class BoundedAdapter(HTTPAdapter):
    """How requests sends within an exchange."""

    def init_poolmanager(self, *arguments: Any, **named: Any) -> None:
        """Connections that can be cut."""
        super().init_poolmanager(*arguments, **named)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *arguments: Any, **named: Any) -> Any:
        """The same by a proxy that the environment names."""
        manager = super().proxy_manager_for(*arguments, **named)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        """The answer, whose bytes are counted while they come."""
        answer = Answer()
        answer.__dict__.update(super().build_response(req, resp).__dict__)
        answer.raw = _Counted(resp)
        return answer


class _Counted:
    """urllib3's answer, which ends too large ones."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def stream(self, amount: int, decode_content: bool | None = None) -> Iterator[bytes]:
        received = 0
        for chunk in self._raw.stream(amount, decode_content=decode_content):
            received += len(chunk)
            if received > LARGEST_ANSWER:
                if (exchange := _current()) is not None:
                    exchange.hang_up()
                self._raw.close()
                raise TooLarge
            yield chunk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


class _Cuttable(HTTPConnection):
    """A connection that another thread can shut."""

    exchange: Exchange | None = None
    _opened: socket.socket | None = None

    def connect(self) -> None:
        super().connect()
        # An answer after which the server closes takes the socket from the connection.
        self._opened = self.sock
        if self.exchange is not None:
            self.exchange.check()

    def request(self, *arguments: Any, **named: Any) -> None:
        if (exchange := _current()) is not None:
            exchange.uses(self)
        super().request(*arguments, **named)

    def cut(self) -> None:
        for opened in (self._opened, self.sock):
            if opened is not None:
                with suppress(OSError):
                    # Past TLS: its own shutdown would take the state that a read still uses.
                    socket.socket.shutdown(opened, socket.SHUT_RDWR)


class _CuttableTls(_Cuttable, HTTPSConnection):
    """The same by TLS."""


class _Pool(HTTPConnectionPool):
    """Connections that can be cut."""

    ConnectionCls = _Cuttable


class _TlsPool(HTTPSConnectionPool):
    """The same by TLS."""

    ConnectionCls = _CuttableTls


_POOLS = {"http": _Pool, "https": _TlsPool}
