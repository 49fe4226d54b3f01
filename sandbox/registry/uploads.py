"""Pushing a blob: at once, in chunks, or by a mount (spec end-4 to end-6, end-11)."""

from __future__ import annotations

import asyncio
import re
import uuid
from pathlib import Path

from aiohttp import web

from sandbox.registry.content import Content
from sandbox.registry.errors import RegistryError
from sandbox.registry.names import checked_digest, checked_name, digest_of_file

CONTENT_RANGE = re.compile(r"(?:bytes[ =])?(\d+)-(\d+)(?:/\S+)?")
UPLOAD_ID = re.compile(r"[a-f0-9]{32}")


class Uploads:
    """The handlers of `/v2/<name>/blobs/uploads/`."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._repository_of: dict[str, str] = {}

    async def start(self, request: web.Request) -> web.Response:
        """POST: mount if it can, take the whole body if a digest is given, else open a session."""
        name = checked_name(request.match_info["name"])
        mount = request.query.get("mount")
        if mount and self._mount(name, checked_digest(mount), request.query.get("from")):
            return _created(name, mount)
        identifier = uuid.uuid4().hex
        self._repository_of[identifier] = name
        path = self._content.uploads / identifier
        path.touch()
        digest = request.query.get("digest")
        if digest is None:
            return self._accepted(name, identifier, path)
        await _append(request, path)
        return await self._finish(name, identifier, digest)

    async def status(self, request: web.Request) -> web.Response:
        """GET: how far the upload is."""
        name, identifier, path = self._find(request)
        return web.Response(status=204, headers=_progress(name, identifier, path))

    async def append(self, request: web.Request) -> web.Response:
        """PATCH: one chunk, or one stream of unknown length."""
        name, identifier, path = self._find(request)
        _check_range(request, name, identifier, path)
        await _append(request, path)
        return self._accepted(name, identifier, path)

    async def finish(self, request: web.Request) -> web.Response:
        """PUT: the last chunk (may be empty) and the digest of the whole."""
        name, identifier, path = self._find(request)
        digest = request.query.get("digest")
        if digest is None:
            raise RegistryError("DIGEST_INVALID", "the closing PUT names no ?digest=")
        _check_range(request, name, identifier, path)
        await _append(request, path)
        return await self._finish(name, identifier, digest)

    async def cancel(self, request: web.Request) -> web.Response:
        """DELETE: forget the upload."""
        _, identifier, path = self._find(request)
        self._forget(identifier, path)
        return web.Response(status=204, headers={"Docker-Upload-UUID": identifier})

    def _mount(self, name: str, digest: str, source: str | None) -> bool:
        known = (
            self._content.has_anywhere(digest)
            if source is None
            else self._content.has_blob(checked_name(source), digest)
        )
        if known:
            self._content.link_blob(name, digest)
        return known

    def _find(self, request: web.Request) -> tuple[str, str, Path]:
        name = checked_name(request.match_info["name"])
        identifier = request.match_info["upload"]
        path = self._content.uploads / identifier
        if not UPLOAD_ID.fullmatch(identifier) or self._repository_of.get(identifier) != name:
            raise RegistryError("BLOB_UPLOAD_UNKNOWN", f"no upload {identifier} to {name} is open")
        return name, identifier, path

    def _forget(self, identifier: str, path: Path) -> None:
        del self._repository_of[identifier]
        path.unlink(missing_ok=True)

    async def _finish(self, name: str, identifier: str, digest: str) -> web.Response:
        path = self._content.uploads / identifier
        try:
            algorithm = checked_digest(digest).partition(":")[0]
            found = await asyncio.to_thread(digest_of_file, path, algorithm)
            if found != digest:
                raise RegistryError("DIGEST_INVALID", f"the content is {found}, not {digest}")
            self._content.add_blob(name, digest, path)
        finally:
            self._forget(identifier, path)
        return _created(name, digest)

    def _accepted(self, name: str, identifier: str, path: Path) -> web.Response:
        return web.Response(status=202, headers=_progress(name, identifier, path))


def _created(name: str, digest: str) -> web.Response:
    location = f"/v2/{name}/blobs/{digest}"
    return web.Response(status=201, headers={"Location": location, "Docker-Content-Digest": digest})


def _progress(name: str, identifier: str, path: Path) -> dict[str, str]:
    return {
        "Location": f"/v2/{name}/blobs/uploads/{identifier}",
        "Range": f"0-{max(path.stat().st_size - 1, 0)}",
        "Docker-Upload-UUID": identifier,
    }


def _check_range(request: web.Request, name: str, identifier: str, path: Path) -> None:
    header = request.headers.get("Content-Range")
    if header is None:
        return
    parsed = CONTENT_RANGE.fullmatch(header)
    if parsed is None:
        raise RegistryError("BLOB_UPLOAD_INVALID", f"Content-Range {header!r} is not start-end")
    start, end = int(parsed[1]), int(parsed[2])
    if start != path.stat().st_size:
        raise RegistryError(
            "BLOB_UPLOAD_INVALID",
            f"the chunk starts at {start}, but {path.stat().st_size} bytes are here",
            status=416,
            headers=_progress(name, identifier, path),
        )
    length = request.content_length
    if length is not None and length != end - start + 1:
        raise RegistryError("SIZE_INVALID", f"{length} bytes sent as range {header}")


async def _append(request: web.Request, path: Path) -> None:
    with path.open("ab") as upload:
        async for piece in request.content.iter_any():
            upload.write(piece)
