"""A real cluster from outside: its API as admin by plain HTTPS, and its audit log."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from domain.revision import Manifest
from tests.cluster.audit import Tail
from tests.cluster.clusters import ADMIN, WORKER, Cluster
from tests.support.outside import PLURALS, Asked, Edit

_PATIENCE_SECONDS = 10
_GROUPS = {
    "ConfigMap": "api/v1",
    "Deployment": "apis/apps/v1",
    "HTTPRoute": "apis/gateway.networking.k8s.io/v1",
    "HorizontalPodAutoscaler": "apis/autoscaling/v2",
    "NetworkPolicy": "apis/networking.k8s.io/v1",
    "Pod": "api/v1",
    "PodDisruptionBudget": "apis/policy/v1",
    "Service": "api/v1",
    "ServiceAccount": "api/v1",
}


class RealOutside:
    """One namespace of a real cluster, in which our activities are the user `tidegate-worker`."""

    def __init__(self, connection: http.client.HTTPSConnection, tail: Tail, namespace: str) -> None:
        self._connection = connection
        self._tail = tail
        self._namespace = namespace
        self._asked: list[Asked] = []

    def get(self, kind: str, name: str) -> Manifest | None:
        status, body = self._ask("GET", self._path(kind, name))
        return None if status == HTTPStatus.NOT_FOUND else _object(status, body)

    def list(self, kind: str) -> list[Manifest]:
        return list(_object(*self._ask("GET", self._path(kind)))["items"])

    def edit(self, kind: str, name: str, edit: Edit, part: str = "") -> None:
        """Again when a controller was faster."""
        path = "/".join(filter(None, (self._path(kind, name), part)))
        status: int = HTTPStatus.CONFLICT
        while status == HTTPStatus.CONFLICT:
            manifest = self.get(kind, name)
            assert manifest is not None, f"there is no {kind} {name} in {self._namespace}"
            edit(manifest)
            status, body = self._ask("PUT", path, manifest)
        _object(status, body)

    def add(self, kind: str, name: str, spec: Manifest) -> None:
        """Somebody creates an object of a core kind."""
        manifest = {
            "apiVersion": "v1",
            "kind": kind,
            "metadata": {"name": name},
            "spec": spec,
        }
        path = f"/api/v1/namespaces/{self._namespace}/{kind.lower()}s"
        _object(*self._ask("POST", path, manifest))

    def label(self, labels: Mapping[str, str]) -> None:
        """Somebody labels the namespace."""
        path = f"/api/v1/namespaces/{self._namespace}"
        namespace = _object(*self._ask("GET", path))
        namespace["metadata"]["labels"].update(labels)
        _object(*self._ask("PUT", path, namespace))

    def remove(self, kind: str, name: str) -> None:
        _object(*self._ask("DELETE", self._path(kind, name)))

    def asked(self) -> Sequence[Asked]:
        self._asked += [
            Asked(one.verb, one.resource, one.name, one.code) for one in self._tail.fresh()
        ]
        return self._asked

    def _path(self, kind: str, name: str = "") -> str:
        path = f"/{_GROUPS[kind]}/namespaces/{self._namespace}/{PLURALS[kind]}"
        return f"{path}/{name}" if name else path

    def _ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json"} if data else {}
        self._connection.request(method, path, data, headers)
        with self._connection.getresponse() as answer:
            return answer.status, json.loads(answer.read())


@contextmanager
def seen_from_outside(cluster: Cluster, namespace: str) -> Iterator[RealOutside]:
    """A namespace as its cluster's admin sees it; closed at the end."""
    identity = cluster.identity(ADMIN)
    context = ssl.create_default_context(cafile=str(identity.authority))
    context.load_cert_chain(identity.pair.certificate, identity.pair.key)
    place = urlsplit(cluster.server)
    assert place.hostname
    connection = http.client.HTTPSConnection(
        place.hostname, place.port, timeout=_PATIENCE_SECONDS, context=context
    )
    tail = Tail(cluster.audit_log, WORKER, namespace)
    try:
        yield RealOutside(connection, tail, namespace)
    finally:
        tail.close()
        connection.close()


def _object(status: int, body: Any) -> Manifest:
    assert status // 100 == 2, f"{status}: {body}"
    found: Manifest = body
    return found
