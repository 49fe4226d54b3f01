from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from microservices.album.app import create_service
from microservices.album.settings import read_settings
from microservices.service_kit.application import Service

Call = Callable[..., Any]


@pytest.fixture
def album() -> Service:
    return create_service({"ALBUM_PAGE_SIZE": "20", "ALBUM_MAX_PHOTOS": "2"})


def test_health_names_the_service(album: Service, request_of: Call) -> None:
    answer = request_of(album, "GET", "/health")
    assert (answer.status, answer.json()) == (200, {"status": "healthy", "service": "album"})


def test_ready_until_draining(album: Service, request_of: Call) -> None:
    assert request_of(album, "GET", "/ready").status == 200
    album.is_draining = True
    assert request_of(album, "GET", "/ready").status == 503


def test_albums_come_in_pages_of_the_configured_size(album: Service, request_of: Call) -> None:
    first = request_of(album, "GET", "/api/v1/albums").json()
    last = request_of(album, "GET", "/api/v1/albums?page=5").json()
    assert [one["id"] for one in first["albums"]] == list(range(1, 21))
    assert [one["id"] for one in last["albums"]] == list(range(81, 101))
    assert (first["service"], first["total"], first["page_size"]) == ("album", 100, 20)


def test_albums_of_one_owner(album: Service, request_of: Call) -> None:
    listed = request_of(album, "GET", "/api/v1/albums?owner=user-3").json()["albums"]
    assert {one["owner"] for one in listed} == {"user-3"}


def test_created_album_is_shown(album: Service, request_of: Call) -> None:
    made = request_of(album, "POST", "/api/v1/albums", {"title": " Sea ", "owner": "ada"})
    assert made.status == 201
    shown = request_of(album, "GET", f"/api/v1/albums/{made.json()['album']['id']}").json()
    assert shown["album"] == {"id": 101, "title": "Sea", "owner": "ada", "photo_count": 0}


def test_photos_are_added_until_the_album_is_full(album: Service, request_of: Call) -> None:
    request_of(album, "POST", "/api/v1/albums", {"title": "Sea", "owner": "ada"})
    photos = "/api/v1/albums/101/photos"
    assert request_of(album, "POST", photos, {"name": "a.jpg"}).status == 201
    assert request_of(album, "POST", photos, {"name": "b.jpg"}).json()["album"]["photo_count"] == 2
    assert request_of(album, "POST", photos, {"name": "c.jpg"}).status == 409
    listed = request_of(album, "GET", photos).json()
    assert (listed["photos"], listed["service"]) == (["a.jpg", "b.jpg"], "album")


@pytest.mark.parametrize(
    ("method", "target", "body", "status"),
    [
        ("GET", "/api/v1/albums/999", None, 404),
        ("GET", "/api/v1/albums?page=0", None, 422),
        ("GET", "/api/v1/albums?page=two", None, 422),
        ("POST", "/api/v1/albums", b"{", 400),
        ("POST", "/api/v1/albums", ["title"], 400),
        ("POST", "/api/v1/albums", {"title": "Sea"}, 422),
        ("POST", "/api/v1/albums", {"title": " ", "owner": "ada"}, 422),
        ("DELETE", "/api/v1/albums", None, 405),
    ],
)
def test_bad_request_is_refused_with_a_reason(
    album: Service, request_of: Call, method: str, target: str, body: Any, status: int
) -> None:
    answer = request_of(album, method, target, body)
    assert answer.status == status
    assert answer.json()["error"]
    assert answer.json()["service"] == "album"


def test_settings_come_from_the_config_map() -> None:
    settings = read_settings({"ENVIRONMENT": "staging", "ALBUM_PAGE_SIZE": "7"})
    assert (settings.environment, settings.page_size) == ("staging", 7)


@pytest.mark.parametrize("text", ["0", "-1", "many", ""])
def test_bad_page_size_stops_the_start(text: str) -> None:
    with pytest.raises(ValueError, match="ALBUM_PAGE_SIZE"):
        create_service({"ALBUM_PAGE_SIZE": text})
