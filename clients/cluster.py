"""One namespace of one Kubernetes cluster, objects as plain dictionaries; used by activities."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from jsonpatch import JsonPointer

from clients import cluster_watch
from clients.cluster_connection import JSON_PATCH, Answer, Call, Connection
from clients.cluster_errors import is_absent, is_failed_patch
from clients.cluster_kinds import Resource, resource_of
from clients.cluster_proxy import ask
from domain.checks import HttpAnswer
from domain.errors import Conflict, PermanentFailure

Manifest = dict[str, Any]
Manifests = list[Manifest]
Operations = list[dict[str, Any]]
Result = TypeVar("Result")

_LONGEST_VALUE = 300
_ABSENT = object()


class Cluster:
    """Reads and writes objects of one namespace; nothing is retried here but refused credentials.

    Errors of every method: PermanentFailure (denied, refused, unknown), Conflict, NotFound,
    TransientFailure (unreachable, overloaded, out of time), each naming action and object.
    """

    def __init__(self, connection: Connection, namespace: str, context: str | None) -> None:
        self.namespace = namespace
        self._connection = connection
        self._place = f"context {context}, " if context else ""

    @classmethod
    async def connect(cls, kubeconfig: Path | None, context: str | None, namespace: str) -> Cluster:
        """Read the kubeconfig (None: the pod's own service account); nothing is sent yet.

        Raises NotFound when the file or the context is missing, naming the contexts there are.
        """
        return cls(await Connection.open(kubeconfig, context), namespace, context)

    async def close(self) -> None:
        """Close the connections; what is under way fails."""
        await self._connection.close()

    async def read(self, kind: str, name: str) -> Manifest | None:
        """One object, or None when there is none of that name."""
        call = self._call("GET", "get", resource_of(kind), name)
        answer = await self._connection.ask(call)
        if is_absent(answer.status, answer.body, name):
            return None
        return self._object(call, answer)

    async def list(self, kind: str, selector: dict[str, str] | None = None) -> Manifests:
        """Every object of a kind whose labels carry all of `selector`, ordered by name."""
        resource = resource_of(kind)
        labels = ",".join(f"{key}={value}" for key, value in (selector or {}).items())
        query = {"labelSelector": labels} if labels else {}
        found = await self._connection.exchange(
            self._call("GET", "list", resource, "", query=query)
        )
        # The items of a list do not repeat what the list itself says.
        said = {"apiVersion": resource.api_version, "kind": kind}
        return [{**said, **item} for item in found.get("items") or ()]

    async def create(self, manifest: Manifest) -> Manifest:
        """Create an object and return it as stored; Conflict when the name is taken."""
        name = manifest["metadata"]["name"]
        resource = resource_of(manifest["kind"])._replace(api_version=manifest["apiVersion"])
        call = self._call("POST", "create", resource, name, body=manifest)
        created: Manifest = await self._connection.exchange(call)
        return created

    async def patch(self, kind: str, name: str, operations: Operations) -> Manifest:
        """Apply a JSON patch (RFC 6902) as a whole and return the object as stored.

        Raises Conflict when a `test` in it fails, naming the path, what is there and what was
        expected.
        """
        call = self._call(
            "PATCH",
            "patch",
            resource_of(kind),
            name,
            body=operations,
            content_type=JSON_PATCH,
        )
        answer = await self._connection.ask(call)
        if is_failed_patch(answer.status, answer.body):
            raise Conflict(
                f"cannot {call.action}: {await self._difference(kind, name, operations)}; "
                "somebody else changed it"
            )
        return self._object(call, answer)

    async def delete(self, kind: str, name: str, *, uid: str) -> None:
        """Delete exactly the object that was seen; already gone is fine, another uid a Conflict.

        What it owns is deleted after it, in the background.
        """
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid},
            "propagationPolicy": "Background",
        }
        call = self._call("DELETE", "delete", resource_of(kind), name, body=options)
        answer = await self._connection.ask(call)
        if not is_absent(answer.status, answer.body, name):
            self._connection.decoded(call, answer)

    async def ask_through_service(
        self, service: str, port: int, path: str, *, timeout: timedelta
    ) -> HttpAnswer:
        """GET a path of a Service's pods through the API server's service proxy.

        Whatever a pod answers is an answer, also 4xx and 5xx and redirects; the body is cut at
        64 KiB. A `Status` is the API server's own word: without a ready pod, or before there is an
        EndpointSlice, a TransientFailure.
        """
        resource = resource_of("Service")
        root = f"{resource.path(self.namespace)}/{quote(service, safe='')}:{port}/proxy"
        action = f"ask {path} of Service {service} ({self._where(resource)})"
        right = f"get on services/proxy in namespace {self.namespace}"
        call = Call("GET", root + path, action, right, timeout=timeout, root=f"{root}/")
        reading = self._call("GET", "get", resource, service)
        return await ask(self._connection, call, service, reading)

    async def watch_until(
        self,
        kind: str,
        name: str,
        condition: Callable[[Manifest], Result | None],
        *,
        timeout: timedelta,
    ) -> Result:
        """The first result of `condition` that is not None, asked of each state of the object.

        Raises NotFound when it is absent or deleted, TransientFailure with the last state seen at
        the deadline.
        """
        resource = resource_of(kind)
        query = {"fieldSelector": f"metadata.name={name}"}
        watched = cluster_watch.Watched(
            subject=f"{kind} {name} ({self._where(resource)})",
            read=lambda: self.read(kind, name),
            watch=self._call("GET", "watch", resource, name, in_collection=True, query=query),
        )
        return await cluster_watch.watch_until(self._connection, watched, condition, timeout)

    async def is_allowed(self, verb: str, group: str, resource: str) -> bool:
        """Whether these credentials may do `verb` in the namespace (SelfSubjectAccessReview).

        `resource` is the plural, with its subresource after a slash: `services/proxy`.
        """
        plural, _, subresource = resource.partition("/")
        asked = {
            "namespace": self.namespace,
            "verb": verb,
            "group": group,
            "resource": plural,
            "subresource": subresource,
        }
        review = resource_of("SelfSubjectAccessReview")
        body = {
            "apiVersion": review.api_version,
            "kind": review.kind,
            "spec": {"resourceAttributes": {key: text for key, text in asked.items() if text}},
        }
        call = self._call("POST", "create", review, body=body)
        answer = await self._connection.exchange(call)
        return bool(answer.get("status", {}).get("allowed"))

    async def version(self) -> str:
        """The server's version, such as `v1.37.0`."""
        action = f"ask the version of {self._connection.address}"
        call = Call("GET", "/version", action, "get on /version")
        return str((await self._connection.exchange(call)).get("gitVersion", "unknown"))

    def _object(self, call: Call, answer: Answer) -> Manifest:
        found = self._connection.decoded(call, answer)
        if not isinstance(found, dict):
            raise PermanentFailure(f"cannot {call.action}: the answer is not an object")
        return found

    def _call(
        self,
        method: str,
        verb: str,
        resource: Resource,
        name: str = "",
        *,
        in_collection: bool = False,
        **rest: Any,
    ) -> Call:
        to_collection = method == "POST" or in_collection
        subject = f"{resource.kind} {name}" if name else resource.plural
        place = f"in namespace {self.namespace}" if resource.namespaced else "in the cluster"
        return Call(
            method,
            resource.path(self.namespace, "" if to_collection else name),
            f"{verb} {subject} ({self._where(resource)})",
            f"{verb} on {resource.qualified} {place}",
            **rest,
        )

    def _where(self, resource: Resource) -> str:
        if resource.namespaced:
            return f"{self._place}namespace {self.namespace}"
        return self._place.rstrip(", ") or self._connection.address

    async def _difference(self, kind: str, name: str, operations: Operations) -> str:
        """What of a refused patch does not fit; the server does not say it, so it is read again."""
        live = await self.read(kind, name)
        if live is None:
            return "it is gone"
        for operation in operations:
            found = JsonPointer(operation["path"]).resolve(live, _ABSENT)
            if operation["op"] == "test" and found != operation["value"]:
                return (
                    f"{operation['path']} is {_shown(found)}, expected {_shown(operation['value'])}"
                )
        paths = ", ".join(dict.fromkeys(operation["path"] for operation in operations))
        return f"it did not fit at one of {paths}"


def _shown(value: object) -> str:
    text = "absent" if value is _ABSENT else repr(value)
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "..."
