"""A registry that demands a login: the Basic scheme of RFC 7617, as distribution has it."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from sandbox.registry.errors import RegistryError

REALM = "sandbox"


def demand_login(logins: Mapping[str, str]) -> Middleware:
    """The aiohttp middleware that lets nobody in but these users with their passwords."""
    known = [_basic(user, password) for user, password in logins.items()]

    @web.middleware
    async def demand(request: web.Request, handler: Handler) -> web.StreamResponse:
        shown = request.headers.get("Authorization", "").encode()
        if request.path.startswith("/v2") and not any(
            hmac.compare_digest(shown, one) for one in known
        ):
            headers = {"WWW-Authenticate": f'Basic realm="{REALM}"'}
            raise RegistryError("UNAUTHORIZED", "authentication required", headers=headers)
        return await handler(request)

    return demand


def _basic(user: str, password: str) -> bytes:
    return b"Basic " + base64.b64encode(f"{user}:{password}".encode())
