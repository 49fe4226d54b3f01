"""Discovery: versions, groups and resource lists, in the plain and the aggregated form."""

from __future__ import annotations

from sandbox.kubernetes.resources import RESOURCES, Resource, groups
from sandbox.kubernetes.status import Manifest

VERSION: Manifest = {
    "major": "1",
    "minor": "36",
    "gitVersion": "v1.36.3+sandbox",
    "gitCommit": "0" * 40,
    "gitTreeState": "clean",
    "buildDate": "2026-01-01T00:00:00Z",
    "goVersion": "go1.26",
    "compiler": "gc",
    "platform": "linux/amd64",
}
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_SCALE = {"group": "autoscaling", "version": "v1", "kind": "Scale"}


def wants_aggregated(accept: str) -> bool:
    """Whether the client takes the aggregated form, which saves it a request per group."""
    return "as=APIGroupDiscoveryList" in accept and "v=v2;" in f"{accept.replace(',', ';')};"


def document(path: str) -> Manifest | None:
    """The plain discovery document of a path, or None when the path is not one."""
    parts = path.strip("/").split("/")
    if parts == ["api"]:
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
    if parts == ["apis"]:
        listed = [_group(group, version) for group, version in groups().items()]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}
    if parts == ["api", "v1"]:
        return _resource_list("", "v1")
    if parts[0] == "apis" and len(parts) in (2, 3) and parts[1] in groups():
        version = groups()[parts[1]]
        if len(parts) == 2:
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(parts[1], version)}
        return _resource_list(parts[1], version) if parts[2] == version else None
    return None


def aggregated(path: str) -> Manifest:
    """The aggregated discovery document of `/api` or `/apis`."""
    wanted = {"": "v1"} if path.strip("/") == "api" else groups()
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": [
            {
                "metadata": {"name": group, "creationTimestamp": None},
                "versions": [
                    {
                        "version": version,
                        "freshness": "Current",
                        "resources": [_discovered(r) for r in RESOURCES if r.group == group],
                    }
                ],
            }
            for group, version in wanted.items()
        ],
    }


def _group(group: str, version: str) -> Manifest:
    served = {"groupVersion": f"{group}/{version}", "version": version}
    return {"name": group, "versions": [served], "preferredVersion": served}


def _resource_list(group: str, version: str) -> Manifest:
    listed: list[Manifest] = []
    for resource in RESOURCES:
        if resource.group == group:
            listed.append(_listed(resource))
            listed += [_listed_part(resource, part) for part in resource.subresources]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group}/{version}" if group else version,
        "resources": listed,
    }


def _listed(resource: Resource) -> Manifest:
    entry: Manifest = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    return entry


def _listed_part(resource: Resource, part: str) -> Manifest:
    kind = _SCALE if part == "scale" else {"kind": resource.kind}
    return {
        "name": f"{resource.plural}/{part}",
        "singularName": "",
        "namespaced": resource.namespaced,
        "verbs": ["get", "patch", "update"],
        **kind,
    }


def _discovered(resource: Resource) -> Manifest:
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    return {
        "resource": resource.plural,
        "responseKind": kind,
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
        "shortNames": list(resource.short_names),
        "categories": list(resource.categories),
        "subresources": [
            {
                "subresource": part,
                "responseKind": _SCALE if part == "scale" else kind,
                "verbs": ["get", "patch", "update"],
            }
            for part in resource.subresources
        ],
    }
