"""Starts the service `billing`."""

from __future__ import annotations

from microservices.billing.app import create_service
from microservices.service_kit.server import serve

PORT = 8216


def main() -> None:
    """Serve until SIGTERM."""
    serve("billing", PORT, create_service)
