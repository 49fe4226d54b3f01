"""Albums and their photos, held in memory; a new process starts with the same sample albums."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_PLACES = ("Lisbon", "Kyoto", "Oslo", "Quito", "Accra", "Perth", "Izmir", "Hanoi")


class AlbumFullError(Exception):
    """The album holds as many photos as it may."""


@dataclass(slots=True)
class Album:
    """An owner's named list of photos, newest last."""

    id: int
    title: str
    owner: str
    photos: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return the album without its photos."""
        return {
            "id": self.id,
            "title": self.title,
            "owner": self.owner,
            "photo_count": len(self.photos),
        }


class AlbumStore:
    """All albums by id; ids count from 1."""

    def __init__(self, sample_albums: int, max_photos: int) -> None:
        self._albums: dict[int, Album] = {}
        self._max_photos = max_photos
        for number in range(1, sample_albums + 1):
            place = _PLACES[number % len(_PLACES)]
            album = self.create(f"{place} {2000 + number % 25}", f"user-{number % 10}")
            album.photos.extend(f"{place.lower()}-{shot}.jpg" for shot in range(number % 40))

    def create(self, title: str, owner: str) -> Album:
        """Add an empty album."""
        album = Album(len(self._albums) + 1, title, owner)
        self._albums[album.id] = album
        return album

    def get(self, album_id: int) -> Album | None:
        """Return the album, or None."""
        return self._albums.get(album_id)

    def owned_by(self, owner: str | None) -> list[Album]:
        """Return the owner's albums, or everybody's, by id."""
        return [album for album in self._albums.values() if owner in (None, album.owner)]

    def add_photo(self, album: Album, name: str) -> None:
        """Append a photo; AlbumFullError when there is no room."""
        if len(album.photos) >= self._max_photos:
            raise AlbumFullError(f"album {album.id} holds {self._max_photos} photos, its most")
        album.photos.append(name)
