"""From the connection file to a Temporal client.

Importing Temporal's client takes longer than reaching a server, so the server is called first, by
the part of the library that can, and the rest is imported while it answers. What needs the client's
names (`starter.releases`, `starter.failures`) is therefore imported after `connect` was called.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

from temporalio.service import ConnectConfig, ServiceClient

from domain.errors import TransientFailure
from settings import TemporalSettings

if TYPE_CHECKING:
    from temporalio.client import Client

CONNECT_TIMEOUT = timedelta(seconds=5)
RPC_TIMEOUT = timedelta(seconds=5)


async def connect(place: TemporalSettings) -> Client:
    """A client that speaks our records; TransientFailure naming the address when nobody answers."""
    config = ConnectConfig(target_host=place.address, connect_timeout=CONNECT_TIMEOUT)
    connecting = asyncio.create_task(ServiceClient.connect(config))
    await asyncio.sleep(0)
    from temporalio.client import Client  # noqa: PLC0415 - see above
    from temporalio.contrib.pydantic import pydantic_data_converter  # noqa: PLC0415

    try:
        async with asyncio.timeout(CONNECT_TIMEOUT.total_seconds()):
            service = await connecting
    except (RuntimeError, TimeoutError) as error:
        raise TransientFailure(
            f"Temporal does not answer at {place.address}; start it (`tidegate sandbox up`), or "
            "correct [temporal] address in the connection file"
        ) from error
    return Client(service, namespace=place.namespace, data_converter=pydantic_data_converter)


def ui_link(place: TemporalSettings, release: str) -> str | None:
    """A release's page in Temporal's UI, when the connection file says where the UI is."""
    if place.ui is None:
        return None
    return f"{place.ui.rstrip('/')}/namespaces/{place.namespace}/workflows/{release}"
