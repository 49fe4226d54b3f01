"""The HTTP API of the service `album`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from microservices.album.settings import Settings, read_settings
from microservices.album.store import Album, AlbumFullError, AlbumStore
from microservices.service_kit.application import (
    Service,
    answer,
    page_number,
    read_object,
    text_field,
)


class AlbumApi:
    """Handlers over one store."""

    def __init__(self, settings: Settings, store: AlbumStore) -> None:
        self._settings = settings
        self._store = store

    def routes(self) -> list[Route]:
        """Return the routes of version 1."""
        albums = "/api/v1/albums"
        return [
            Route(albums, self.list_albums, methods=["GET"]),
            Route(albums, self.create_album, methods=["POST"]),
            Route(f"{albums}/{{album_id:int}}", self.show_album, methods=["GET"]),
            Route(f"{albums}/{{album_id:int}}/photos", self.list_photos, methods=["GET"]),
            Route(f"{albums}/{{album_id:int}}/photos", self.add_photo, methods=["POST"]),
        ]

    async def list_albums(self, request: Request) -> Response:
        """GET one page of albums, of one `owner` or of all."""
        albums = self._store.owned_by(request.query_params.get("owner"))
        return answer(request, self._page(request, "albums", [one.as_json() for one in albums]))

    async def create_album(self, request: Request) -> Response:
        """POST a new album: `title` and `owner`."""
        body = await read_object(request)
        album = self._store.create(text_field(body, "title"), text_field(body, "owner"))
        return answer(request, {"album": album.as_json()}, HTTPStatus.CREATED)

    async def show_album(self, request: Request) -> Response:
        """GET one album."""
        return answer(request, {"album": self._album(request).as_json()})

    async def list_photos(self, request: Request) -> Response:
        """GET one page of an album's photos."""
        return answer(request, self._page(request, "photos", self._album(request).photos))

    async def add_photo(self, request: Request) -> Response:
        """POST a photo into an album: its `name`."""
        album = self._album(request)
        try:
            self._store.add_photo(album, text_field(await read_object(request), "name"))
        except AlbumFullError as full:
            raise HTTPException(HTTPStatus.CONFLICT, str(full)) from None
        return answer(request, {"album": album.as_json()}, HTTPStatus.CREATED)

    def _album(self, request: Request) -> Album:
        album_id = request.path_params["album_id"]
        album = self._store.get(album_id)
        if album is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, f"there is no album {album_id}")
        return album

    def _page(self, request: Request, name: str, items: Sequence[Any]) -> dict[str, Any]:
        page, size = page_number(request), self._settings.page_size
        return {
            name: items[(page - 1) * size : page * size],
            "page": page,
            "page_size": size,
            "total": len(items),
        }


def create_service(environment: Mapping[str, str]) -> Service:
    """Return the service as the environment's variables configure it."""
    settings = read_settings(environment)
    store = AlbumStore(settings.sample_albums, settings.max_photos)
    routes = AlbumApi(settings, store).routes()
    return Service("album", routes, is_ready=lambda: store.get(1) is not None)
