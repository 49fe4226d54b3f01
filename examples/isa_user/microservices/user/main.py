"""Starts the service `user`."""

from __future__ import annotations

from microservices.service_kit.server import serve
from microservices.user.app import create_service

PORT = 8201


def main() -> None:
    """Serve until SIGTERM."""
    serve("user", PORT, create_service)
