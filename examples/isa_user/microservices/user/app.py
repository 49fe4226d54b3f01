"""The HTTP API of the service `user`: accounts, held in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from microservices.service_kit.application import (
    Service,
    answer,
    page_number,
    read_object,
    text_field,
)
from microservices.service_kit.numbers import positive_number


@dataclass(frozen=True, slots=True)
class Account:
    """A person who can sign in."""

    id: int
    email: str
    name: str


class UserApi:
    """Handlers over the accounts of this process."""

    def __init__(self, page_size: int, sample_users: int) -> None:
        self._page_size = page_size
        self._accounts: dict[str, Account] = {}
        for number in range(sample_users):
            self._create(f"user-{number}@isa.example", f"User {number}")

    @property
    def has_accounts(self) -> bool:
        """Say whether anybody could sign in."""
        return bool(self._accounts)

    def routes(self) -> list[Route]:
        """Return the routes of version 1."""
        users = "/api/v1/users"
        return [
            Route(users, self.list_users, methods=["GET"]),
            Route(users, self.create_user, methods=["POST"]),
            Route(f"{users}/{{user_id:int}}", self.show_user, methods=["GET"]),
        ]

    async def list_users(self, request: Request) -> Response:
        """GET one page of accounts."""
        page, size = page_number(request), self._page_size
        accounts = [asdict(account) for account in self._accounts.values()]
        shown = accounts[(page - 1) * size : page * size]
        return answer(request, {"users": shown, "page": page, "total": len(accounts)})

    async def create_user(self, request: Request) -> Response:
        """POST a new account: `email` (unique) and `name`."""
        body = await read_object(request)
        email, name = text_field(body, "email").lower(), text_field(body, "name")
        if email.count("@") != 1 or email[0] == "@" or email[-1] == "@":
            raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, f'"{email}" is no address')
        if email in self._accounts:
            raise HTTPException(HTTPStatus.CONFLICT, f"{email} has an account")
        return answer(request, {"user": asdict(self._create(email, name))}, HTTPStatus.CREATED)

    async def show_user(self, request: Request) -> Response:
        """GET one account."""
        user_id = request.path_params["user_id"]
        for account in self._accounts.values():
            if account.id == user_id:
                return answer(request, {"user": asdict(account)})
        raise HTTPException(HTTPStatus.NOT_FOUND, f"there is no user {user_id}")

    def _create(self, email: str, name: str) -> Account:
        account = Account(len(self._accounts) + 1, email, name)
        self._accounts[email] = account
        return account


def create_service(environment: Mapping[str, str]) -> Service:
    """Return the service as the environment's variables configure it."""
    page_size = positive_number(environment, "USER_PAGE_SIZE", 25)
    sample_users = positive_number(environment, "USER_SAMPLE_USERS", 10)
    api = UserApi(page_size, sample_users)
    return Service("user", api.routes(), is_ready=lambda: api.has_accounts)
