"""What a request path asks for, as the API server's RequestInfo: verb, resource, name, rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sandbox.kubernetes.resources import Resource, find, groups
from sandbox.kubernetes.status import bad_request

_WRITE_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}


@dataclass(frozen=True)
class RequestInfo:
    """A request for a resource; `rest` is what follows a proxy subresource."""

    verb: str
    resource: Resource
    namespace: str | None
    name: str
    subresource: str
    rest: str
    query: Mapping[str, str]

    @property
    def dry_run(self) -> bool:
        """Whether nothing may be stored (`dryRun=All`)."""
        return self.query.get("dryRun") == "All"

    def number(self, name: str, default: float) -> float:
        """A numeric query parameter; 400 when it is not one."""
        text = self.query.get(name)
        try:
            return float(text) if text else default
        except ValueError as error:
            raise bad_request(f"query parameter {name}={text!r} is not a number") from error

    def flag(self, name: str) -> bool:
        """A boolean query parameter, in any of the forms clients write."""
        return self.query.get(name, "").lower() in ("1", "true")


@dataclass(frozen=True)
class Address:
    """What a path names, whether or not such a kind is served; `rest` follows a subresource."""

    group: str
    version: str
    namespace: str | None
    plural: str
    name: str
    subresource: str
    rest: str


def address_of(path: str) -> Address | None:
    """The path taken apart; None when it is not one of an object or a collection."""
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = None
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    name, subresource = [*rest[1:3], "", ""][:2]
    tail = path.split("/proxy", 1)[1] if subresource == "proxy" else "/".join(rest[3:])
    return Address(group, version, namespace, rest[0], name, subresource, tail)


def parse(method: str, path: str, query: Mapping[str, str]) -> RequestInfo | None:
    """The request's meaning, or None when no served resource has that path."""
    found = address_of(path)
    if found is None:
        return None
    resource = find(found.group, found.version, found.plural)
    if resource is None or (found.namespace is not None and not resource.namespaced):
        return None
    info = RequestInfo(
        "", resource, found.namespace, found.name, found.subresource, found.rest, query
    )
    return replace(info, verb=_verb(method, info))


def may_be_served(path: str) -> bool:
    """Whether a real API server may know a path that the sandbox does not.

    It knows more groups of Kubernetes' own, no other version of those here, and of the rest only
    what somebody installed; what it does not know it calls a page that is not found.
    """
    parts = path.strip("/").split("/")
    if parts[0] != "apis" or len(parts) < 3:
        return True
    group, version = parts[1:3]
    ours = "." not in group or group.endswith(".k8s.io")
    return ours and groups().get(group, version) == version


def _verb(method: str, info: RequestInfo) -> str:
    if info.subresource == "proxy":
        return "proxy"
    if method in ("GET", "HEAD"):
        if info.flag("watch"):
            return "watch"
        return "get" if info.name else "list"
    if method == "DELETE":
        return "delete" if info.name else "deletecollection"
    return _WRITE_VERBS.get(method, method.lower())
