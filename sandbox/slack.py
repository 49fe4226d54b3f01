"""The Slack Web API as far as a release needs it: one workspace, a few channels, messages kept."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable
from typing import Any

from aiohttp import web

from sandbox.channels import Channel, Message, SlackError
from sandbox.listener import Listener
from sandbox.outage import Outage
from sandbox.request_log import RequestLog

Arguments = dict[str, Any]
Answer = dict[str, Any]

BOT_ID, BOT_USER_ID, TEAM_ID = "B0SANDBOX", "U0SANDBOX", "T0SANDBOX"
MANY = 100
# RFC 2606: these domains belong to nobody, so everybody in them works at the sandbox.
STAFF_DOMAINS = ("example.com", "example.net", "example.org", ".example", ".test")


class Slack:
    """A sink with Slack's method names, answers and errors; `token` is the only one it takes."""

    def __init__(self, channels: tuple[str, ...] = ("releases",), token: str = "") -> None:
        self.token = token or f"xoxb-sandbox-{secrets.token_hex(12)}"
        self.requests = RequestLog()
        self.outage = Outage("slack")
        self.channels = [Channel(f"C0{_short(name)}", name) for name in channels]
        self._methods: dict[str, Callable[[Arguments], Answer]] = {
            "auth.test": self._auth_test,
            "chat.postMessage": self._post_message,
            "chat.update": self._update,
            "conversations.history": self._history,
            "conversations.list": self._list,
            "conversations.replies": self._replies,
            "users.lookupByEmail": self._lookup_by_email,
        }
        application = web.Application(
            middlewares=[self.requests.middleware(), self.outage.middleware()]
        )
        application.add_routes(
            [
                web.route("*", "/api/{method}", self._call),
                web.get("/sandbox/messages", self._messages),
                web.get("/sandbox/requests", self.requests.answer),
                web.route("*", "/{anything:.*}", _unsupported),
            ]
        )
        self._listener = Listener(application)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen on `port` (0 = any free one); OSError when it is taken."""
        await self._listener.start(host, port)

    async def close(self) -> None:
        """Stop listening; the messages stay readable on this object."""
        await self._listener.close()

    @property
    def url(self) -> str:
        """What a client takes as base URL: `http://host:port/api/`."""
        return f"{self._listener.url}/api/"

    @property
    def messages_url(self) -> str:
        """Where a person reads what was posted."""
        return f"{self._listener.url}/sandbox/messages"

    async def _call(self, request: web.Request) -> web.Response:
        name = request.match_info["method"]
        method = self._methods.get(name)
        if method is None:
            body = {"ok": False, "error": "unknown_method", "req_method": name}
            return web.json_response(body, status=501)
        try:
            arguments = await _arguments(request)
            self._check_token(request, arguments)
            return web.json_response({"ok": True, **method(arguments)})
        except SlackError as error:
            return web.json_response({"ok": False, "error": str(error)})

    def _check_token(self, request: web.Request, arguments: Arguments) -> None:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        given = given if scheme.lower() == "bearer" else str(arguments.get("token", ""))
        if not given:
            raise SlackError("not_authed")
        if not secrets.compare_digest(given.encode(), self.token.encode()):
            raise SlackError("invalid_auth")

    def _auth_test(self, _arguments: Arguments) -> Answer:
        return {
            "url": f"{self._listener.url}/",
            "team": "Sandbox",
            "user": "tidegate",
            "team_id": TEAM_ID,
            "user_id": BOT_USER_ID,
            "bot_id": BOT_ID,
        }

    def _post_message(self, arguments: Arguments) -> Answer:
        channel = self._channel(arguments, by_name=True)
        message = channel.post({**_content(arguments), "user": BOT_USER_ID, "bot_id": BOT_ID})
        return {"channel": channel.id, "ts": message["ts"], "message": message}

    def _update(self, arguments: Arguments) -> Answer:
        channel = self._channel(arguments)
        message = channel.update(str(arguments.get("ts", "")), _content(arguments))
        answer = {"channel": channel.id, "ts": message["ts"], "text": message["text"]}
        return {**answer, "message": message}

    def _history(self, arguments: Arguments) -> Answer:
        return _page(self._channel(arguments).history(), arguments)

    def _replies(self, arguments: Arguments) -> Answer:
        thread = self._channel(arguments).thread(str(arguments.get("ts", "")))
        return _page(thread, arguments)

    def _list(self, _arguments: Arguments) -> Answer:
        found = [
            {
                "id": one.id,
                "name": one.name,
                "is_archived": False,
                "is_channel": True,
                "is_member": True,
                "is_private": False,
            }
            for one in self.channels
        ]
        return {"channels": found, "response_metadata": {"next_cursor": ""}}

    def _lookup_by_email(self, arguments: Arguments) -> Answer:
        email = str(arguments.get("email", "")).lower()
        name, _, domain = email.partition("@")
        if not name or not f".{domain}".endswith(STAFF_DOMAINS):
            raise SlackError("users_not_found")
        profile = {"email": email, "real_name": name}
        return {"user": {"id": f"U0{_short(email)}", "name": name, "profile": profile}}

    def _channel(self, arguments: Arguments, *, by_name: bool = False) -> Channel:
        """The channel meant; as in Slack, only a new message may name it instead of its id."""
        wanted = str(arguments.get("channel", ""))
        for channel in self.channels:
            if wanted == channel.id or (by_name and wanted.removeprefix("#") == channel.name):
                return channel
        raise SlackError("channel_not_found")

    async def _messages(self, _request: web.Request) -> web.Response:
        found = {channel.name: channel.messages for channel in self.channels}
        return web.json_response({"messages": found})


async def _arguments(request: web.Request) -> Arguments:
    """Query, form or JSON; in a form, structured arguments come as JSON text."""
    arguments: Arguments = dict(request.query)
    if request.content_type == "application/json":
        try:
            given = await request.json()
        except ValueError as error:
            raise SlackError("invalid_json") from error
        if not isinstance(given, dict):
            raise SlackError("json_not_object")
        arguments.update(given)
    else:
        arguments.update(await request.post())
    return arguments


def _content(arguments: Arguments) -> Message:
    """What of a message the caller decides."""
    kept: Message = {"text": str(arguments.get("text") or "")}
    for name in ("blocks", "metadata", "attachments"):
        if arguments.get(name):
            kept[name] = _structured(name, arguments[name])
    if arguments.get("thread_ts"):
        kept["thread_ts"] = str(arguments["thread_ts"])
    if not kept["text"] and not kept.get("blocks") and not kept.get("attachments"):
        raise SlackError("no_text")
    return kept


def _structured(name: str, value: object) -> object:
    try:
        parsed = json.loads(value) if isinstance(value, str) else value
    except ValueError as error:
        raise SlackError(f"invalid_{name}_format") from error
    if not isinstance(parsed, dict if name == "metadata" else list):
        raise SlackError(f"invalid_{name}_format")
    return parsed


def _page(messages: list[Message], arguments: Arguments) -> Answer:
    oldest, latest = str(arguments.get("oldest") or "0"), str(arguments.get("latest") or "9e12")
    inclusive = str(arguments.get("inclusive", "")).lower() in ("1", "true")
    try:
        limits = float(oldest), float(latest)
        limit, start = int(arguments.get("limit") or MANY), int(arguments.get("cursor") or 0)
    except ValueError as error:
        raise SlackError("invalid_arguments") from error
    within = [
        one
        for one in messages
        if limits[0] < float(one["ts"]) < limits[1] or (inclusive and float(one["ts"]) in limits)
    ]
    shows_metadata = str(arguments.get("include_all_metadata", "")).lower() in ("1", "true")
    page = [
        one if shows_metadata else {k: v for k, v in one.items() if k != "metadata"}
        for one in within[start : start + limit]
    ]
    more = start + limit < len(within)
    cursor = str(start + limit) if more else ""
    return {"messages": page, "has_more": more, "response_metadata": {"next_cursor": cursor}}


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8].upper()


async def _unsupported(request: web.Request) -> web.Response:
    text = f"the sandbox's Slack does not do {request.method} {request.path}\n"
    return web.Response(status=501, text=text)
