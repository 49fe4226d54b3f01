"""The table of breaks: ways in which a server could differ, by the shape of the request."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.contract.breaking import (
    Break,
    another_status,
    as_status,
    other_content,
    saying,
    with_field,
    with_header,
    without_field,
    without_header,
)

_ANY = Break("answers another status", another_status)
_OBJECT = (
    Break("leaves the uid out", without_field("metadata.uid")),
    Break("says another kind", with_field("kind", "Thing")),
)
_REFUSED = Break("gives another reason", with_field("reason", "Other"))

# Every break whose pattern is found in a shape turns the contract of that shape red.
TABLE: tuple[tuple[str, tuple[Break, ...]], ...] = (
    (r"", (_ANY,)),
    (
        r"GET /version|manifests/\{tag\}$|/-/ready|/api/auth",
        (Break("asks for patience", with_header("Retry-After", "3600")),),
    ),
    (
        r"^kubernetes GET \S+[?&]watch$",
        (
            Break("calls changes additions", saying('"MODIFIED"', '"ADDED"')),
            Break("watches everything", unread_query=True),
            Break("calls bookmarks changes", saying('"BOOKMARK"', '"MODIFIED"')),
        ),
    ),
    (r"^kubernetes GET \S+\{name\}$", (*_OBJECT, _REFUSED)),
    (r"^kubernetes GET \S+\?labelSelector$", (Break("selects nothing", unread_query=True),)),
    (r"^kubernetes GET \S+s$", (Break("has no version", without_field("metadata")),)),
    (
        r"^kubernetes PATCH",
        (
            *_OBJECT,
            _REFUSED,
            Break("names what a failed patch was of", with_field("details", {"name": "x"})),
            Break("sends text", with_header("Content-Type", "text/plain")),
        ),
    ),
    (
        r"^kubernetes POST \S+/namespaces",
        (
            *_OBJECT,
            Break("mixes reasons up", with_field("reason", "Conflict")),
            Break("names no causes", without_field("details.causes")),
        ),
    ),
    (
        r"^kubernetes DELETE",
        (
            Break("deletes whatever has the name", unread_body=True),
            Break("does not say what it deleted", without_field("details")),
        ),
    ),
    (
        r"/proxy/",
        (
            Break("sends text", with_header("Content-Type", "text/plain")),
            Break("drops what the pod said", other_content),
        ),
    ),
    (r"selfsubjectaccessreviews", (Break("does not decide", without_field("status.allowed")),)),
    (r"^kubernetes GET /version", (Break("has no version", without_field("gitVersion")),)),
    (
        r"^registry (GET|HEAD) \S+/(blobs|manifests)/",
        (
            Break("leaves the digest out", without_header("Docker-Content-Digest")),
            Break("says another type", with_header("Content-Type", "text/plain")),
        ),
    ),
    (r"^registry GET \S+/(blobs|manifests)/", (Break("changes content", other_content),)),
    (
        r"^registry POST /v2/",
        (
            Break("says no place", without_header("Location")),
            Break("says no progress", without_header("Range")),
        ),
    ),
    (r"^registry GET \{realm\}", (Break("gives no token", without_field("token")),)),
    (
        r"^registry POST \{realm\}",
        (
            Break("gives no token", without_field("access_token")),
            Break("knows nobody", unread_body=True),
        ),
    ),
    (r"^registry POST \S+mount", (Break("never mounts", unread_query=True),)),
    (r"^registry DELETE", (Break("has another code", other_content),)),
    (
        r"^registry PUT",
        (
            Break("leaves the digest out", without_header("Docker-Content-Digest")),
            Break("says no place", without_header("Location")),
            Break("names no error", without_field("errors")),
        ),
    ),
    (
        r"^registry GET \S+/referrers/",
        (
            Break("has none", with_field("manifests", [])),
            Break("is no index", with_header("Content-Type", "application/json")),
        ),
    ),
    (
        r"^registry GET \S+artifactType",
        (
            Break("does not say that it filters", without_header("OCI-Filters-Applied")),
            Break("does not filter", unread_query=True),
        ),
    ),
    (
        r"^prometheus GET /api/v1/query",
        (
            Break("answers a vector", with_field("data.resultType", "vector")),
            Break("has no result", without_field("data.result")),
            Break("has no status", without_field("status")),
        ),
    ),
    (r"^prometheus GET /-/ready", (Break("says something else", other_content),)),
    (
        r"^slack",
        (
            Break("does not say whether it went well", without_field("ok")),
            Break("sends text", with_header("Content-Type", "text/plain")),
        ),
    ),
    (r"^slack POST /api/chat", (Break("says no time", without_field("ts")),)),
    (r"^slack GET /api/conversations.list", (Break("has none", with_field("channels", [])),)),
    (r"^slack GET /api/conversations.[hr]", (Break("has none", with_field("messages", [])),)),
)


@dataclass(frozen=True)
class Guarded:
    """Breaks of one contract whose answers to a shape are not those of other contracts.

    `shapes` is a pattern: one shape of each way in which a server comes to its answer will do.
    """

    contract: str
    shapes: str
    breaks: tuple[Break, ...]


GUARDED = (
    Guarded(
        "kubernetes/forbidden",
        r"/(deployments|httproutes|services/\S+/proxy|pods)\b|/namespaces/\{name\}$",
        (
            Break("lets the stranger in", unread_login=True),
            Break("does not know the stranger", as_status(401, "Unauthorized")),
            Break("denies that it is there", as_status(404, "NotFound")),
            Break("does not say what was refused", without_field("details")),
            Break("names another user", saying("stranger", "system:anonymous")),
        ),
    ),
    Guarded(
        "kubernetes/versions",
        r"resourceVersion",
        (
            Break("does not say when to retry", without_header("Retry-After")),
            Break("says another time to retry", with_header("Retry-After", "3600")),
        ),
    ),
    Guarded(
        "kubernetes/permissions",
        r"selfsubjectaccessreviews",
        (Break("allows the stranger everything", unread_login=True),),
    ),
    Guarded(
        "kubernetes/credentials",
        r"/configmaps$",
        (Break("takes any token", unread_login=True),),
    ),
    Guarded(
        "kubernetes/answers",
        r"/proxy/\{path\}$",
        (
            Break("makes a Status of it", as_status(404, "NotFound")),
            Break("leaves out where a path has gone", without_header("Location")),
        ),
    ),
    Guarded(
        "kubernetes/proxy",
        r"/proxy/\{path\}$",
        (_ANY, _REFUSED, Break("has no Status", with_field("kind", "Thing"))),
    ),
    Guarded(
        "kubernetes/answers",
        r"/proxy/\{path\}\?owner",
        (Break("drops the query", unread_query=True),),
    ),
    Guarded(
        "registry/tokens",
        r"^registry (GET /v2/$|GET \S+/manifests/\{digest\}$|POST \S+/uploads/$)",
        (
            Break("says nowhere to get a token", without_header("WWW-Authenticate")),
            Break("lets everybody in", as_status(200, "")),
        ),
    ),
    Guarded(
        "registry/login",
        r"^registry",
        (
            Break("takes any login", unread_login=True),
            Break("says no way to log in", without_header("WWW-Authenticate")),
        ),
    ),
)


def breaks_of(shape: str) -> list[Break]:
    """Every break for a shape of request, each once."""
    found = [one for pattern, breaks in TABLE if re.search(pattern, shape) for one in breaks]
    return list({one.name: one for one in found}.values())
