"""One HTTP server on one loopback port: how every part of the sandbox but the clusters listens."""

from __future__ import annotations

from aiohttp import web

SHUTDOWN_SECONDS = 1.0


class Listener:
    """An aiohttp application bound to a port, started and stopped as one."""

    def __init__(self, application: web.Application) -> None:
        self._runner = web.AppRunner(
            application, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS, handle_signals=False
        )
        self.address = ""

    @property
    def url(self) -> str:
        """`http://host:port`, without a slash at the end; empty before `start`."""
        return f"http://{self.address}"

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen on `port` (0 = any free one); OSError when it is taken."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        try:
            await site.start()
        except OSError:
            await self._runner.cleanup()
            raise
        self.address = f"{host}:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        """Stop listening and cut what is still open."""
        await self._runner.cleanup()
