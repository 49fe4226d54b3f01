"""Reading and deleting blobs (spec end-2, end-10)."""

from __future__ import annotations

from aiohttp import web

from sandbox.registry.content import Content
from sandbox.registry.errors import RegistryError
from sandbox.registry.names import checked_digest, checked_name


class Blobs:
    """The handlers of `/v2/<name>/blobs/<digest>`."""

    def __init__(self, content: Content) -> None:
        self._content = content

    async def read(self, request: web.Request) -> web.StreamResponse:
        """GET and HEAD, with byte ranges, sent from the file."""
        digest = self._find(request)
        headers = {"Docker-Content-Digest": digest, "Content-Type": "application/octet-stream"}
        return web.FileResponse(self._content.path(digest), headers=headers)

    async def delete(self, request: web.Request) -> web.Response:
        """DELETE: the repository forgets the blob."""
        digest = self._find(request)
        self._content.delete_blob(request.match_info["name"], digest)
        return web.Response(status=202)

    def _find(self, request: web.Request) -> str:
        name = checked_name(request.match_info["name"])
        digest = checked_digest(request.match_info["digest"])
        if not self._content.has_blob(name, digest):
            # Also where there is no such repository: so says distribution's registry.
            raise RegistryError("BLOB_UNKNOWN", f"no blob {digest} in {name}")
        return digest
