"""The shape of a request: what is left of it when names, digests and values are taken out.

Two requests of one shape are answered by the same rules; the contract suite has a test per shape.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

KUBERNETES_AGENT = "tidegate/"
REGISTRY_AGENT = "tidegate-registry/"
PROMETHEUS_AGENT = "python-requests/"

_DIGEST = re.compile(r"sha(256:[a-f0-9]{64}|512:[a-f0-9]{128})")
_QUERY = "/api/v1/query"
# Where a Prometheus lives behind a path of its own (a tenant's), that path is its address.
_ANSWERED_BY_PROMETHEUS = ("/api/v1/", "/-/")
_REGISTRY_PATHS: tuple[tuple[str, str, list[str]], ...] = (
    (r"blobs/uploads/?", "blobs/uploads/", ["mount", "from"]),
    (r"blobs/uploads/.+", "blobs/uploads/{upload}", ["digest"]),
    (r"blobs/[^/]+", "blobs/{digest}", []),
    (r"referrers/[^/]+", "referrers/{digest}", ["artifactType"]),
)
_MANIFEST = re.compile(r"/v2/.+/manifests/(?P<reference>[^/]+)")
_RESOURCE = re.compile(
    r"(?P<root>/api/[^/]+|/apis/[^/]+/[^/]+)(?P<inside>/namespaces/[^/]+(?=/))?"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+)(?P<rest>/.*)?)?"
)
_FORM = "application/x-www-form-urlencoded"
_TOKEN_QUERY = frozenset({"account", "client_id", "scope", "service"})
_SLACK = re.compile(r"/api/(?P<method>[a-z]+(?:\.[a-zA-Z]+)+)")
_MATCHER = re.compile(r'(?P<operator>=~|!~|!=|=)"(?:[^"\\]|\\.)*"')


@dataclass(frozen=True)
class Request:
    """One HTTP request as a server sees it; `path` is decoded and without the query."""

    method: str
    path: str
    query: str = ""
    content_type: str = ""
    body: bytes = b""
    agent: str = ""


def shape_of(request: Request) -> str | None:
    """The request's shape in one line; None when it is to none of the systems under contract.

    It says the system, the method, the path as a template, the names of the query's parameters,
    the content type and what kind of object the body is. What a client of ours asks in no known
    form has its path as it is: nobody has listed that.
    """
    if request.path.startswith("/v2/"):
        return _of_registry(request)
    if request.agent.startswith(REGISTRY_AGENT):
        return _of_token_server(request)
    if _SLACK.fullmatch(request.path):
        return f"slack {request.method} {request.path} {request.content_type}".rstrip()
    if request.agent.startswith(KUBERNETES_AGENT):
        return _of_kubernetes(request)
    if request.agent.startswith(PROMETHEUS_AGENT):
        return _of_prometheus(request)
    return None


def _of_registry(request: Request) -> str:
    template, kept = request.path, list[str]()
    if manifest := _MANIFEST.fullmatch(request.path):
        kind = "{digest}" if _DIGEST.fullmatch(manifest["reference"]) else "{tag}"
        template = f"/v2/{{repository}}/manifests/{kind}"
    for pattern, written, names in _REGISTRY_PATHS:
        if re.fullmatch(f"/v2/.+/{pattern}", request.path):
            template, kept = f"/v2/{{repository}}/{written}", names
            break
    # What else is in the query is the registry's own: the place of an upload, the next page.
    asked = [name for name in _names(request.query) if name in kept]
    body = request.content_type if request.method == "PUT" else ""
    return _line("registry", request.method, template, asked, body)


def _of_token_server(request: Request) -> str:
    """Where a registry sends us for a token is anywhere: its own path, at its own address."""
    names = _names(request.query)
    asks = request.method == "POST" and request.content_type == _FORM
    path = "{realm}" if asks or (_TOKEN_QUERY.issuperset(names) and names) else request.path
    return _line("registry", request.method, path, names, request.content_type)


def _of_kubernetes(request: Request) -> str:
    found = _RESOURCE.fullmatch(request.path)
    if found is None:
        return _line("kubernetes", request.method, request.path, _names(request.query), "")
    inside = "/namespaces/{namespace}" if found["inside"] else ""
    template = f"{found['root']}{inside}/{found['plural']}"
    rest = found["rest"] or ""
    if found["name"]:
        template += "/{name}"
    if rest.startswith("/proxy"):
        template, rest = f"{template}:{{port}}", "/proxy/{path}"
    body = f"{request.content_type} {_kind_of(request)}".strip() if request.body else ""
    return _line("kubernetes", request.method, template + rest, _names(request.query), body)


def _of_prometheus(request: Request) -> str:
    said = dict(parse_qsl(request.query))
    starts = [request.path.find(root) for root in _ANSWERED_BY_PROMETHEUS if root in request.path]
    path = request.path[min(starts, default=0) :]
    form = _form_of(said.get("query", "")) if path == _QUERY else ""
    return _line("prometheus", request.method, path, _names(request.query), form)


def _form_of(expression: str) -> str:
    operators = sorted({found["operator"] for found in _MATCHER.finditer(expression)})
    ranged = "[range]" if expression.endswith("]") else ""
    return f"metric{{{' '.join(operators)}}}{ranged}"


def _kind_of(request: Request) -> str:
    try:
        body = json.loads(request.body)
    except ValueError:
        return "(not JSON)"
    if isinstance(body, list):
        return "(operations)"
    return str(body.get("kind", "")) if isinstance(body, Mapping) else ""


def _names(query: str) -> list[str]:
    return sorted({name for name, _ in parse_qsl(query, keep_blank_values=True)})


def _line(system: str, method: str, template: str, names: list[str], body: str) -> str:
    asked = f"?{'&'.join(names)}" if names else ""
    return f"{system} {method} {template}{asked} {body}".rstrip()
