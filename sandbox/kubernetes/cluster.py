"""One simulated cluster: store, controllers, API server and gateway under one name."""

from __future__ import annotations

import base64
import random
import ssl
from pathlib import Path

from aiohttp import web

from sandbox.kubernetes import beginnings, routing
from sandbox.kubernetes.answering import OnRequest, PodAnswers
from sandbox.kubernetes.authorization import OWNER
from sandbox.kubernetes.behaviour import Behaviour, behaviour_of, declared_faults
from sandbox.kubernetes.certificates import ServerCertificate, self_signed
from sandbox.kubernetes.control_plane import ControlPlane
from sandbox.kubernetes.controllers.events import EventRecorder
from sandbox.kubernetes.controllers.pod_life import ImageExists, Node, Timing
from sandbox.kubernetes.proxy import Gateway, ServiceProxy
from sandbox.kubernetes.requests import RequestLog
from sandbox.kubernetes.server import ApiServer
from sandbox.kubernetes.status import Manifest
from sandbox.kubernetes.store import Store
from sandbox.listener import Listener

SHUTDOWN_SECONDS = 2.0


class Cluster:
    """A cluster named after its environment; faults are looked up by that name.

    `speed` divides pod start-up, back-off and termination times. `image_exists(reference)` decides
    whether a pod's image can be pulled (None: every image can). `on_request(pod, status, seconds)`
    is called once per HTTP request that a pod answered (service proxy and gateway).
    """

    def __init__(
        self,
        name: str,
        *,
        speed: float = 1.0,
        image_exists: ImageExists | None = None,
        on_request: OnRequest | None = None,
        seed: int = 0,
        audit_path: Path | None = None,
    ) -> None:
        self.name = name
        self.store = Store(seed=seed)
        self.requests = RequestLog(audit_path)
        self.url = ""  # "https://127.0.0.1:PORT", set by start(), as the next two
        self.gateway_url = ""
        self.token = ""
        self._certificate: ServerCertificate | None = None
        self._listeners: list[Listener] = []
        chance = random.Random(seed)
        events = EventRecorder(self.store)
        pulls = image_exists or (lambda _: True)
        node = Node(self.store, events, Timing(speed, chance), pulls, self.behaviour)
        self._control_plane = ControlPlane(node)
        answers = PodAnswers(
            self.behaviour, self._control_plane.kubelets.environment, on_request, chance
        )
        self._api = ApiServer(
            self.store, self.requests, ServiceProxy(self.store, answers, chance), seed
        )
        self._gateway = Gateway(self.store, answers, chance)

    async def start(self, host: str = "127.0.0.1", port: int = 0, gateway_port: int = 0) -> None:
        """Serve the API and the gateway; port 0 takes a free one. Sets url, gateway_url, token."""
        self.token = self._api.identities.tokens[OWNER]
        self._control_plane.start()
        beginnings.fill(self.store, self.name)
        self.store.forget()
        self._certificate = self_signed(host)
        context = self._certificate.server_context()
        self.url = f"https://{await self._serve(self._api.app(), host, port, context)}"
        gateway = await self._serve(self._gateway.app(), host, gateway_port, None)
        self.gateway_url = f"http://{gateway}"

    async def close(self) -> None:
        """Stop everything that start() began; safe to call twice."""
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            await listener.close()
        await self._control_plane.close()

    def kubeconfig(self, user: str = OWNER) -> Manifest:
        """Cluster, user (bearer token) and current context, all named like the cluster.

        `user` is one of `authorization`: OWNER, or STRANGER who may do nothing.
        """
        authority = base64.b64encode(self._served().certificate).decode()
        server = {"server": self.url, "certificate-authority-data": authority}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": self.name, "cluster": server}],
            "users": [{"name": self.name, "user": {"token": self.token_of(user)}}],
            "contexts": [
                {
                    "name": self.name,
                    "context": {
                        "cluster": self.name,
                        "user": self.name,
                        "namespace": self.name,
                    },
                }
            ],
            "current-context": self.name,
        }

    def token_of(self, user: str) -> str:
        """The bearer token of OWNER or STRANGER."""
        return self._api.identities.tokens[user]

    def client_ssl(self) -> ssl.SSLContext:
        """What an HTTP client needs to trust this cluster's API."""
        return self._served().client_context()

    def ready_pods(self, namespace: str, selector: dict[str, str]) -> list[Manifest]:
        """Ready, not terminating pods whose labels carry every pair of a non-empty selector."""
        return routing.ready_pods(self.store, namespace, selector)

    def behaviour(self, pod: Manifest) -> Behaviour:
        """What this pod's version does in this environment."""
        weight = self.weight(pod) if "@" in declared_faults(pod) else 100.0
        return behaviour_of(pod, self.name, weight)

    def weight(self, pod: Manifest) -> float:
        """The percentage of a route's users that this pod's version gets, its largest anywhere."""
        return routing.share_of(self.store, pod)

    def _served(self) -> ServerCertificate:
        if self._certificate is None:
            raise RuntimeError(f"cluster {self.name} is not started; call start() first")
        return self._certificate

    async def _serve(
        self, app: web.Application, host: str, port: int, context: ssl.SSLContext | None
    ) -> str:
        # Handlers end with their client, so that an abandoned watch is not kept.
        listener = Listener(
            app, tls=context, patience=SHUTDOWN_SECONDS, handlers_end_with_their_client=True
        )
        self._listeners.append(listener)
        await listener.start(host, port)
        return listener.address
