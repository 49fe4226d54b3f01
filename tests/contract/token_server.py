"""A double of a token server: who logs in gets a JSON Web Token that distribution verifies.

Protocol: distribution's token authentication specification and its JWT form; RFC 7519, RFC 8037.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clients.registry_auth import Login
from tests.support.registry import Front, Rule
from tests.support.web import answering_with

ISSUER, SERVICE, KEY = "token-server", "registry", "signing-key"
# Distribution takes a token for so long after its end.
LEEWAY_SECONDS = 60
_PATH = "/token"
_NAME = re.compile(r"/v2/(.+)/(manifests|blobs|referrers|tags)/.*")
Access = dict[str, Any]


class TokenServer:
    """Gives tokens for the scopes that were asked for, as far as `allowed` lets it.

    `scopes` are those asked for, one list per request; `lifetime_seconds` may be negative.
    """

    def __init__(self, login: Login) -> None:
        self.allowed = frozenset({"pull", "push"})
        self.lifetime_seconds = 300.0
        self.scopes: list[list[str]] = []
        self.tokens: list[str] = []
        self._granted: dict[str, set[tuple[str, str]]] = {}
        self.realm = ""
        self._login = login
        self._key = Ed25519PrivateKey.generate()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[TokenServer]:
        """Listen on a free port; `realm` is where tokens are given."""
        async with answering_with(self._answer) as url:
            self.realm = f"{url}{_PATH}"
            yield self

    def authentication(self, folder: Path) -> dict[str, Any]:
        """Distribution's settings by which it trusts this server."""
        public = self._key.public_key().public_bytes_raw()
        key = {"kty": "OKP", "crv": "Ed25519", "kid": KEY, "alg": "EdDSA", "x": _encoded(public)}
        file = folder / "keys.json"
        file.write_text(json.dumps({"keys": [key]}))
        said = {"realm": self.realm, "service": SERVICE, "issuer": ISSUER, "jwks": str(file)}
        return {"token": said}

    def demanding(self, front: Front) -> Rule:
        """Before a registry: only who shows a token of ours for what is asked passes.

        Demands and refusals are distribution's; `/token` gives tokens, and so is the realm.
        """
        self.realm = f"http://{front.address}{_PATH}"

        async def rule(request: web.Request) -> web.StreamResponse | None:
            if request.path == _PATH:
                return await self._answer(request)
            return self._demand(request)

        return rule

    async def _answer(self, request: web.Request) -> web.Response:
        if request.method == "POST":
            return await self._answer_form(request)
        if request.headers.get("Authorization") != self._login.basic:
            return web.json_response({"details": "incorrect username or password"}, status=401)
        return self._given("token", request.query["service"], request.query.getall("scope", []))

    async def _answer_form(self, request: web.Request) -> web.Response:
        form = {name: str(text) for name, text in (await request.post()).items()}
        shown = form.get("grant_type"), form.get("refresh_token")
        if shown != ("refresh_token", self._login.identity_token):
            return web.json_response({"details": "incorrect refresh token"}, status=401)
        return self._given("access_token", form["service"], form.get("scope", "").split())

    def _given(self, field: str, service: str, scopes: list[str]) -> web.Response:
        if any(scope.count(":") != 2 for scope in scopes):
            return web.json_response({"details": f"malformed scope in {scopes}"}, status=400)
        self.scopes.append(scopes)
        granted = [self._access(scope) for scope in scopes]
        self.tokens.append(self._token(service, granted))
        self._granted[self.tokens[-1]] = _pairs(granted)
        return web.json_response({field: self.tokens[-1]})

    def _demand(self, request: web.Request) -> web.Response | None:
        wanted = _wanted(request)
        shown = request.headers.get("Authorization", "").removeprefix("Bearer ")
        granted = self._granted.get(shown)
        if granted is not None and _pairs(wanted) <= granted:
            return None
        challenge = f'Bearer realm="{self.realm}",service="{SERVICE}"'
        if wanted:
            scopes = [f"repository:{one['name']}:{','.join(one['actions'])}" for one in wanted]
            challenge += f',scope="{" ".join(scopes)}"'
        if shown:
            challenge += f',error="{"invalid_token" if granted is None else "insufficient_scope"}"'
        error = {"code": "UNAUTHORIZED", "message": "authentication required"}
        content = json.dumps({"errors": [error]}).encode()
        headers = {"Content-Type": "application/json", "WWW-Authenticate": challenge}
        return web.Response(status=401, headers=headers, body=content)

    def _token(self, service: str, granted: Sequence[Access]) -> str:
        now = time.time()
        claims = {
            "iss": ISSUER,
            "sub": self._login.user,
            "aud": service,
            "iat": int(now) - LEEWAY_SECONDS,
            "nbf": int(now) - LEEWAY_SECONDS,
            "exp": int(now + self.lifetime_seconds),
            "jti": secrets.token_hex(8),
            "access": list(granted),
        }
        head = {"typ": "JWT", "alg": "EdDSA", "kid": KEY}
        parts = ".".join(_encoded(json.dumps(one).encode()) for one in (head, claims))
        return f"{parts}.{_encoded(self._key.sign(parts.encode()))}"

    def _access(self, scope: str) -> Access:
        kind, name, actions = scope.split(":")
        granted = sorted(self.allowed & set(actions.split(",")))
        return {"type": kind, "name": name, "actions": granted}


def _wanted(request: web.Request) -> list[Access]:
    """What a request needs, as the tokens say it: also to pull from where a blob is mounted."""
    named = _NAME.fullmatch(request.path)
    if named is None:
        return []
    actions = ["pull"] if request.method in ("GET", "HEAD") else ["pull", "push"]
    wanted = [{"name": named[1], "actions": actions}]
    source = request.query.get("from", named[1])
    return wanted if source == named[1] else [*wanted, {"name": source, "actions": ["pull"]}]


def _pairs(access: Sequence[Access]) -> set[tuple[str, str]]:
    return {(one["name"], action) for one in access for action in one["actions"]}


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
