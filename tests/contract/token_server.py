"""A double of a token server: who logs in gets a JSON Web Token that distribution verifies.

Protocol: distribution's token authentication specification and its JWT form; RFC 7519, RFC 8037.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clients.registry_auth import Login
from tests.support.web import answering_with

ISSUER, SERVICE, KEY = "token-server", "registry", "signing-key"
# Distribution takes a token for so long after its end.
LEEWAY_SECONDS = 60


class TokenServer:
    """Gives tokens for the scopes that were asked for, as far as `allowed` lets it.

    `scopes` are those asked for, one list per request; `lifetime_seconds` may be negative.
    """

    def __init__(self, login: Login) -> None:
        self.allowed = frozenset({"pull", "push"})
        self.lifetime_seconds = 300.0
        self.scopes: list[list[str]] = []
        self.tokens: list[str] = []
        self.realm = ""
        self._login = login
        self._key = Ed25519PrivateKey.generate()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[TokenServer]:
        """Listen on a free port; `realm` is where tokens are given."""
        async with answering_with(self._answer) as url:
            self.realm = f"{url}/token"
            yield self

    def authentication(self, folder: Path) -> dict[str, Any]:
        """Distribution's settings by which it trusts this server."""
        public = self._key.public_key().public_bytes_raw()
        key = {"kty": "OKP", "crv": "Ed25519", "kid": KEY, "alg": "EdDSA", "x": _encoded(public)}
        file = folder / "keys.json"
        file.write_text(json.dumps({"keys": [key]}))
        said = {"realm": self.realm, "service": SERVICE, "issuer": ISSUER, "jwks": str(file)}
        return {"token": said}

    async def _answer(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != self._login.basic:
            return web.json_response({"details": "incorrect username or password"}, status=401)
        scopes = request.query.getall("scope", [])
        if any(scope.count(":") != 2 for scope in scopes):
            return web.json_response({"details": f"malformed scope in {scopes}"}, status=400)
        self.scopes.append(scopes)
        self.tokens.append(self._token(request.query["service"], scopes))
        return web.json_response({"token": self.tokens[-1]})

    def _token(self, service: str, scopes: Sequence[str]) -> str:
        now = time.time()
        claims = {
            "iss": ISSUER,
            "sub": self._login.user,
            "aud": service,
            "iat": int(now) - LEEWAY_SECONDS,
            "nbf": int(now) - LEEWAY_SECONDS,
            "exp": int(now + self.lifetime_seconds),
            "jti": secrets.token_hex(8),
            "access": [self._access(scope) for scope in scopes],
        }
        head = {"typ": "JWT", "alg": "EdDSA", "kid": KEY}
        parts = ".".join(_encoded(json.dumps(one).encode()) for one in (head, claims))
        return f"{parts}.{_encoded(self._key.sign(parts.encode()))}"

    def _access(self, scope: str) -> dict[str, Any]:
        kind, name, actions = scope.split(":")
        granted = sorted(self.allowed & set(actions.split(",")))
        return {"type": kind, "name": name, "actions": granted}


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
