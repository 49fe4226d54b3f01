"""A question to the pods behind a Service, by way of the API server (its service proxy)."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import aiohttp

from clients.cluster_connection import Answer, Call, Connection
from clients.cluster_errors import is_absent, status_in
from domain.checks import HttpAnswer
from domain.errors import ReleaseError, TransientFailure

LONGEST_BODY_BYTES = 64 * 1024


async def ask(connection: Connection, call: Call, service: str, reading: Call) -> HttpAnswer:
    """What a pod answered, whichever status, its body cut at 64 KiB; time until it was read.

    A `Status` object is the API server's own word (no ready pod, no such Service or right) and
    raises. `reading` reads the Service itself, when the API server says that there is none.
    """
    clock = asyncio.get_running_loop().time
    begun = clock()
    async with connection.stream(call) as response:
        body = await _bounded(response)
        elapsed = timedelta(seconds=clock() - begun)
        if response.status >= 400 and status_in(response.status, body):
            answer = Answer(response.status, response.headers, body)
            raise await _refusal(connection, call, answer, service, reading)
        text = body.decode(errors="replace")
        return HttpAnswer(status=response.status, body=text, elapsed=elapsed)


async def _refusal(
    connection: Connection, call: Call, answer: Answer, service: str, reading: Call
) -> ReleaseError:
    refused = connection.failure(call, answer)
    if not is_absent(answer.status, answer.body, service):
        return refused
    # The proxy looks for the EndpointSlice, and calls a Service absent that has none yet.
    found = await connection.ask(reading)
    if is_absent(found.status, found.body, service):
        return refused
    if found.status != 200:
        return connection.failure(reading, found)
    return TransientFailure(
        f"cannot {call.action}: Service {service} exists, but has no EndpointSlice yet; wait until "
        "the cluster has made one, which it does for a Service with a selector"
    )


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    while len(body) < LONGEST_BODY_BYTES:
        piece = await response.content.read(LONGEST_BODY_BYTES - len(body))
        if not piece:
            break
        body += piece
    return bytes(body)
