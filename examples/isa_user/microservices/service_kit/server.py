"""Runs a service until SIGTERM: it turns unready, drains, answers what is open, exits with 0."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from types import FrameType

import uvicorn

from microservices.service_kit.application import Service
from microservices.service_kit.logs import configure_logs
from microservices.service_kit.tracing import configure_tracing


class DrainingServer(uvicorn.Server):
    """Keeps serving for a while after SIGTERM, until no endpoint list names this pod any more."""

    def __init__(self, config: uvicorn.Config, service: Service, drain_seconds: float) -> None:
        super().__init__(config)
        self._service = service
        self._drain_seconds = drain_seconds

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Start draining; a second signal ends at once."""
        if self._service.is_draining:
            self.force_exit = self.should_exit = True
            return
        self._service.is_draining = True
        # uvicorn would raise the signal again at the end; a clean stop is exit code 0.
        asyncio.get_running_loop().call_soon_threadsafe(self._stop_later)

    def _stop_later(self) -> None:
        asyncio.get_running_loop().call_later(self._drain_seconds, self._stop)

    def _stop(self) -> None:
        self.should_exit = True


_log = logging.getLogger(__name__)


def serve(name: str, port: int, create: Callable[[Mapping[str, str]], Service]) -> None:
    """Serve `create(environment)` on PORT (default `port`) until told to stop."""
    environment = os.environ
    configure_logs(name, environment.get("LOG_LEVEL", "info"))
    provider = configure_tracing(name, environment)
    service = _created(create, environment)
    config = uvicorn.Config(
        service,
        host=environment.get("HOST", "0.0.0.0"),  # noqa: S104 - a pod serves its network
        port=int(environment.get("PORT", port)),
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=20,
    )
    DrainingServer(config, service, float(environment.get("DRAIN_SECONDS", "0"))).run()
    if provider is not None:
        provider.shutdown()


def _created(
    create: Callable[[Mapping[str, str]], Service], environment: Mapping[str, str]
) -> Service:
    try:
        return create(environment)
    except ValueError as wrong:
        _log.critical("bad configuration", extra={"error": str(wrong)})
        raise SystemExit(1) from None
