"""Image registries by the OCI distribution specification 1.1: content-addressed, idempotent."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from yarl import URL

from clients.artifacts import (
    Artifact,
    entries_of_index,
    fallback_tag,
    referrer_entry,
    referrers_index,
)
from clients.registry_auth import Credentials, anonymous
from clients.registry_connection import Answer, Call, RegistryConnection
from domain.errors import NotFound, PermanentFailure, TransientFailure
from domain.images import (
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Reference,
    descriptor,
    is_digest,
)
from domain.records import digest_of

MANIFEST_LIMIT_BYTES = 4 * 1024 * 1024
BLOB_LIMIT_BYTES = 64 * 1024 * 1024
LAYER_LIMIT_BYTES = 8 * 1024 * 1024 * 1024
_ANSWER_BYTES = 64 * 1024
_FALLBACK_ATTEMPTS = 5
_ACCEPT = {"Accept": ", ".join((OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX))}


class Registry:
    """Client of every registry; `repository` is always `host[:port]/path`.

    Errors: NotFound, PermanentFailure (denied, malformed, content that is not what its digest
    says), TransientFailure (unreachable, overloaded, 5xx). Writing twice is writing once.
    """

    def __init__(
        self,
        plain_http: Collection[str] = (),
        credentials: Credentials = anonymous,
        timeout: timedelta = timedelta(minutes=10),
    ) -> None:
        """`plain_http`: hosts spoken to without TLS; `timeout`: for one request, body included."""
        self._connection = RegistryConnection(plain_http, credentials, timeout)
        self._fallback_locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection; the next call opens new ones."""
        await self._connection.close()

    async def resolve(self, reference: Reference) -> str:
        """Digest of what the reference names now; NotFound when there is no such image."""
        path = f"manifests/{reference.version}"
        subject = f"look up image {reference}"
        answer = await self._call("HEAD", reference, path, subject, (200, 404, 405), _ACCEPT)
        digest = answer.headers.get("Docker-Content-Digest", "")
        if answer.status == 200 and is_digest(digest):
            return _verified(digest, reference.digest, subject)
        # A HEAD has no body to say why, and some registries answer it without a digest.
        _, digest, _ = await self.get_manifest(reference.repository, reference.version)
        return digest

    async def get_manifest(
        self, repository: str, version: str
    ) -> tuple[dict[str, Any], str, bytes]:
        """The manifest (or index) by digest or tag: parsed, its digest, and its exact bytes."""
        place = _place(repository)
        subject = f"read image {_named(place, version)}"
        call = Call("GET", place, f"manifests/{version}", subject, headers=_ACCEPT)
        answer = await self._connection.exchange(call, MANIFEST_LIMIT_BYTES)
        digest = digest_of(answer.body)
        _verified(digest, version if is_digest(version) else None, subject)
        try:
            manifest = json.loads(answer.body)
        except ValueError as error:
            raise PermanentFailure(f"{subject}: the manifest is not JSON") from error
        if not isinstance(manifest, dict):
            raise PermanentFailure(f"{subject}: the manifest is not an object")
        # Old docker manifests carry their type in the header only.
        content_type = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        return {"mediaType": content_type, **manifest}, digest, answer.body

    async def put_manifest(self, repository: str, body: bytes, tag: str | None = None) -> str:
        """Store a manifest by content (and under `tag`, when given); returns its digest.

        One with a `subject` is listed by `referrers` afterwards, also where the registry has no
        referrers API.
        """
        place, digest = _place(repository), digest_of(body)
        manifest = json.loads(body)
        subject = f"store manifest {_named(place, tag or digest)}"
        headers = {"Content-Type": manifest.get("mediaType", OCI_MANIFEST)}
        call = Call("PUT", place, f"manifests/{tag or digest}", subject, (201,), headers, body)
        answer = await self._connection.exchange(call, _ANSWER_BYTES)
        _verified(answer.headers.get("Docker-Content-Digest", digest), digest, subject)
        if "subject" in manifest and "OCI-Subject" not in answer.headers:
            await self._list_by_tag(place, manifest["subject"]["digest"], referrer_entry(body))
        return digest

    async def has_blob(self, repository: str, digest: str) -> bool:
        """Whether the repository holds the blob."""
        place = _place(repository)
        subject = f"look up blob {_named(place, digest)}"
        answer = await self._call("HEAD", place, f"blobs/{digest}", subject, (200, 404))
        return answer.status == 200

    async def get_blob(
        self, repository: str, digest: str, limit_bytes: int = BLOB_LIMIT_BYTES
    ) -> bytes:
        """A blob's content, verified against its digest."""
        place = _place(repository)
        subject = f"read blob {_named(place, digest)}"
        answer = await self._connection.exchange(
            Call("GET", place, f"blobs/{digest}", subject), limit_bytes
        )
        _verified(digest_of(answer.body), digest, subject)
        return answer.body

    async def download_blob(
        self, repository: str, digest: str, target: Path, limit_bytes: int = LAYER_LIMIT_BYTES
    ) -> None:
        """Write a blob to `target`, verified; on any failure there is no file."""
        place = _place(repository)
        subject = f"read blob {_named(place, digest)}"
        partial = target.with_name(target.name + ".partial")
        hashed, size = hashlib.sha256(), 0
        try:
            async with self._connection.stream(
                Call("GET", place, f"blobs/{digest}", subject)
            ) as response:
                with partial.open("wb") as content:
                    async for chunk in response.content.iter_chunked(1024 * 1024):
                        size += len(chunk)
                        if size > limit_bytes:
                            raise PermanentFailure(f"{subject}: larger than {limit_bytes} bytes")
                        hashed.update(chunk)
                        await asyncio.to_thread(content.write, chunk)
            _verified(f"sha256:{hashed.hexdigest()}", digest, subject)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    async def put_blob(self, repository: str, content: bytes | Path) -> str:
        """Store content (of a file, when a path) unless it is there; returns its digest."""
        digest = (
            digest_of(content)
            if isinstance(content, bytes)
            else await asyncio.to_thread(_digest_of_file, content)
        )
        if await self.has_blob(repository, digest):
            return digest
        place = _place(repository)
        subject = f"store blob {_named(place, digest)}"
        opened = await self._call("POST", place, "blobs/uploads/", subject, (202,))
        location = _location(opened, subject)
        target = f"{location}{'&' if '?' in location else '?'}digest={quote(digest)}"
        headers = {"Content-Type": "application/octet-stream"}
        call = Call("PUT", place, target, subject, (201,), headers, content)
        answer = await self._connection.exchange(call, _ANSWER_BYTES)
        return _verified(answer.headers.get("Docker-Content-Digest", digest), digest, subject)

    async def mount_blob(self, repository: str, digest: str, source: str) -> bool:
        """Make a blob of repository `source` (same host) part of this one without moving it.

        False when the registry would rather have it uploaded (or the hosts differ).
        """
        place, origin = _place(repository), _place(source)
        if place.host != origin.host:
            return False
        subject = f"mount blob {_named(place, digest)} from {source}"
        path = f"blobs/uploads/?mount={quote(digest)}&from={quote(origin.path)}"
        answer = await self._call("POST", place, path, subject, (201, 202))
        if answer.status == 202:
            # The registry opened an upload instead; 404 says that it has ended it already.
            upload = _location(answer, subject)
            await self._call("DELETE", place, upload, subject, (200, 202, 204, 404, 405))
        return answer.status == 201

    async def referrers(
        self, repository: str, digest: str, artifact_type: str | None = None
    ) -> list[dict[str, Any]]:
        """Descriptors of what was pushed with `digest` as subject; empty when there is none."""
        place = _place(repository)
        subject = f"list referrers of {_named(place, digest)}"
        path: str | None = f"referrers/{digest}"
        if artifact_type:
            path = f"{path}?artifactType={quote(artifact_type, safe='')}"
        found: list[dict[str, Any]] = []
        while path is not None:
            call = Call("GET", place, path, subject, (200, 404), {"Accept": OCI_INDEX})
            answer = await self._connection.exchange(call, MANIFEST_LIMIT_BYTES)
            if answer.status == 404:
                found = await self._listed_by_tag(place, digest)
                break
            found += entries_of_index(answer.body, subject)
            path = _next_page(answer)
        # A registry may ignore the filter.
        return [one for one in found if artifact_type in (None, one.get("artifactType"))]

    async def push_artifact(self, repository: str, artifact: Artifact) -> str:
        """Store an artifact and return its digest; the same artifact has the same digest."""
        subject = None
        if artifact.subject:
            manifest, digest, body = await self.get_manifest(repository, artifact.subject)
            subject = descriptor(manifest["mediaType"], digest, len(body))
        for content in artifact.contents:
            await self.put_blob(repository, content)
        return await self.put_manifest(repository, artifact.manifest(subject))

    async def _call(
        self,
        method: str,
        place: Reference,
        path: str,
        subject: str,
        expected: tuple[int, ...],
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        call = Call(method, place, path, subject, expected, headers or {})
        return await self._connection.exchange(call, _ANSWER_BYTES)

    async def _listed_by_tag(self, place: Reference, digest: str) -> list[dict[str, Any]]:
        try:
            _, _, body = await self.get_manifest(place.repository, fallback_tag(digest))
        except NotFound:
            return []
        return entries_of_index(body, f"list referrers of {_named(place, digest)}")

    async def _list_by_tag(self, place: Reference, digest: str, entry: dict[str, Any]) -> None:
        tag = fallback_tag(digest)
        async with self._fallback_locks[f"{place.repository}:{tag}"]:
            # A tag has no compare-and-swap: write, read back, and again if another writer won.
            for _ in range(_FALLBACK_ATTEMPTS):
                listed = await self._listed_by_tag(place, digest)
                if entry["digest"] in (one["digest"] for one in listed):
                    return
                await self.put_manifest(place.repository, referrers_index([*listed, entry]), tag)
        raise TransientFailure(
            f"list {entry['digest']} as referrer of {_named(place, digest)}: other writers of tag "
            f"{tag} won {_FALLBACK_ATTEMPTS} times; it is tried again"
        )


def _place(repository: str) -> Reference:
    place = Reference.parse(repository)
    if place.tag or place.digest:
        raise PermanentFailure(f"{repository} names an image where a repository is meant")
    return place


def _named(place: Reference, version: str) -> str:
    return f"{place.repository}{'@' if is_digest(version) else ':'}{version}"


def _verified(digest: str, wanted: str | None, subject: str) -> str:
    if wanted is not None and digest != wanted:
        raise PermanentFailure(
            f"{subject}: the registry holds other content under that name ({digest}); "
            "do not trust it before its storage has been checked"
        )
    return digest


def _location(answer: Answer, subject: str) -> str:
    location = answer.headers.get("Location")
    if not location:
        raise PermanentFailure(f"{subject}: the registry does not say where to upload")
    return str(answer.url.join(URL(location, encoded=True)))


def _next_page(answer: Answer) -> str | None:
    """The path in `Link: <...>; rel="next"` (RFC 8288), which may be relative to the request."""
    target, _, parameters = answer.headers.get("Link", "").partition(">")
    if 'rel="next"' not in parameters:
        return None
    return str(answer.url.join(URL(target.strip(" <"), encoded=True)))


def _digest_of_file(path: Path) -> str:
    with path.open("rb") as content:
        return f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"
