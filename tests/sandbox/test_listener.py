"""How every part of the sandbox, and every double of the tests, stops listening."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

import pytest
from aiohttp import web

from sandbox.listener import Listener

PATIENCE_SECONDS = 10.0


@pytest.mark.parametrize("turns", range(6))
async def test_who_connects_while_it_is_closed_is_hung_up_on(turns: int) -> None:
    listener = Listener(web.Application())
    await listener.start()
    host, _, port = listener.address.rpartition(":")
    with socket.create_connection((host, int(port)), PATIENCE_SECONDS) as late:
        for _ in range(turns):
            await asyncio.sleep(0)
        await listener.close()
        # Reset: it was not even accepted.
        with suppress(ConnectionResetError):
            assert late.recv(1) == b""


async def test_it_can_be_closed_twice_and_before_it_has_begun() -> None:
    listener = Listener(web.Application())
    await listener.close()
    await listener.start()
    await listener.close()
    await listener.close()
