"""Starts the service `album`."""

from __future__ import annotations

from microservices.album.app import create_service
from microservices.service_kit.server import serve

PORT = 8219


def main() -> None:
    """Serve until SIGTERM."""
    serve("album", PORT, create_service)
