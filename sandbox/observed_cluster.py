"""A cluster with the sandbox's hands on it: live faults, outages, users counted at the gateway."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from sandbox.faults import LiveFaults
from sandbox.kubernetes.behaviour import Behaviour
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.routing import matching_rule
from sandbox.outage import Outage
from sandbox.pod_metrics import workload_of
from sandbox.traffic import Traffic

Pod = dict[str, Any]
_answering: ContextVar[list[Pod] | None] = ContextVar("pods that answered this request")


class ObservedCluster(Cluster):
    """A cluster named after its environment, whose real HTTP requests count like simulated ones."""

    def __init__(
        self,
        name: str,
        *,
        speed: float,
        seed: int,
        rate: float,
        image_exists: Callable[[str], bool],
        live_faults: LiveFaults,
    ) -> None:
        self._live_faults = live_faults
        self.outage = Outage(f"kubernetes of {name}")
        super().__init__(
            name, speed=speed, image_exists=image_exists, on_request=self._observe, seed=seed
        )
        self.traffic = Traffic(self, rate=rate, speed=speed, seed=seed)

    def behaviour(self, pod: Pod) -> Behaviour:
        """What the pod's template declares, and the live faults."""
        declared = super().behaviour(pod)
        return self._live_faults.applied(declared, pod, self.name, lambda: self.weight(pod))

    async def _serve(self, app: web.Application, *rest: Any, **named: Any) -> str:
        # The API comes first: its URL is not known yet, and an outage is of the API alone.
        watching = self._count_users() if self.url else self.outage.middleware()
        app.middlewares.append(watching)
        return await super()._serve(app, *rest, **named)

    def _observe(self, pod: Pod, status: int, seconds: float) -> None:
        self.traffic.observe(pod, status, seconds)
        pods = _answering.get(None)
        if pods is not None:
            pods.append(pod)

    def _count_users(self) -> Middleware:
        @web.middleware
        async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
            pods: list[Pod] = []
            token = _answering.set(pods)
            try:
                response = await handler(request)
            finally:
                _answering.reset(token)
            host = request.host.rsplit(":", 1)[0]
            found = matching_rule(self.store, host, request.path, request.method, request.headers)
            if found is not None:
                revision = workload_of(pods[0]) if pods else None
                service = found[0]["metadata"]["name"]
                self.traffic.observe_user(service, revision, failed=response.status >= 500)
            return response

        return count
