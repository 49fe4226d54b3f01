"""The registry as a server: its routes, its port, its record of requests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from aiohttp import web

from sandbox.listener import Listener
from sandbox.outage import Outage
from sandbox.registry import base_image
from sandbox.registry.blobs import Blobs
from sandbox.registry.content import Content
from sandbox.registry.discovery import Discovery
from sandbox.registry.errors import RegistryError, answer_errors
from sandbox.registry.login import demand_login
from sandbox.registry.manifests import Manifests
from sandbox.registry.names import DIGEST, ImageReference
from sandbox.registry.uploads import Uploads
from sandbox.request_log import RequestLog

API_VERSION = {"Docker-Distribution-Api-Version": "registry/2.0"}


class Registry:
    """An OCI registry over HTTP, its content under one directory, seeded with a base image.

    `logins`: passwords by user; when there are any, nobody else is let in.
    """

    def __init__(self, directory: Path, logins: Mapping[str, str] | None = None) -> None:
        self.requests = RequestLog()
        self.outage = Outage("registry")
        self._content = Content(directory)
        self._base_digest = base_image.seed(self._content)
        self._listener = Listener(self._application(logins or {}))

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen on `port` (0 = any free one); OSError when it is taken."""
        await self._listener.start(host, port)

    async def close(self) -> None:
        """Stop listening; the content stays on disk."""
        await self._listener.close()

    @property
    def url(self) -> str:
        """`http://host:port`."""
        return self._listener.url

    @property
    def address(self) -> str:
        """`host:port`, the way image references begin."""
        return self._listener.address

    @property
    def base_image(self) -> str:
        """The seeded base image by digest: `host:port/sandbox/python-base@sha256:...`."""
        return f"{self.address}/{base_image.NAME}@{self._base_digest}"

    def image_exists(self, image: str) -> bool:
        """True when a kubelet could pull `image` from here; another registry's image never can."""
        parsed = ImageReference.parse(image)
        if parsed.host != self.address:
            return False
        if DIGEST.fullmatch(parsed.reference):
            return self._content.has_manifest(parsed.name, parsed.reference)
        return self._content.manifest(parsed.name, parsed.reference) is not None

    def _application(self, logins: Mapping[str, str]) -> web.Application:
        guards = [demand_login(logins)] if logins else []
        application = web.Application(
            middlewares=[
                self.requests.middleware(),
                self.outage.middleware(),
                answer_errors,
                *guards,
            ]
        )
        blobs, uploads = Blobs(self._content), Uploads(self._content)
        manifests, discovery = Manifests(self._content), Discovery(self._content)
        upload = "/v2/{name:.+}/blobs/uploads/{upload}"
        blob = "/v2/{name:.+}/blobs/{digest}"
        manifest = "/v2/{name:.+}/manifests/{reference}"
        application.add_routes(
            [
                web.get("/v2/", _ping),
                web.get("/v2", _ping),
                web.post("/v2/{name:.+}/blobs/uploads/", uploads.start),
                web.get(upload, uploads.status, allow_head=False),
                web.patch(upload, uploads.append),
                web.put(upload, uploads.finish),
                web.delete(upload, uploads.cancel),
                web.get(blob, blobs.read),
                web.delete(blob, blobs.delete),
                web.put(manifest, manifests.push),
                web.get(manifest, manifests.read),
                web.delete(manifest, manifests.delete),
                web.get("/v2/{name:.+}/tags/list", discovery.tags),
                web.get("/v2/{name:.+}/referrers/{digest}", discovery.referrers),
                web.get("/sandbox/requests", self.requests.answer),
                web.route("*", "/{anything:.*}", _unsupported),
            ]
        )
        return application


async def _ping(_request: web.Request) -> web.Response:
    # Not `json_response`: it names a character set.
    headers = {**API_VERSION, "Content-Type": "application/json"}
    return web.Response(body=b"{}", headers=headers)


async def _unsupported(request: web.Request) -> web.Response:
    text = f"the sandbox's registry does not do {request.method} {request.path}"
    raise RegistryError("UNSUPPORTED", text)
