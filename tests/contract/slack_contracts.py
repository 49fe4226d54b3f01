"""What Slack answers to our client, by its public documentation: vectors, nothing recorded."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

from tests.contract.conversations import Conversation, Question
from tests.contract.targets import Masks

Contract = Callable[[Conversation], Awaitable[None]]
CHANNEL = "releases"
METADATA = {"event_type": "tidegate", "event_payload": {"key": "release-1/start"}}
FORM = "application/x-www-form-urlencoded"
MASKS = Masks(
    values={
        "bot_id": "bot",
        "id": "channel",
        "channel": "channel",
        "team": "team",
        "team_id": "team id",
        "url": "url",
        "user": "user",
        "user_id": "user id",
    },
    texts=((r"^\d{10}\.\d{6}$", "<seconds.microseconds>"),),
)
# The fields of the documentation that our client or a person reads; Slack sends more.
_FIELDS = (
    "bot_id",
    "channel",
    "error",
    "has_more",
    "ok",
    "team",
    "team_id",
    "ts",
    "url",
    "user",
    "user_id",
)
_OF_MESSAGE = ("bot_id", "metadata", "text", "thread_ts", "ts", "type", "user")
_OF_CHANNEL = ("id", "is_archived", "is_channel", "is_member", "is_private", "name")


async def identity(talk: Conversation) -> None:
    """Whose token it is, and a token that is nobody's."""
    await talk.step("whose token", Question("POST", "/api/auth.test", body=b"", content_type=FORM))


async def posting(talk: Conversation) -> None:
    """A message, an answer in its thread, and where none can be posted."""
    first = await talk.step("post", _post("album starts"), _shown)
    await talk.step("answer", _post("album built", thread_ts=first.body["ts"]), _shown)
    await talk.step("post nowhere", _post("x", channel="#no-such-channel"), _shown)
    await talk.step("post nothing", _post(""), _shown)


async def finding(talk: Conversation) -> None:
    """The channel by its name, and messages with their metadata."""
    posted = await talk.ask(_post("album starts"))
    channel, root = posted.body["channel"], posted.body["ts"]
    await talk.ask(_post("album built", thread_ts=root))
    kinds = {"types": "public_channel,private_channel", "exclude_archived": "1", "limit": "200"}
    await talk.step("list channels", _get("conversations.list", **kinds), _shown)
    place = {"channel": channel, "include_all_metadata": "1", "limit": "200"}
    await talk.step("read the channel", _get("conversations.history", **place), _shown)
    await talk.step("read the thread", _get("conversations.replies", **place, ts=root), _shown)
    nowhere = {**place, "channel": "C0NOWHERE"}
    await talk.step("read no channel", _get("conversations.history", **nowhere), _shown)
    await talk.step("read no thread", _get("conversations.replies", **place, ts="1.1"), _shown)


def _post(text: str, channel: str = f"#{CHANNEL}", **more: Any) -> Question:
    body = {"channel": channel, "text": text, "metadata": METADATA, **more}
    return Question("POST", "/api/chat.postMessage", body=json.dumps(body).encode())


def _get(method: str, **parameters: str) -> Question:
    return Question("GET", f"/api/{method}", urlencode(parameters), b"", FORM)


def _shown(body: dict[str, Any]) -> dict[str, Any]:
    shown = {name: body[name] for name in _FIELDS if name in body}
    if "message" in body:
        shown["message"] = _kept(body["message"], _OF_MESSAGE)
    for name, fields in (("messages", _OF_MESSAGE), ("channels", _OF_CHANNEL)):
        if name in body:
            shown[name] = [_kept(one, fields) for one in body[name]]
    return shown


def _kept(found: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: found[name] for name in names if name in found}


CONTRACTS: dict[str, Contract] = {
    "slack/identity": identity,
    "slack/posting": posting,
    "slack/finding": finding,
}
