"""Finding content: tags of a repository, referrers of a manifest (spec end-8, end-12)."""

from __future__ import annotations

import json
from urllib.parse import quote

from aiohttp import web

from sandbox.registry.content import Content
from sandbox.registry.errors import RegistryError
from sandbox.registry.manifests import INDEX
from sandbox.registry.names import checked_digest, checked_name


class Discovery:
    """The handlers of `/v2/<name>/tags/list` and `/v2/<name>/referrers/<digest>`."""

    def __init__(self, content: Content) -> None:
        self._content = content

    async def tags(self, request: web.Request) -> web.Response:
        """Tags in lexical order, in pages of `n` after `last`."""
        name = checked_name(request.match_info["name"])
        tags = sorted(self._content.tags(name), key=_lexical)
        if last := request.query.get("last"):
            tags = [tag for tag in tags if _lexical(tag) > _lexical(last)]
        page, headers = tags, {}
        if "n" in request.query:
            page = tags[: _page_size(request.query["n"])]
            if page and len(page) < len(tags):
                address = f"/v2/{name}/tags/list?n={len(page)}&last={quote(page[-1])}"
                headers["Link"] = f'<{address}>; rel="next"'
        return web.json_response({"name": name, "tags": page}, headers=headers)

    async def referrers(self, request: web.Request) -> web.Response:
        """An image index of the manifests whose subject is the digest, empty if none."""
        name = checked_name(request.match_info["name"])
        subject = checked_digest(request.match_info["digest"])
        found = [json.loads(one) for one in self._content.referrers(name, subject)]
        headers = {"Content-Type": INDEX}
        if wanted := request.query.get("artifactType"):
            found = [one for one in found if one.get("artifactType") == wanted]
            headers["OCI-Filters-Applied"] = "artifactType"
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": found}
        return web.Response(body=json.dumps(index).encode(), headers=headers)


def _lexical(tag: str) -> tuple[str, str]:
    return tag.lower(), tag


def _page_size(given: str) -> int:
    if not given.isdecimal():
        raise RegistryError("SIZE_INVALID", f"n={given} is no number of tags")
    return int(given)
