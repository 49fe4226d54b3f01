"""What the ConfigMap `album-config` configures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from microservices.service_kit.numbers import positive_number


@dataclass(frozen=True, slots=True)
class Settings:
    """Sizes of pages and albums, and how many sample albums a new process holds."""

    environment: str
    page_size: int
    max_photos: int
    sample_albums: int


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Return the settings; a missing variable has its default, a bad one is a ValueError."""
    return Settings(
        environment=environment.get("ENVIRONMENT", "development"),
        page_size=positive_number(environment, "ALBUM_PAGE_SIZE", 20),
        max_photos=positive_number(environment, "ALBUM_MAX_PHOTOS", 500),
        sample_albums=positive_number(environment, "ALBUM_SAMPLE_ALBUMS", 100),
    )
