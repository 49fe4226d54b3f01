"""One HTTP server on one loopback port: how every part of the sandbox listens."""

from __future__ import annotations

import asyncio
import socket
import ssl

from aiohttp import web

SHUTDOWN_SECONDS = 1.0
# From asyncio's accepting of a connection to its handler's first step.
ACCEPTING_TURNS = 4


class Listener:
    """An aiohttp application bound to a port, started and stopped as one.

    At the end handlers that are still at work get `patience` seconds.
    """

    def __init__(
        self,
        application: web.Application,
        *,
        tls: ssl.SSLContext | None = None,
        patience: float = SHUTDOWN_SECONDS,
        handlers_end_with_their_client: bool = False,
    ) -> None:
        self._runner = web.AppRunner(
            application,
            access_log=None,
            shutdown_timeout=patience,
            handle_signals=False,
            handler_cancellation=handlers_end_with_their_client,
        )
        self._tls = tls
        self._socket: socket.socket | None = None
        self.address = ""

    @property
    def url(self) -> str:
        """`http://host:port`, without a slash at the end; empty before `start`."""
        return f"http{'s' if self._tls else ''}://{self.address}"

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen on `port` (0 = any free one); OSError when it is taken."""
        await self._runner.setup()
        try:
            self._socket = socket.create_server((host, port))
        except OSError:
            await self._runner.cleanup()
            raise
        await web.SockSite(self._runner, self._socket, ssl_context=self._tls).start()
        self.address = f"{host}:{self._socket.getsockname()[1]}"

    async def close(self) -> None:
        """Stop listening and cut what is still open; safe to call twice."""
        listening, self._socket = self._socket, None
        if listening is not None:
            await accept_no_more(listening.fileno())
        await self._runner.cleanup()


async def accept_no_more(listening: int) -> None:
    """Before a server is closed: what its socket has accepted becomes known to who closes it.

    asyncio makes a connection's transport some turns after it accepted it; of a server that was
    closed meanwhile nobody would close the transport.
    """
    asyncio.get_running_loop().remove_reader(listening)
    for _ in range(ACCEPTING_TURNS):
        await asyncio.sleep(0)
