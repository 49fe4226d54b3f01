from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sandbox.registry import Registry

IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
# Bundles name the base image by digest, so it may never change unnoticed.
BASE_DIGEST = "sha256:76ac2c8d7be7ce1906ec40c1732c5802cadb0cf31b7a002eb1aa1d1963150f3b"


class Client:
    """The requests of a registry's client, written out."""

    def __init__(self, registry: Registry, session: aiohttp.ClientSession) -> None:
        self.registry = registry
        self._session = session

    async def send(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, Any, bytes]:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        url = path if path.startswith("http") else f"{self.registry.url}{path}"
        async with self._session.request(method, url, data=body, headers=named) as response:
            return response.status, response.headers, await response.read()

    async def blob(self, name: str, content: bytes) -> dict[str, Any]:
        digest = digest_of(content)
        path = f"/v2/{name}/blobs/uploads/?digest={digest}"
        assert (await self.send("POST", path, content))[0] == 201
        return {"mediaType": EMPTY, "digest": digest, "size": len(content)}

    async def manifest(self, name: str, reference: str, **fields: Any) -> tuple[int, Any, bytes]:
        body = await self.manifest_body(name, **fields)
        return await self.send("PUT", f"/v2/{name}/manifests/{reference}", body, Content_Type=IMAGE)

    async def manifest_body(self, name: str, **fields: Any) -> bytes:
        config = await self.blob(name, b"{}")
        whole = {"schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": [], **fields}
        return json.dumps(whole).encode()


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    registry = Registry(tmp_path)
    await registry.start()
    async with aiohttp.ClientSession() as session:
        yield Client(registry, session)
    await registry.close()


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def code_of(body: bytes) -> str:
    return str(json.loads(body)["errors"][0]["code"])


async def test_what_is_pushed_at_once_is_pulled_byte_for_byte(client: Client) -> None:
    content = bytes(range(256)) * 4096
    blob = await client.blob("team/album", content)
    status, headers, body = await client.send("GET", f"/v2/team/album/blobs/{blob['digest']}")
    assert (status, body) == (200, content)
    assert headers["Docker-Content-Digest"] == blob["digest"]


async def test_a_blob_arrives_in_chunks_and_a_chunk_out_of_order_is_refused(
    client: Client,
) -> None:
    whole = b"0123456789" * 3
    status, headers, _ = await client.send("POST", "/v2/album/blobs/uploads/")
    assert status == 202
    upload = headers["Location"]
    status, headers, _ = await client.send("PATCH", upload, whole[:10], Content_Range="0-9")
    assert (status, headers["Range"]) == (202, "0-9")
    status, headers, _ = await client.send("PATCH", upload, whole[20:], Content_Range="20-29")
    assert (status, headers["Range"]) == (416, "0-9")
    status, headers, _ = await client.send("GET", upload)
    assert (status, headers["Range"]) == (204, "0-9")
    closing = f"{upload}?digest={digest_of(whole)}"
    assert (await client.send("PUT", closing, whole[10:], Content_Range="10-29"))[0] == 201
    _, _, body = await client.send("GET", f"/v2/album/blobs/{digest_of(whole)}")
    assert body == whole


async def test_content_that_is_not_its_digest_is_refused_and_forgotten(client: Client) -> None:
    digest = digest_of(b"wanted")
    status, _, body = await client.send(
        "POST", f"/v2/album/blobs/uploads/?digest={digest}", b"other"
    )
    assert (status, code_of(body)) == (400, "DIGEST_INVALID")
    assert (await client.send("HEAD", f"/v2/album/blobs/{digest}"))[0] == 404


async def test_part_of_a_blob_is_sent_for_a_byte_range(client: Client) -> None:
    blob = await client.blob("album", b"0123456789")
    path = f"/v2/album/blobs/{blob['digest']}"
    status, headers, body = await client.send("GET", path, Range="bytes=2-4")
    assert (status, body) == (206, b"234")
    assert headers["Content-Range"] == "bytes 2-4/10"


