"""How requests reach pods: the API server's service proxy, and the gateway with its routes."""

from __future__ import annotations

import random

from aiohttp import web

from sandbox.kubernetes.answering import PodAnswers
from sandbox.kubernetes.controllers.endpoints import SERVICE_LABEL
from sandbox.kubernetes.request_info import RequestInfo
from sandbox.kubernetes.routing import backends_of, choose_backend, matching_rule, service_pods
from sandbox.kubernetes.selectors import labels_of
from sandbox.kubernetes.status import Manifest, StatusError, not_found
from sandbox.kubernetes.store import Store


class ServiceProxy:
    """`/api/v1/namespaces/NS/services/[scheme:]NAME[:PORT]/proxy/PATH`."""

    def __init__(self, store: Store, answers: PodAnswers, chance: random.Random) -> None:
        self._store = store
        self._answers = answers
        self._chance = chance

    async def answer(self, request: web.Request, info: RequestInfo) -> web.Response:
        """A ready pod's answer; 404 without Service or slice, 503 without its port or a pod."""
        name, port = _name_and_port(info.name)
        service = self._store.require("services", info.namespace, name)
        if port and not _has_port(service, port):
            shown = port if port.isdigit() else f'"{port}"'
            raise _unavailable(f'no service port {shown} found for service "{name}"')
        if not _has_slice(self._store, info.namespace, name):
            raise not_found("services", "", name)
        pods = service_pods(self._store, info.namespace or "", name)
        if not pods:
            raise _unavailable(f'no endpoints available for service "{name}"')
        query = request.rel_url.raw_query_string
        answer = await self._answers.answer(self._chance.choice(pods), info.rest or "/", query)
        if "Location" in answer.headers:
            # The API server writes places of the pod as places behind itself, and as http.
            root = request.rel_url.raw_path.partition("/proxy")[0]
            place = answer.headers["Location"]
            answer.headers["Location"] = f"http://{request.host}{root}/proxy{place}"
        return answer


class Gateway:
    """The data plane of one cluster: its own port, HTTPRoutes as its configuration."""

    def __init__(self, store: Store, answers: PodAnswers, chance: random.Random) -> None:
        self._store = store
        self._answers = answers
        self._chance = chance

    def app(self) -> web.Application:
        """The application that takes every request of the gateway's port."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        return app

    async def _handle(self, request: web.Request) -> web.Response:
        host = request.host.rsplit(":", 1)[0]
        found = matching_rule(self._store, host, request.path, request.method, request.headers)
        if found is None:
            return _plain(404, f"no HTTPRoute takes {host}{request.path}")
        route, rule = found
        if rule.get("filters"):
            name = route["metadata"]["name"]
            return _plain(501, f"the sandbox does not implement filters (HTTPRoute {name})")
        backend = choose_backend(backends_of(rule, route["metadata"]["namespace"]), self._chance)
        if backend is None or not self._store.get("services", backend.namespace, backend.service):
            return _plain(500, "the route has no usable backend")
        pods = service_pods(self._store, backend.namespace, backend.service)
        if not pods:
            return _plain(503, f"no ready pod behind Service {backend.service}")
        query = request.rel_url.raw_query_string
        return await self._answers.answer(self._chance.choice(pods), request.path, query)


def _name_and_port(text: str) -> tuple[str, str]:
    parts = text.split(":")
    if len(parts) == 3:
        return parts[1], parts[2]
    return parts[0], parts[1] if len(parts) == 2 else ""


def _has_port(service: Manifest, port: str) -> bool:
    ports = service["spec"].get("ports") or ()
    return any(port in (str(p["port"]), p.get("name")) for p in ports)


def _has_slice(store: Store, namespace: str | None, service: str) -> bool:
    slices = store.list("endpointslices", namespace)
    return any(labels_of(one).get(SERVICE_LABEL) == service for one in slices)


def _unavailable(message: str) -> StatusError:
    return StatusError(503, "ServiceUnavailable", message)


def _plain(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=f"{text}\n")
