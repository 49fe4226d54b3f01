"""Channels of the Slack sink: messages and their threads."""

from __future__ import annotations

import time
from typing import Any

Message = dict[str, Any]
KEPT_MESSAGES = 10_000


class SlackError(Exception):
    """A refusal; its text is the word Slack uses."""


class Channel:
    """One channel with its messages, oldest first."""

    def __init__(self, identifier: str, name: str) -> None:
        self.id = identifier
        self.name = name
        self.messages: list[Message] = []
        self._last_us = 0

    def post(self, content: Message) -> Message:
        """Add a message; a `thread_ts` that names no message here is an error, as in a reply."""
        root = content.get("thread_ts")
        if root is not None:
            self._root(root)
        self._last_us = max(self._last_us + 1, time.time_ns() // 1000)
        ts = f"{self._last_us // 1_000_000}.{self._last_us % 1_000_000:06d}"
        message = {"type": "message", "ts": ts, **content}
        self.messages.append(message)
        del self.messages[:-KEPT_MESSAGES]
        if root is not None:
            self._note_reply(self._root(root), ts)
        return message

    def update(self, ts: str, content: Message) -> Message:
        """Replace what a message says; its place and its thread stay."""
        message = self._find(ts)
        for name in ("blocks", "attachments"):
            message.pop(name, None)
        message.update({key: value for key, value in content.items() if key != "thread_ts"})
        message["edited"] = {"ts": f"{time.time():.6f}"}
        return message

    def history(self) -> list[Message]:
        """Messages outside threads and the first of each thread, newest first."""
        return [
            one for one in reversed(self.messages) if one.get("thread_ts", one["ts"]) == one["ts"]
        ]

    def thread(self, ts: str) -> list[Message]:
        """The first message of a thread and its replies, oldest first."""
        root = self._root(ts)
        replies = [
            one for one in self.messages if one.get("thread_ts") == root["ts"] and one is not root
        ]
        return [root, *replies]

    def _find(self, ts: str) -> Message:
        for message in self.messages:
            if message["ts"] == ts:
                return message
        raise SlackError("message_not_found")

    def _root(self, ts: str) -> Message:
        try:
            return self._find(ts)
        except SlackError:
            raise SlackError("thread_not_found") from None

    def _note_reply(self, root: Message, ts: str) -> None:
        root["thread_ts"] = root["ts"]
        root["reply_count"] = root.get("reply_count", 0) + 1
        root["latest_reply"] = ts
