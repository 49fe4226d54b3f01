from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from microservices.service_kit.application import Service
from microservices.user.app import create_service

Call = Callable[..., Any]


@pytest.fixture
def user() -> Service:
    return create_service({"USER_PAGE_SIZE": "4"})


def test_health_names_the_service(user: Service, request_of: Call) -> None:
    assert request_of(user, "GET", "/health").json() == {"status": "healthy", "service": "user"}
    assert request_of(user, "GET", "/ready").status == 200


def test_users_come_in_pages_of_the_configured_size(user: Service, request_of: Call) -> None:
    listed = request_of(user, "GET", "/api/v1/users?page=3").json()
    assert [one["id"] for one in listed["users"]] == [9, 10]
    assert (listed["total"], listed["service"]) == (10, "user")


def test_created_user_is_shown(user: Service, request_of: Call) -> None:
    made = request_of(user, "POST", "/api/v1/users", {"email": "Ada@isa.example", "name": "Ada"})
    assert made.status == 201
    shown = request_of(user, "GET", "/api/v1/users/11").json()["user"]
    assert shown == {"id": 11, "email": "ada@isa.example", "name": "Ada"}


def test_address_has_one_account(user: Service, request_of: Call) -> None:
    body = {"email": "USER-1@isa.example", "name": "Twin"}
    assert request_of(user, "POST", "/api/v1/users", body).status == 409


@pytest.mark.parametrize("email", ["ada", "@isa.example", "ada@", "a@b@c"])
def test_text_that_is_no_address_is_refused(user: Service, request_of: Call, email: str) -> None:
    body = {"email": email, "name": "Ada"}
    assert request_of(user, "POST", "/api/v1/users", body).status == 422


def test_unknown_user_is_not_found(user: Service, request_of: Call) -> None:
    assert request_of(user, "GET", "/api/v1/users/99").status == 404