async def test_a_blob_is_mounted_only_from_a_repository_that_has_it(client: Client) -> None:
    blob = await client.blob("album", b"layer")
    mount = f"/v2/billing/blobs/uploads/?mount={blob['digest']}"
    assert (await client.send("POST", f"{mount}&from=user"))[0] == 202
    assert (await client.send("HEAD", f"/v2/billing/blobs/{blob['digest']}"))[0] == 404
    assert (await client.send("POST", f"{mount}&from=album"))[0] == 201
    assert (await client.send("HEAD", f"/v2/billing/blobs/{blob['digest']}"))[0] == 200


async def test_a_cancelled_upload_is_unknown(client: Client) -> None:
    _, headers, _ = await client.send("POST", "/v2/album/blobs/uploads/")
    assert (await client.send("DELETE", headers["Location"]))[0] == 204
    status, _, body = await client.send("PATCH", headers["Location"], b"more")
    assert (status, code_of(body)) == (404, "BLOB_UPLOAD_UNKNOWN")


async def test_a_manifest_is_found_by_tag_and_by_digest_in_the_same_bytes(client: Client) -> None:
    status, headers, _ = await client.manifest("album", "v1")
    assert status == 201
    digest = headers["Docker-Content-Digest"]
    _, by_tag, tagged = await client.send("GET", "/v2/album/manifests/v1")
    _, _, exact = await client.send("GET", f"/v2/album/manifests/{digest}")
    assert tagged == exact
    assert digest_of(exact) == digest
    assert by_tag["Content-Type"] == IMAGE
    status, head, nothing = await client.send("HEAD", f"/v2/album/manifests/{digest}")
    assert (status, nothing, head["Content-Length"]) == (200, b"", str(len(exact)))


async def test_a_manifest_whose_blob_is_missing_is_refused(client: Client) -> None:
    layer = {"mediaType": EMPTY, "digest": digest_of(b"never pushed"), "size": 12}
    status, _, body = await client.manifest("album", "v1", layers=[layer])
    assert (status, code_of(body)) == (400, "MANIFEST_BLOB_UNKNOWN")
    assert (await client.send("GET", "/v2/album/manifests/v1"))[0] == 404


async def test_a_manifest_pushed_by_another_digest_is_refused(client: Client) -> None:
    status, _, body = await client.manifest("album", digest_of(b"other"))
    assert (status, code_of(body)) == (400, "DIGEST_INVALID")


async def test_deleting_a_tag_keeps_the_manifest_and_deleting_the_manifest_takes_its_tags(
    client: Client,
) -> None:
    _, headers, _ = await client.manifest("album", "v1")
    digest = headers["Docker-Content-Digest"]
    await client.manifest("album", "latest")
    assert (await client.send("DELETE", "/v2/album/manifests/v1"))[0] == 202
    assert (await client.send("GET", "/v2/album/manifests/v1"))[0] == 404
    assert (await client.send("GET", f"/v2/album/manifests/{digest}"))[0] == 200
    assert (await client.send("DELETE", f"/v2/album/manifests/{digest}"))[0] == 202
    _, _, body = await client.send("GET", "/v2/album/tags/list")
    assert json.loads(body)["tags"] == []


async def test_tags_come_in_pages_in_lexical_order(client: Client) -> None:
    for tag in ("b", "C", "a", "d"):
        await client.manifest("album", tag)
    path, pages = "/v2/album/tags/list?n=3", []
    while path:
        _, headers, body = await client.send("GET", path)
        pages.append(json.loads(body)["tags"])
        path = headers.get("Link", "").partition(">")[0].removeprefix("<")
    assert pages == [["a", "b", "C"], ["d"]]


