"""What a registry answers to our client: blobs, mounts, manifests, referrers."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

from clients.artifacts import Artifact, ArtifactLayer
from domain.images import (
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    OCI_EMPTY,
    OCI_INDEX,
    OCI_MANIFEST,
    descriptor,
)
from domain.records import canonical_json, digest_of
from tests.contract.conversations import Answer, Conversation, Question, of_another
from tests.contract.targets import Masks

Contract = Callable[[Conversation, str], Awaitable[None]]
ACCEPT = ", ".join((OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX))
LAYER = ArtifactLayer("text/plain", b"a layer", {"org.example.name": "note.txt"})
NOTE = Artifact("application/vnd.example.note.v1+json", (LAYER,))
# Distribution has no API for them, as the specification permits: clients keep a tag instead.
NO_REFERRERS = "registry/no-referrers"
LOGIN = "registry/login"
# Who is not let in: shows nothing, a wrong password, an unknown name, a token.
ANONYMOUS, MISTAKEN, UNKNOWN = "anonymous", "mistaken", "unknown"
OF_ANOTHER_SCHEME = "of another scheme"
ABSENT = digest_of(b"nobody ever pushed this")
MASKS = Masks(
    values={"message": "sentence", "token": "token", "access_token": "token"},
    dropped=frozenset({"detail"}),
    texts=(
        # An address may be written whole or from the root: both are one place.
        (r"^http://[^/]+/", "/"),
        (r"uploads/[0-9a-f-]{32,36}(\?\S+)?$", "uploads/{upload}"),
        (r"^[0-9a-f-]{32,36}$", "{upload}"),
        # Where tokens are given, and in which order the actions are named.
        (r'realm="http://[^/]+/token"', 'realm="http://<server>/token"'),
        (r":(push,pull|pull,push)\b", ":<both>"),
    ),
    headers=(
        "Content-Type",
        "Docker-Content-Digest",
        "Docker-Upload-UUID",
        "Link",
        "Location",
        "OCI-Filters-Applied",
        "OCI-Subject",
        "Range",
        "WWW-Authenticate",
    ),
)


def read(path: str, query: str = "") -> Question:
    """A GET of content, or of a manifest with the types that our client accepts."""
    return Question("GET", path, query, accept=ACCEPT if "/manifests/" in path else "*/*")


def _head(path: str) -> Question:
    return Question("HEAD", path, accept=ACCEPT if "/manifests/" in path else "*/*")


def manifest(path: str, body: bytes, media_type: str) -> Question:
    """A PUT of a manifest."""
    return Question("PUT", path, body=body, content_type=media_type)


async def upload(talk: Conversation, name: str, content: bytes) -> None:
    """Push a blob without making steps of it."""
    opened = await talk.ask(Question("POST", f"/v2/{name}/blobs/uploads/"))
    closed = await talk.ask(_closing(opened, content, digest_of(content)))
    assert closed.status == 201, closed.body


def _closing(opened: Answer, content: bytes, digest: str) -> Question:
    location, _, query = opened.headers["Location"].partition("?")
    query = "&".join(part for part in (query, f"digest={quote(digest)}") if part)
    return Question("PUT", location, query, body=content, content_type="application/octet-stream")


async def blobs(talk: Conversation, name: str) -> None:
    """Uploading, finding and reading content."""
    digest = digest_of(LAYER.content)
    path = f"/v2/{name}/blobs/{digest}"
    await talk.step("look for a blob in no repository", _head(path))
    await talk.step("read a blob in no repository", read(path))
    start = Question("POST", f"/v2/{name}/blobs/uploads/")
    opened = await talk.step("begin an upload", start)
    await talk.step("end it", _closing(opened, LAYER.content, digest))
    await talk.step("end it again", _closing(opened, LAYER.content, digest))
    await talk.step("look for it", _head(path))
    await talk.step("read it", read(path))
    absent = f"/v2/{name}/blobs/{ABSENT}"
    await talk.step("look for another", _head(absent))
    await talk.step("read another", read(absent))
    opened = await talk.ask(start)
    await talk.step("end an upload as what it is not", _closing(opened, LAYER.content, ABSENT))
    opened = await talk.ask(start)
    await talk.step("end an upload as nothing", _closing(opened, LAYER.content, "sha256:0"))


async def mounts(talk: Conversation, name: str) -> None:
    """Taking over a blob of another repository, and giving up an upload."""
    await upload(talk, f"{name}/source", LAYER.content)
    start = f"/v2/{name}/blobs/uploads/"

    def mounting(digest: str) -> Question:
        source = quote(f"{name}/source", safe="")
        return Question("POST", start, f"mount={quote(digest)}&from={source}")

    await talk.step("mount", mounting(digest_of(LAYER.content)))
    await talk.step("look for it", _head(f"/v2/{name}/blobs/{digest_of(LAYER.content)}"))
    opened = await talk.step("mount what is not there", mounting(ABSENT))
    location, _, query = opened.headers["Location"].partition("?")
    await talk.step("give the upload up", Question("DELETE", location, query))
    await talk.step("give it up again", Question("DELETE", location, query))


async def manifests(talk: Conversation, name: str) -> None:
    """Manifests by digest and by tag, right and wrong."""
    body = NOTE.manifest(None)
    path = f"/v2/{name}/manifests"
    by_digest, by_tag = f"{path}/{digest_of(body)}", f"{path}/v1"
    for what, place in {"by digest": by_digest, "by tag": by_tag}.items():
        await talk.step(f"look for none {what}", _head(place))
        await talk.step(f"read none {what}", read(place))
    await talk.step("store one before its blobs", manifest(by_digest, body, OCI_MANIFEST))
    for content in NOTE.contents:
        await upload(talk, name, content)
    for what, place in {"by digest": by_digest, "by tag": by_tag}.items():
        await talk.step(f"store {what}", manifest(place, body, OCI_MANIFEST))
        await talk.step(f"look {what}", _head(place))
        await talk.step(f"read {what}", read(place))
    await _wrong_manifests(talk, name, body)
    await _other_manifests(talk, name, body)


async def _wrong_manifests(talk: Conversation, name: str, body: bytes) -> None:
    path = f"/v2/{name}/manifests"
    other = f"{path}/{ABSENT}"
    await talk.step("look for another", _head(other))
    await talk.step("read another", read(other))
    await talk.step("store as what it is not", manifest(other, body, OCI_MANIFEST))
    await talk.step("store what is not JSON", manifest(f"{path}/v2", b"{", OCI_MANIFEST))
    await talk.step("store as another type", manifest(f"{path}/v2", body, OCI_INDEX))


async def _other_manifests(talk: Conversation, name: str, body: bytes) -> None:
    path = f"/v2/{name}/manifests"
    entry = {
        **descriptor(OCI_MANIFEST, digest_of(body), len(body)),
        "platform": {"os": "linux", "architecture": "amd64"},
    }
    index = canonical_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]})
    missing = canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [{**entry, "digest": ABSENT}],
        }
    )
    for what, place in {"by digest": f"{path}/{digest_of(index)}", "by tag": f"{path}/all"}.items():
        await talk.step(f"store an index {what}", manifest(place, index, OCI_INDEX))
        await talk.step(f"read an index {what}", read(place))
    for what, place in {"by digest": f"{path}/{digest_of(missing)}", "by tag": f"{path}/x"}.items():
        await talk.step(f"store an index of nothing {what}", manifest(place, missing, OCI_INDEX))
    docker = canonical_json(
        {**json.loads(body), "mediaType": DOCKER_MANIFEST, "artifactType": None}
    )
    wrong = manifest(f"{path}/{ABSENT}", docker, DOCKER_MANIFEST)
    await talk.step("store a docker manifest as what it is not", wrong)
    place = f"{path}/{digest_of(docker)}"
    await talk.step("store a docker manifest", manifest(place, docker, DOCKER_MANIFEST))
    await talk.step("read a docker manifest", read(place))


async def referrers(talk: Conversation, name: str) -> None:
    """What is said about a manifest; a registry may not have this, then it says 404."""
    body = NOTE.manifest(None)
    for content in NOTE.contents:
        await upload(talk, name, content)
    path = f"/v2/{name}/referrers/{digest_of(body)}"
    await talk.step("list none", read(path), _index)
    await talk.ask(manifest(f"/v2/{name}/manifests/v1", body, OCI_MANIFEST))
    subject = descriptor(OCI_MANIFEST, digest_of(body), len(body))
    said = Artifact("application/vnd.example.said.v1+json", (), subject=digest_of(body))
    await upload(talk, name, b"{}")
    about = said.manifest(subject)
    place = f"/v2/{name}/manifests/{digest_of(about)}"
    await talk.step("store one", manifest(place, about, OCI_MANIFEST))
    await talk.step("list", read(path), _index)
    for kind in (said.artifact_type, OCI_EMPTY):
        query = f"artifactType={quote(kind, safe='')}"
        await talk.step(f"list those of type {kind}", read(path, query), _index)


async def login(talk: Conversation, name: str) -> None:
    """A registry that demands a login, asked without one, with wrong ones, and with the right."""
    body = NOTE.manifest(None)
    for who in (ANONYMOUS, MISTAKEN, UNKNOWN, OF_ANOTHER_SCHEME):
        async with of_another(talk, who) as other:
            for what, question in demanding(name, body).items():
                await other.step(f"{what} as {who}", question)
    await talk.step("greet", Question("GET", "/v2/"))
    for content in NOTE.contents:
        await upload(talk, name, content)
    path = f"/v2/{name}/manifests/{digest_of(body)}"
    await talk.step("store a manifest", manifest(path, body, OCI_MANIFEST))
    await talk.step("read a manifest", read(path))
    await talk.step("look for a blob", _head(f"/v2/{name}/blobs/{digest_of(LAYER.content)}"))
    async with of_another(talk, ANONYMOUS) as other:
        await other.step("read as anonymous what is there", read(path))


def demanding(name: str, body: bytes) -> dict[str, Question]:
    """Requests to which a registry answers with what it demands."""
    path = f"/v2/{name}"
    blob, start = f"{path}/blobs/{ABSENT}", f"{path}/blobs/uploads/"
    mount = f"mount={quote(ABSENT)}&from={quote(name, safe='')}"
    return {
        "greet": Question("GET", "/v2/"),
        "look for a blob": _head(blob),
        "read a blob": read(blob),
        "begin an upload": Question("POST", start),
        "mount": Question("POST", start, mount),
        "look for a manifest": _head(f"{path}/manifests/{ABSENT}"),
        "read a manifest": read(f"{path}/manifests/{ABSENT}"),
        "read a tag": read(f"{path}/manifests/v1"),
        "store a manifest": manifest(f"{path}/manifests/{digest_of(body)}", body, OCI_MANIFEST),
    }


def _index(body: Any) -> Any:
    return body if isinstance(body, dict) else "<text>"


CONTRACTS: dict[str, Contract] = {
    "registry/blobs": blobs,
    "registry/mounts": mounts,
    "registry/manifests": manifests,
    "registry/referrers": referrers,
    NO_REFERRERS: referrers,
    LOGIN: login,
}
