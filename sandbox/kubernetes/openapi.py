"""The little of OpenAPI v3 that kubectl asks before it applies: which queries a patch takes."""

from __future__ import annotations

from sandbox.kubernetes.resources import RESOURCES, Resource, groups
from sandbox.kubernetes.status import Manifest

_QUERIES = ("dryRun", "fieldManager", "fieldValidation", "force")


def index() -> Manifest:
    """`/openapi/v3`: one document per group and version."""
    paths = ["api/v1", *(f"apis/{group}/{version}" for group, version in groups().items())]
    return {"paths": {path: {"serverRelativeURL": f"/openapi/v3/{path}"} for path in paths}}


def document(path: str) -> Manifest | None:
    """The document of `/openapi/v3/<path>`, without schemas; None when nothing is served there."""
    served = [r for r in RESOURCES if r.collection_path.strip("/") == path.strip("/")]
    if not served:
        return None
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes (Tidegate sandbox)", "version": "v1.36.3"},
        "paths": {_path(resource): {"patch": _patch(resource)} for resource in served},
        "components": {"schemas": {}},
    }


def _path(resource: Resource) -> str:
    scope = "/namespaces/{namespace}" if resource.namespaced else ""
    return f"{resource.collection_path}{scope}/{resource.plural}/{{name}}"


def _patch(resource: Resource) -> Manifest:
    formats = ["application/json-patch+json", "application/merge-patch+json"]
    if not resource.custom:
        formats.append("application/strategic-merge-patch+json")
    return {
        "x-kubernetes-action": "patch",
        "x-kubernetes-group-version-kind": {
            "group": resource.group,
            "version": resource.version,
            "kind": resource.kind,
        },
        "parameters": [
            {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
            for name in _QUERIES
        ],
        "requestBody": {"content": {name: {} for name in formats}},
        "responses": {"200": {"description": "OK"}},
    }
