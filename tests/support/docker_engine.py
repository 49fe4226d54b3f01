"""A double of Docker Engine at the network: it takes a build context and really pushes an image."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from clients.artifacts import Artifact, ArtifactLayer
from clients.registry import Registry
from domain.images import OCI_CONFIG, OCI_LAYER
from tests.support.web import serving

API_VERSION = "1.45"


@dataclass
class Asked:
    """What the engine was asked to build and push."""

    query: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    pushed: list[str] = field(default_factory=list)
    login: dict[str, str] = field(default_factory=dict)


class EngineDouble:
    """Answers as Docker Engine 26 does; lines and statuses can be set to misbehave."""

    def __init__(self) -> None:
        self.asked = Asked()
        self.build_lines: list[dict[str, Any]] = [
            {"stream": "Step 1/1 : FROM base\n"},
            {"aux": {"ID": "sha256:" + "1" * 64}},
            {"stream": "Successfully built 111111111111\n"},
        ]
        self.push_error: str | None = None
        self.tells_digest = True
        self.build_status = 200
        self.hangs_after_first_line = False
        self.build_began = asyncio.Event()
        self.client_hung_up = asyncio.Event()
        self.address = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[EngineDouble]:
        application = web.Application(client_max_size=1 << 30)
        application.add_routes(
            [
                web.get("/version", self._version),
                web.get("/{api}/version", self._version),
                web.get("/_ping", self._ping),
                web.post("/{api}/build", self._build),
                web.post("/{api}/images/{name:.+}/push", self._push),
            ]
        )
        async with serving(application, handlers_end_with_their_client=True) as address:
            self.address = f"tcp://{address}"
            yield self

    async def _ping(self, _: web.Request) -> web.Response:
        return web.Response(text="OK", headers={"Api-Version": API_VERSION})

    async def _version(self, _: web.Request) -> web.Response:
        return web.json_response({"Version": "26.1.0", "ApiVersion": API_VERSION})

    async def _build(self, request: web.Request) -> web.StreamResponse:
        self.asked.query = dict(request.query)
        with tarfile.open(fileobj=io.BytesIO(await request.read())) as context:
            for member in context.getmembers():
                content = context.extractfile(member)
                if content is not None:
                    self.asked.files[member.name] = content.read()
        if self.build_status != 200:
            return web.json_response({"message": "no such thing"}, status=self.build_status)
        return await self._stream(request, self.build_lines)

    async def _push(self, request: web.Request) -> web.StreamResponse:
        login = request.headers.get("X-Registry-Auth", "")
        self.asked.login = json.loads(base64.urlsafe_b64decode(login) or b"{}")
        name, tag = request.match_info["name"], request.query["tag"]
        if self.push_error is not None:
            error = {"errorDetail": {"message": self.push_error}, "error": self.push_error}
            return await self._stream(request, [{"status": "The push refers to"}, error])
        digest = await self._upload(name, tag)
        self.asked.pushed.append(f"{name}:{tag}")
        lines: list[dict[str, Any]] = [{"status": f"{tag}: digest: {digest} size: 1"}]
        if self.tells_digest:
            lines.append({"progressDetail": {}, "aux": {"Tag": tag, "Digest": digest, "Size": 1}})
        return await self._stream(request, lines)

    async def _upload(self, name: str, tag: str) -> str:
        image = Artifact(
            artifact_type=OCI_CONFIG,
            layers=(ArtifactLayer(OCI_LAYER, b"layer"),),
            config=b'{"os":"linux","architecture":"amd64"}',
            config_media_type=OCI_CONFIG,
        )
        async with Registry([name.partition("/")[0]]) as registry:
            digest = await registry.push_artifact(name, image)
            return await registry.put_manifest(name, image.manifest(None), tag) or digest

    async def _stream(
        self, request: web.Request, lines: list[dict[str, Any]]
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        for line in lines:
            await response.write(json.dumps(line).encode() + b"\r\n")
            self.build_began.set()
            if self.hangs_after_first_line:
                try:
                    await asyncio.Event().wait()
                finally:
                    self.client_hung_up.set()
        return response
