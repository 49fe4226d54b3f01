"""A small HTTP server on loopback that answers as a test says: the double at the network."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.typedefs import Handler

from sandbox.listener import Listener

SHUTDOWN_SECONDS = 0.5


def any_request(handler: Handler, largest: int = 1 << 20) -> web.Application:
    """Every request goes to `handler`; bodies of up to `largest` bytes."""
    application = web.Application(client_max_size=largest)
    application.router.add_route("*", "/{anything:.*}", handler)
    return application


@asynccontextmanager
async def serving(
    application: web.Application,
    *,
    tls: ssl.SSLContext | None = None,
    patience: float = SHUTDOWN_SECONDS,
    handlers_end_with_their_client: bool = False,
) -> AsyncIterator[str]:
    """`sandbox.listener.Listener` on a free loopback port; yields `host:port`."""
    listener = Listener(
        application,
        tls=tls,
        patience=patience,
        handlers_end_with_their_client=handlers_end_with_their_client,
    )
    await listener.start()
    try:
        yield listener.address
    finally:
        await listener.close()


@asynccontextmanager
async def answering_with(handler: Handler) -> AsyncIterator[str]:
    """Every request goes to `handler`; yields the server's URL, without a slash at the end."""
    async with serving(any_request(handler), handlers_end_with_their_client=True) as address:
        yield f"http://{address}"
