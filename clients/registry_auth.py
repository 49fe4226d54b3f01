"""Who we are to an image registry: credentials by reference, and the answer to a challenge.

Protocol: distribution's token authentication specification, and Basic of RFC 7617.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from clients import processes
from domain.errors import PermanentFailure

DOCKER_HUB = "docker.io"
_DOCKER_HUB_KEY = "https://index.docker.io/v1/"
_CREDENTIAL_PROGRAM_TIME = timedelta(seconds=30)
_TOKEN_USER = "<token>"  # noqa: S105 - the name docker gives to a user who is an identity token


@dataclass(frozen=True)
class Login:
    """What a registry is shown: a name and password, or an identity token (never printed)."""

    user: str
    password: str = field(repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """The value of `Authorization` by the Basic scheme."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


Credentials = Callable[[str], Awaitable[Login | None]]
"""Finds the login for a registry's host, at the time it is needed; None is anonymous."""


async def anonymous(host: str) -> Login | None:
    """Show nothing to any registry."""
    return None


def docker_config(path: Path) -> Credentials:
    """Logins of a docker `config.json`: `auths`, `credHelpers`, `credsStore`, in docker's order.

    Read anew each time, so that a rotated secret is seen. Raises PermanentFailure naming the file.
    """

    async def find(host: str) -> Login | None:
        config = _read(path)
        key = _DOCKER_HUB_KEY if host == DOCKER_HUB else host
        program = config.get("credHelpers", {}).get(key) or config.get("credsStore")
        if program:
            return await _ask(program, key)
        auths = config.get("auths", {})
        entry = auths.get(key) or auths.get(f"https://{key}") or {}
        return _login_of(entry, key, path)

    return find


def _read(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_bytes())
    except OSError as error:
        raise PermanentFailure(
            f"registry credentials {path} cannot be read: {error.strerror}"
        ) from error
    except ValueError as error:
        raise PermanentFailure(f"registry credentials {path} are not JSON: {error}") from error
    if not isinstance(config, dict):
        raise PermanentFailure(f"registry credentials {path} are not a docker config.json")
    return config


def _login_of(entry: Mapping[str, Any], key: str, path: Path) -> Login | None:
    token = str(entry.get("identitytoken", ""))
    if not entry.get("auth"):
        user = str(entry.get("username", ""))
        known = user or token
        return Login(user, str(entry.get("password", "")), token) if known else None
    try:
        user, _, password = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise PermanentFailure(
            f"the `auth` of {key} in {path} is not base64; log in again: docker login {key}"
        ) from error
    return Login(user, password, token)


async def _ask(program: str, key: str) -> Login | None:
    name = f"docker-credential-{program}"
    answer = await processes.run(
        [name, "get"], timeout=_CREDENTIAL_PROGRAM_TIME, stdin=key.encode()
    )
    if answer.exit_code != 0:
        if b"not found" in answer.stdout + answer.stderr:
            return None
        raise PermanentFailure(f"{name} has no login for {key}: exit code {answer.exit_code}")
    try:
        found = json.loads(answer.stdout)
        user, secret = str(found["Username"]), str(found["Secret"])
    except (ValueError, KeyError, TypeError) as error:
        raise PermanentFailure(f"{name} gave no Username and Secret for {key}") from error
    return Login("", "", secret) if user == _TOKEN_USER else Login(user, secret)


@dataclass(frozen=True)
class Challenge:
    """What a registry asks for in `WWW-Authenticate` (RFC 9110, 11.6.1)."""

    scheme: str
    parameters: Mapping[str, str]

    @classmethod
    def parse(cls, header: str) -> Challenge:
        """Read the first challenge; the scheme is lower-case, empty when there is none."""
        scheme, _, rest = header.strip().partition(" ")
        pairs = re.findall(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s,"]+))', rest)
        return cls(scheme.lower(), {name: quoted or plain for name, quoted, plain in pairs})

    @property
    def token_query(self) -> list[tuple[str, str]]:
        """The query by which a token for just this service and these scopes is asked.

        A challenge lists scopes with spaces between; the specification has each asked by itself.
        """
        scopes = self.parameters.get("scope", "").split()
        service = self.parameters.get("service")
        return [
            *([("service", service)] if service is not None else []),
            *(("scope", scope) for scope in scopes),
        ]

    @property
    def token_form(self) -> dict[str, str]:
        """The same for a form of OAuth 2 (RFC 6749, 3.3), where one field holds all scopes."""
        return {
            name: self.parameters[name] for name in ("service", "scope") if name in self.parameters
        }