async def test_referrers_of_a_subject_are_listed_and_filtered_by_artifact_type(
    client: Client,
) -> None:
    subject = {"mediaType": IMAGE, "digest": digest_of(b"not pushed yet"), "size": 1}
    for kind in ("scan", "soak"):
        status, headers, _ = await client.manifest(
            "album", kind, subject=subject, artifactType=f"test/{kind}", annotations={"is": kind}
        )
        assert (status, headers["OCI-Subject"]) == (201, subject["digest"])
    path = f"/v2/album/referrers/{subject['digest']}"
    _, headers, body = await client.send("GET", path)
    assert headers["Content-Type"] == INDEX
    assert {one["artifactType"] for one in json.loads(body)["manifests"]} == {
        "test/scan",
        "test/soak",
    }
    _, headers, body = await client.send("GET", f"{path}?artifactType=test/scan")
    assert headers["OCI-Filters-Applied"] == "artifactType"
    (found,) = json.loads(body)["manifests"]
    assert found["annotations"] == {"is": "scan"}
    await client.send("DELETE", f"/v2/album/manifests/{found['digest']}")
    _, _, body = await client.send("GET", path)
    assert [one["artifactType"] for one in json.loads(body)["manifests"]] == ["test/soak"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v2/nobody/tags/list", 404, "NAME_UNKNOWN"),
        ("GET", "/v2/nobody/manifests/v1", 404, "MANIFEST_UNKNOWN"),
        ("GET", "/v2/sandbox/python-base/manifests/none", 404, "MANIFEST_UNKNOWN"),
        ("GET", f"/v2/sandbox/python-base/blobs/sha256:{'0' * 64}", 404, "BLOB_UNKNOWN"),
        ("GET", "/v2/sandbox/python-base/blobs/sha256:short", 400, "DIGEST_INVALID"),
        ("PUT", "/v2/album/manifests/-bad-", 400, "MANIFEST_INVALID"),
        ("POST", "/v2/UPPER/blobs/uploads/", 400, "NAME_INVALID"),
        ("PATCH", f"/v2/album/blobs/uploads/{'0' * 32}", 404, "BLOB_UPLOAD_UNKNOWN"),
        ("GET", "/v2/_catalog", 501, "UNSUPPORTED"),
    ],
)
async def test_a_refusal_carries_the_code_of_the_specification(
    client: Client, method: str, path: str, status: int, code: str
) -> None:
    found, _, body = await client.send(method, path)
    assert (found, code_of(body)) == (status, code)


async def test_content_outlives_the_registry(tmp_path: Path) -> None:
    first = Registry(tmp_path)
    await first.start()
    async with aiohttp.ClientSession() as session:
        await Client(first, session).manifest("album", "v1")
        await first.close()
        second = Registry(tmp_path)
        await second.start()
        assert (await Client(second, session).send("GET", "/v2/album/manifests/v1"))[0] == 200
        await second.close()


async def test_the_base_image_is_always_the_same_and_has_a_root_file_system(
    client: Client,
) -> None:
    assert client.registry.base_image.endswith(f"/sandbox/python-base@{BASE_DIGEST}")
    _, _, body = await client.send("GET", "/v2/sandbox/python-base/manifests/3")
    assert digest_of(body) == BASE_DIGEST
    layer = json.loads(body)["layers"][0]["digest"]
    _, _, packed = await client.send("GET", f"/v2/sandbox/python-base/blobs/{layer}")
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        assert sorted(archive.getnames()) == ["app", "etc", "etc/os-release", "tmp"]


async def test_an_image_exists_only_when_this_registry_holds_it(client: Client) -> None:
    registry = client.registry
    assert registry.image_exists(registry.base_image)
    assert registry.image_exists(f"{registry.address}/sandbox/python-base:3")
    assert not registry.image_exists(f"{registry.address}/sandbox/python-base")
    assert not registry.image_exists(f"{registry.address}/album@{BASE_DIGEST}")
    assert not registry.image_exists("sandbox/python-base:3")


async def test_every_request_is_on_record_with_its_answer(client: Client) -> None:
    await client.manifest("album", "v1")
    await client.send("GET", "/v2/album/manifests/none")
    _, _, body = await client.send("GET", "/sandbox/requests")
    records = [(one["method"], one["path"], one["status"]) for one in json.loads(body)["requests"]]
    assert records == [
        ("POST", "/v2/album/blobs/uploads/", 201),
        ("PUT", "/v2/album/manifests/v1", 201),
        ("GET", "/v2/album/manifests/none", 404),
    ]
    assert client.registry.requests.count("PUT", "/manifests/") == 1
