"""A question to the pods behind a Service, by way of the API server (its service proxy)."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import aiohttp

from clients.cluster_connection import Answer, Call, Connection
from clients.cluster_errors import status_in
from domain.checks import HttpAnswer

LONGEST_BODY_BYTES = 64 * 1024


async def ask(connection: Connection, call: Call) -> HttpAnswer:
    """What a pod answered, whichever status, its body cut at 64 KiB; time until it was read.

    A `Status` object is the API server's own word (no ready pod, no such Service or right) and
    raises.
    """
    clock = asyncio.get_running_loop().time
    begun = clock()
    async with connection.stream(call) as response:
        body = await _bounded(response)
        elapsed = timedelta(seconds=clock() - begun)
        if response.status >= 400 and status_in(response.status, body):
            raise connection.failure(call, Answer(response.status, response.headers, body))
        text = body.decode(errors="replace")
        return HttpAnswer(status=response.status, body=text, elapsed=elapsed)


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    while len(body) < LONGEST_BODY_BYTES:
        piece = await response.content.read(LONGEST_BODY_BYTES - len(body))
        if not piece:
            break
        body += piece
    return bytes(body)
