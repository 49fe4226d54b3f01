"""Slack's Web API: one message per event of a release, once even when a post is retried."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from clients.http import connection_failures, retry_after
from domain.errors import NotFound, PermanentFailure, ReleaseError, TransientFailure

Method = Callable[..., Awaitable[Any]]

EVENT_TYPE = "tidegate"
API_URL = "https://slack.com/api/"
REQUEST_TIMEOUT = timedelta(seconds=15)
# Slack cuts a text at 40,000 characters; a cut by us says so.
LONGEST_TEXT = 39_000
PAGE, MOST_PAGES = 200, 10

_IDENTIFIER = re.compile(r"[CGD][A-Z0-9]{7,}")
_FIXES = {
    "account_inactive": "its app or workspace was deactivated: install the app again",
    "channel_not_found": "correct `channel`, or create it; into a private one invite the app",
    "invalid_auth": "put a valid bot token (xoxb-...) into the file named by `token_file`",
    "is_archived": "the channel is archived: unarchive it or name another",
    "missing_scope": "add the scope to the app and install it again",
    "not_allowed_token_type": "use a bot token (xoxb-...)",
    "not_authed": "put a bot token (xoxb-...) into the file named by `token_file`",
    "not_in_channel": "invite the app: /invite @tidegate in the channel",
    "restricted_action": "an admin restricts who may post there: allow the app",
    "thread_not_found": "the release's first message was deleted: it cannot be answered",
    "token_expired": "renew the token in the file named by `token_file`",
    "token_revoked": "renew the token in the file named by `token_file`",
}
_PASSING = (
    "fatal_error",
    "internal_error",
    "ratelimited",
    "rate_limited",
    "request_timeout",
    "service_unavailable",
    "team_added_to_org",
)


class Slack:
    """Posts to one channel, by name or identifier, with one bot token.

    Errors of every method: PermanentFailure (token, channel, rights; it names the fix) and
    TransientFailure (rate limit with Slack's wish, 5xx, unreachable).
    """

    def __init__(self, token: str, channel: str, url: str | None = None) -> None:
        """`url`: the API's base URL; None is Slack's own."""
        self._url = url or API_URL
        self._channel = channel.removeprefix("#")
        self._channel_id = self._channel if _IDENTIFIER.fullmatch(self._channel) else ""
        self._client = AsyncWebClient(
            token=token,
            base_url=self._url,
            timeout=int(REQUEST_TIMEOUT.total_seconds()),
            # Retrying is the activity's business, which then looks for what was posted already.
            retry_handlers=[],
            user_agent_prefix=EVENT_TYPE,
        )

    async def post(self, text: str, *, thread: str | None, key: str, retried: bool = False) -> str:
        """Post once per `key`, as an answer in `thread` when given; returns the message's `ts`.

        The key travels in the message's metadata. When an earlier attempt may have posted
        (`retried`), a message with this key is looked for first and its `ts` returned.
        """
        if retried and (found := await self._find(thread, key)) is not None:
            return found
        answer = await self._call(
            f"post to #{self._channel}",
            self._client.chat_postMessage,
            channel=self._channel_id or f"#{self._channel}",
            text=text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}\n(cut)",
            thread_ts=thread,
            metadata={"event_type": EVENT_TYPE, "event_payload": {"key": key}},
            unfurl_links=False,
            unfurl_media=False,
        )
        return str(answer["ts"])

    async def check(self) -> str:
        """Try token and channel without posting; returns a sentence that names them."""
        who = await self._call("check the token", self._client.auth_test)
        channel = await self._lookup()
        if not channel.get("is_member", True):
            raise self._refusal(f"post to #{self._channel}", "not_in_channel", {})
        return f"{who.get('user')} of {who.get('team')}, channel #{channel.get('name')}"

    async def _find(self, thread: str | None, key: str) -> str | None:
        """The `ts` of our message with this key among the newest 2000 of the thread or channel."""
        channel = self._channel_id or str((await self._lookup())["id"])
        method = (
            self._client.conversations_replies if thread else self._client.conversations_history
        )
        place = {"channel": channel, "include_all_metadata": True, "limit": PAGE}
        if thread:
            place["ts"] = thread
        action = f"look for message {key} in #{self._channel}"
        async for page in self._pages(action, method, place):
            for message in page.get("messages") or ():
                metadata = message.get("metadata") or {}
                if metadata.get("event_type") == EVENT_TYPE and (
                    metadata.get("event_payload", {}).get("key") == key
                ):
                    return str(message["ts"])
        return None

    async def _lookup(self) -> dict[str, Any]:
        """The channel as Slack lists it; methods other than posting take only its identifier."""
        action = f"look up #{self._channel}"
        options = {
            "types": "public_channel,private_channel",
            "exclude_archived": True,
            "limit": PAGE,
        }
        async for page in self._pages(action, self._client.conversations_list, options):
            for channel in page.get("channels") or ():
                if self._channel in (channel.get("id"), channel.get("name")):
                    self._channel_id = str(channel["id"])
                    return dict(channel)
        raise self._refusal(action, "channel_not_found", {})

    async def _pages(
        self, action: str, method: Method, options: Mapping[str, Any]
    ) -> AsyncIterator[Mapping[str, Any]]:
        cursor = ""
        for _ in range(MOST_PAGES):
            page = await self._call(
                action, method, **options, **({"cursor": cursor} if cursor else {})
            )
            yield page
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                return

    async def _call(self, action: str, method: Method, **arguments: Any) -> Mapping[str, Any]:
        subject = f"cannot {action} in Slack"
        with connection_failures(subject, self._url):
            try:
                data = (await method(**arguments)).data
            except SlackApiError as error:
                raise self._failure(action, error.response) from error
            except AttributeError as error:
                # The library's own stumble over a success that is plain text.
                raise self._no_slack(subject) from error
        if not isinstance(data, dict):
            raise self._no_slack(subject)
        return data

    def _failure(self, action: str, response: Any) -> ReleaseError:
        # The library hands over its own response or, when no JSON came, aiohttp's.
        status = int(getattr(response, "status_code", 0) or getattr(response, "status", 0))
        data = getattr(response, "data", None)
        word = str(data.get("error") or "") if isinstance(data, dict) else ""
        if status == 429 or status >= 500 or word in _PASSING:
            return TransientFailure(
                f"cannot {action} in Slack: it answered {status} {word}; it is tried again",
                retry_after(response.headers),
            )
        if not word:
            return self._no_slack(f"cannot {action} in Slack")
        return self._refusal(action, word, data if isinstance(data, dict) else {})

    def _refusal(self, action: str, word: str, data: Mapping[str, Any]) -> ReleaseError:
        needed = f" (needed: {data['needed']})" if data.get("needed") else ""
        fix = _FIXES.get(word, "see Slack's documentation of this error")
        kind = NotFound if word in ("channel_not_found", "thread_not_found") else PermanentFailure
        return kind(f"cannot {action} in Slack: {word}{needed}; {fix}")

    def _no_slack(self, subject: str) -> ReleaseError:
        return PermanentFailure(f"{subject}: {self._url} does not answer like Slack; correct `url`")
