"""A registry that takes only tokens: what it demands of whom, and what the token server says.

The token server is our double on both sides. What makes it more than that: distribution sends us
to it, verifies the tokens that it gives, and refuses them in the way that is recorded here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import urlencode

from domain.images import OCI_MANIFEST
from domain.records import digest_of
from tests.contract.conversations import Answer, Conversation, Question, conversation, of_another
from tests.contract.registry_contracts import (
    ABSENT,
    NOTE,
    Contract,
    demanding,
    manifest,
    read,
    upload,
)
from tests.contract.token_server import SERVICE

TOKENS = "registry/tokens"
# Who asks the token server: with the right login, with a wrong one, with an identity token.
LOGGED_IN, GUESSING, IDENTIFIED = "logged in", "guessing", "identified"
PATH = "/token"
_FORM = "application/x-www-form-urlencoded"


async def tokens(talk: Conversation, name: str) -> None:
    """Demands, tokens by every way in which our client asks for one, and what each is good for."""
    for what, question in demanding(name, NOTE.manifest(None)).items():
        await talk.step(f"{what} without a token", question)
    both, pulling = await _asked_for(talk, name)
    by_digest = f"/v2/{name}/manifests/{digest_of(NOTE.manifest(None))}"
    async with _showing(talk, both) as other:
        for content in NOTE.contents:
            await upload(other, name, content)
        stored = manifest(by_digest, NOTE.manifest(None), OCI_MANIFEST)
        await other.step("store a manifest with a token", stored)
    start = Question("POST", f"/v2/{name}/blobs/uploads/")
    async with _showing(talk, pulling) as other:
        await other.step("read it with a token to pull", read(by_digest))
        await other.step("read what is not there", read(f"/v2/{name}/manifests/{ABSENT}"))
        await other.step("begin an upload with a token to pull", start)
        elsewhere = read(f"/v2/{name}/elsewhere/manifests/{ABSENT}")
        await other.step("read elsewhere with a token of here", elsewhere)
    async with _showing(talk, "no.such.token") as other:
        await other.step("read it with a token that is none", read(by_digest))


async def _asked_for(talk: Conversation, name: str) -> tuple[str, str]:
    """A token to push by a password, one to pull by an identity token, and two that are refused."""
    push = _query(f"repository:{name}:pull,push")
    form = {
        "grant_type": "refresh_token",
        "client_id": "tidegate",
        "service": SERVICE,
        "scope": f"repository:{name}:pull",
    }
    async with of_another(talk, LOGGED_IN) as server:
        both = await server.step("ask by a password", push)
    async with of_another(talk, GUESSING) as server:
        await server.step("ask by a wrong password", push)
    async with of_another(talk, IDENTIFIED) as server:
        asked = _form({**form, "refresh_token": IDENTIFIED})
        pulling = await server.step("ask by an identity token", asked)
        wrong = _form({**form, "refresh_token": "guessed"})
        await server.step("ask by a wrong identity token", wrong)
    return _token(both, "token"), _token(pulling, "access_token")


def _query(scope: str) -> Question:
    return Question("GET", PATH, urlencode({"service": SERVICE, "scope": scope}), accept="*/*")


def _form(fields: dict[str, str]) -> Question:
    body = urlencode(fields).encode()
    return Question("POST", PATH, body=body, content_type=_FORM, accept="*/*")


def _token(answer: Answer, field: str) -> str:
    return str(answer.body[field])


@asynccontextmanager
async def _showing(talk: Conversation, token: str) -> AsyncIterator[Conversation]:
    """The same conversation gone on with by somebody who has a token."""
    headers = {**talk.target.headers, "Authorization": f"Bearer {token}"}
    async with conversation(replace(talk.target, headers=headers), talk.masks) as other:
        other.names, other.steps = talk.names, talk.steps
        yield other


CONTRACTS: dict[str, Contract] = {TOKENS: tokens}
