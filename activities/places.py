"""Where sources and images live and what programs are shown, as configured for the build role."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from clients.git import Repository
from domain.errors import PermanentFailure
from domain.plan import ServicePlan


class Places:
    """Completes short names by the configured registry, and keeps copies of sources."""

    def __init__(
        self, registry_host: str | None, cache: Path, environment: Mapping[str, str]
    ) -> None:
        """`environment`: the worker's own, of which each program sees its part."""
        self.environment = environment
        self._registry_host = registry_host
        self._cache = cache
        self._sources: dict[str, Repository] = {}

    def repository_of(self, plan: ServicePlan) -> str:
        """The plan's image repository; one without a host lies in the configured registry."""
        return qualified(plan.image, self._registry_host)

    def qualify(self, image: str) -> str:
        """An image reference with its registry."""
        return qualified(image, self._registry_host)

    def source(self, source: str) -> Repository:
        """A git repository, its copy cached."""
        if source not in self._sources:
            self._sources[source] = Repository(
                source, cache=self._cache, environment=self.environment
            )
        return self._sources[source]


def qualified(image: str, host: str | None) -> str:
    """Complete `isa/album` to `<host>/isa/album`; a name that has a host stays as it is."""
    first, slash, _ = image.partition("/")
    has_host = slash and ("." in first or ":" in first or first == "localhost")
    if has_host:
        return image
    if host is None:
        raise PermanentFailure(
            f"image {image} names no registry; write its host, or set [registry] default"
        )
    return f"{host}/{image}"
