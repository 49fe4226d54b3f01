"""Pushing, reading and deleting manifests (spec end-3, end-7, end-9)."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from sandbox.registry.content import Content, Manifest
from sandbox.registry.errors import RegistryError
from sandbox.registry.names import (
    DIGEST,
    checked_digest,
    checked_name,
    checked_tag,
    digest_of,
)

IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_IMAGE = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
KNOWN_MEDIA_TYPES = (IMAGE, INDEX, DOCKER_IMAGE, DOCKER_LIST)
LARGEST_MANIFEST = 4 << 20
NOT_STORED_HERE = ("nondistributable", "foreign")


class Manifests:
    """The handlers of `/v2/<name>/manifests/<reference>`."""

    def __init__(self, content: Content) -> None:
        self._content = content

    async def push(self, request: web.Request) -> web.Response:
        """PUT by tag, or by digest (then `?tag=` may name tags too)."""
        name = checked_name(request.match_info["name"])
        reference = request.match_info["reference"]
        body = await _read(request)
        media_type, parsed = _parse(request, body)
        digest, tags = _address(reference, body, request.query.getall("tag", []))
        self._check_references(name, media_type, parsed)
        self._content.add_manifest(name, Manifest(digest, media_type, body))
        for tag in tags:
            self._content.tag(name, tag, digest)
        headers = {"Location": f"/v2/{name}/manifests/{digest}", "Docker-Content-Digest": digest}
        if subject := self._record_subject(name, Manifest(digest, media_type, body), parsed):
            headers["OCI-Subject"] = subject
        response = web.Response(status=201, headers=headers)
        for tag in request.query.getall("tag", []):
            response.headers.add("OCI-Tag", tag)
        return response

    async def read(self, request: web.Request) -> web.Response:
        """GET and HEAD by tag or digest, in exactly the bytes that were pushed."""
        name = checked_name(request.match_info["name"])
        manifest = self._find(name, request.match_info["reference"])
        headers = {"Docker-Content-Digest": manifest.digest, "Content-Type": manifest.media_type}
        return web.Response(body=manifest.body, headers=headers)

    async def delete(self, request: web.Request) -> web.Response:
        """DELETE: a tag goes alone; a digest goes with its tags."""
        name = checked_name(request.match_info["name"])
        reference = request.match_info["reference"]
        self._find(name, reference)
        if DIGEST.fullmatch(reference):
            self._content.delete_manifest(name, reference)
        else:
            self._content.delete_tag(name, reference)
        return web.Response(status=202)

    def _find(self, name: str, reference: str) -> Manifest:
        if ":" in reference:
            checked_digest(reference)
        else:
            checked_tag(reference)
        manifest = self._content.manifest(name, reference)
        if manifest is None:
            # Also where there is no such repository: so says distribution's registry.
            text = f"no manifest {reference} in {name}; push it first"
            raise RegistryError("MANIFEST_UNKNOWN", text)
        return manifest

    def _check_references(self, name: str, media_type: str, parsed: dict[str, Any]) -> None:
        if media_type in (INDEX, DOCKER_LIST):
            missing = [
                digest
                for digest in _digests(parsed.get("manifests") or [])
                if not self._content.has_manifest(name, digest)
            ]
        else:
            blobs = [parsed.get("config"), *(parsed.get("layers") or [])]
            missing = [
                digest for digest in _digests(blobs) if not self._content.has_blob(name, digest)
            ]
        if missing:
            texts = [f"{name} lacks {one} that the manifest names; push it" for one in missing]
            raise RegistryError("MANIFEST_BLOB_UNKNOWN", texts[0], more=tuple(texts[1:]))

    def _record_subject(self, name: str, manifest: Manifest, parsed: dict[str, Any]) -> str:
        subject = parsed.get("subject")
        if not isinstance(subject, dict):
            return ""
        digest = checked_digest(str(subject.get("digest")))
        config = parsed.get("config") or {}
        descriptor: dict[str, Any] = {
            "mediaType": manifest.media_type,
            "digest": manifest.digest,
            "size": len(manifest.body),
        }
        if artifact_type := parsed.get("artifactType") or config.get("mediaType"):
            descriptor["artifactType"] = artifact_type
        if annotations := parsed.get("annotations"):
            descriptor["annotations"] = annotations
        self._content.add_referrer(name, digest, manifest.digest, json.dumps(descriptor).encode())
        return digest


async def _read(request: web.Request) -> bytes:
    body = await request.content.read(LARGEST_MANIFEST + 1)
    while not request.content.at_eof() and len(body) <= LARGEST_MANIFEST:
        body += await request.content.read(LARGEST_MANIFEST + 1 - len(body))
    if len(body) > LARGEST_MANIFEST:
        text = f"the manifest is larger than {LARGEST_MANIFEST} bytes"
        raise RegistryError("MANIFEST_INVALID", text, status=413)
    return body


def _parse(request: web.Request, body: bytes) -> tuple[str, dict[str, Any]]:
    try:
        parsed = json.loads(body)
    except ValueError as error:
        raise RegistryError("MANIFEST_INVALID", f"the manifest is no JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise RegistryError("MANIFEST_INVALID", "the manifest is no JSON object")
    media_type = request.content_type if "Content-Type" in request.headers else ""
    media_type = media_type or str(parsed.get("mediaType", IMAGE))
    if media_type not in KNOWN_MEDIA_TYPES:
        raise RegistryError("MANIFEST_INVALID", f"media type {media_type} is not supported")
    if parsed.get("mediaType", media_type) != media_type:
        text = f"sent as {media_type}, but the manifest says {parsed['mediaType']}"
        raise RegistryError("MANIFEST_INVALID", text)
    return media_type, parsed


def _address(reference: str, body: bytes, more_tags: list[str]) -> tuple[str, list[str]]:
    if ":" not in reference:
        return digest_of(body), [checked_tag(reference)]
    wanted = checked_digest(reference)
    found = digest_of(body, wanted.partition(":")[0])
    if found != wanted:
        raise RegistryError("DIGEST_INVALID", f"the manifest is {found}, not {wanted}")
    return wanted, [checked_tag(tag) for tag in more_tags]


def _digests(descriptors: list[Any]) -> list[str]:
    """The digests that must be in the repository: a layer kept elsewhere need not."""
    digests = []
    for descriptor in descriptors:
        if not isinstance(descriptor, dict):
            raise RegistryError("MANIFEST_INVALID", f"{descriptor!r} is no descriptor")
        media_type = str(descriptor.get("mediaType", ""))
        if descriptor.get("urls") or any(word in media_type for word in NOT_STORED_HERE):
            continue
        digests.append(checked_digest(str(descriptor.get("digest"))))
    return digests
