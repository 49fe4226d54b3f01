"""From the connection file to a Temporal client.

Importing Temporal's client takes longer than reaching a server, so the server is called first, by
the part of the library that can, and the rest is imported while it answers. What needs the client's
names (`starter.releases`, `starter.failures`) is therefore imported after `connect` was called.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from temporalio.service import ConnectConfig, ServiceClient, TLSConfig

from domain.errors import PermanentFailure, TransientFailure
from settings import TemporalSettings, TlsSettings

if TYPE_CHECKING:
    from temporalio.client import Client

CONNECT_TIMEOUT = timedelta(seconds=5)
RPC_TIMEOUT = timedelta(seconds=5)


async def connect(place: TemporalSettings) -> Client:
    """A client that speaks our records; TransientFailure naming the address when nobody answers."""
    config = ConnectConfig(
        target_host=place.address,
        connect_timeout=CONNECT_TIMEOUT,
        tls=None if place.tls is None else _tls(place.tls),
        api_key=_api_key(place.api_key_file),
    )
    connecting = asyncio.create_task(ServiceClient.connect(config))
    await asyncio.sleep(0)
    from temporalio.client import Client  # noqa: PLC0415 - see above

    from payloads import data_converter  # noqa: PLC0415

    try:
        async with asyncio.timeout(CONNECT_TIMEOUT.total_seconds()):
            service = await connecting
    except (RuntimeError, TimeoutError) as error:
        raise TransientFailure(
            f"Temporal does not answer at {place.address}; start it (`tidegate sandbox up`), or "
            "correct [temporal] address in the connection file"
        ) from error
    converter = data_converter(place.encryption_key_file)
    return Client(service, namespace=place.namespace, data_converter=converter)


def _tls(settings: TlsSettings) -> TLSConfig:
    return TLSConfig(
        server_root_ca_cert=_content("server_ca", settings.server_ca),
        domain=settings.server_name,
        client_cert=_content("client_certificate", settings.client_certificate),
        client_private_key=_content("client_key", settings.client_key),
    )


def _api_key(path: Path | None) -> str | None:
    content = _content("api_key_file", path)
    return None if content is None else content.decode().strip()


def _content(name: str, path: Path | None) -> bytes | None:
    try:
        return None if path is None else path.read_bytes()
    except OSError as error:
        raise PermanentFailure(f"[temporal] {name} {path} cannot be read: {error}") from error


def ui_link(place: TemporalSettings, release: str) -> str | None:
    """A release's page in Temporal's UI, when the connection file says where the UI is."""
    if place.ui is None:
        return None
    return f"{place.ui.rstrip('/')}/namespaces/{place.namespace}/workflows/{release}"
