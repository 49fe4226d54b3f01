"""The registries as whoever runs the command may use them."""

from __future__ import annotations

from clients.registry import Registry
from clients.registry_auth import docker_config
from settings import Settings, docker_credentials


def registry_of(settings: Settings) -> Registry:
    """A client with docker's own credentials; the caller closes it."""
    credentials = settings.registry.docker_config or docker_credentials()
    return Registry(settings.registry.plain_http, docker_config(credentials))
