"""The records of past releases: by name while Temporal keeps them, by bundle for ever."""

from __future__ import annotations

from collections.abc import Sequence

from clients.registry import Registry
from domain.bundle import BundleReference
from domain.errors import NotFound, TransientFailure
from settings import Settings
from starter.connection import connect
from starter.output import complain
from starter.registries import registry_of
from starter.shelf import Shelf, reference_of


async def fetch(
    asked: Sequence[str], service: str | None, limit: int, shelf: Shelf, settings: Settings
) -> set[str]:
    """Take in the records of bundles, releases and services; returns the releases by name.

    Without anything `asked`, those of the latest `limit` releases that are over.
    """
    named = [place for place in asked if "@sha256:" not in place]
    bundles = {str(reference_of(place)) for place in asked if "@sha256:" in place}
    released: dict[str, BundleReference | None] = {}
    if named or not asked:
        released = await _released(named, service, limit, settings)
        bundles |= {str(bundle) for bundle in released.values() if bundle is not None}
    async with registry_of(settings) as registry:
        for bundle in sorted(bundles):
            await _take(registry, bundle, shelf, is_asked=bundle in asked)
    return set(released)


async def _released(
    named: Sequence[str], service: str | None, limit: int, settings: Settings
) -> dict[str, BundleReference | None]:
    """Releases and their bundles; None for one that ended before it had a bundle."""
    client = await connect(settings.temporal)
    from starter import visibility  # noqa: PLC0415 - see `starter.connection`
    from starter.releases import find, listed, look  # noqa: PLC0415

    if named:
        ids = [await find(client, name) for name in named]
        return {one: (await look(client, one)).state.bundle for one in ids}
    found: dict[str, BundleReference | None] = {}
    for past in await listed(client, visibility.query(service), limit):
        if past.status == "running":
            continue
        try:
            found[past.release] = (await look(client, past.release)).state.bundle
        except TransientFailure as failure:
            # One that was cut off is told by a worker; the others need none.
            complain(f"tidegate: {past.release} is left out: {failure}")
    return found


async def _take(registry: Registry, bundle: str, shelf: Shelf, *, is_asked: bool) -> None:
    """A bundle that the registry has dropped ends the command only where it was asked for."""
    try:
        await shelf.fetch(registry, bundle, all_kinds=True)
    except NotFound as missing:
        if is_asked:
            raise
        complain(f"tidegate: {bundle} is left out: {missing}")
