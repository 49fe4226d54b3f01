from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from sandbox.slack import Slack

METADATA = {"event_type": "release", "event_payload": {"id": "r1"}}


@pytest.fixture
async def slack() -> AsyncIterator[Slack]:
    sink = Slack(("releases", "alerts"))
    await sink.start()
    yield sink
    await sink.close()


@pytest.fixture
def client(slack: Slack) -> AsyncWebClient:
    return AsyncWebClient(token=slack.token, base_url=slack.url)


def channel_id(slack: Slack) -> str:
    return slack.channels[0].id


def texts(answer: Any) -> list[str]:
    return [one["text"] for one in answer["messages"]]


async def error_of(call: Any) -> str:
    with pytest.raises(SlackApiError) as caught:
        await call
    return str(caught.value.response["error"])


async def test_the_token_is_checked(slack: Slack, client: AsyncWebClient) -> None:
    assert (await client.auth_test())["user"] == "tidegate"
    wrong = AsyncWebClient(token="xoxb-other", base_url=slack.url)
    assert await error_of(wrong.auth_test()) == "invalid_auth"
    assert await error_of(AsyncWebClient(base_url=slack.url).auth_test()) == "not_authed"


async def test_a_thread_holds_its_first_message_and_its_replies_in_order(
    slack: Slack, client: AsyncWebClient
) -> None:
    root = await client.chat_postMessage(channel="#releases", text="album")
    await client.chat_postMessage(channel="releases", text="other")
    for text in ("staging", "production"):
        await client.chat_postMessage(channel="releases", text=text, thread_ts=root["ts"])
    thread = await client.conversations_replies(channel=channel_id(slack), ts=root["ts"])
    assert texts(thread) == ["album", "staging", "production"]
    assert thread["messages"][0]["reply_count"] == 2
    history = await client.conversations_history(channel=channel_id(slack))
    assert texts(history) == ["other", "album"]


async def test_an_update_changes_the_message_in_its_place(
    slack: Slack, client: AsyncWebClient
) -> None:
    blocks = [{"type": "divider"}]
    first = await client.chat_postMessage(channel="releases", text="10 %", blocks=blocks)
    await client.chat_postMessage(channel="releases", text="later")
    await client.chat_update(channel=channel_id(slack), ts=first["ts"], text="50 %")
    history = await client.conversations_history(channel=channel_id(slack))
    assert texts(history) == ["later", "50 %"]
    assert "blocks" not in history["messages"][1]
    unknown = client.chat_update(channel=channel_id(slack), ts="1.000000", text="x")
    assert await error_of(unknown) == "message_not_found"


async def test_metadata_is_shown_only_when_asked_for(slack: Slack, client: AsyncWebClient) -> None:
    await client.chat_postMessage(channel="releases", text="album", metadata=METADATA)
    plain = await client.conversations_history(channel=channel_id(slack))
    assert "metadata" not in plain["messages"][0]
    full = await client.conversations_history(channel=channel_id(slack), include_all_metadata=True)
    assert full["messages"][0]["metadata"] == METADATA


async def test_a_form_is_understood_like_json(slack: Slack, client: AsyncWebClient) -> None:
    form = {"channel": "releases", "text": "album", "blocks": '[{"type": "divider"}]'}
    headers = {"Authorization": f"Bearer {slack.token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{slack.url}chat.postMessage", data=form) as response,
    ):
        answer = await response.json()
    assert answer["message"]["blocks"] == [{"type": "divider"}]


async def test_history_is_read_in_pages(slack: Slack, client: AsyncWebClient) -> None:
    for number in range(5):
        await client.chat_postMessage(channel="releases", text=str(number))
    found: list[str] = []
    cursor = ""
    while True:
        page = await client.conversations_history(
            channel=channel_id(slack), limit=2, cursor=cursor or None
        )
        found += texts(page)
        cursor = page["response_metadata"]["next_cursor"]
        if not cursor:
            break
    assert found == ["4", "3", "2", "1", "0"]


async def test_a_person_is_found_by_an_address_of_the_sandbox_only(client: AsyncWebClient) -> None:
    found = await client.users_lookupByEmail(email="Ann@example.com")
    again = await client.users_lookupByEmail(email="ann@example.com")
    assert found["user"]["id"] == again["user"]["id"]
    missing = client.users_lookupByEmail(email="ann@elsewhere.io")
    assert await error_of(missing) == "users_not_found"


async def test_what_cannot_be_done_is_said_in_slacks_words(
    slack: Slack, client: AsyncWebClient
) -> None:
    nowhere = client.chat_postMessage(channel="nowhere", text="x")
    assert await error_of(nowhere) == "channel_not_found"
    empty = client.api_call("chat.postMessage", json={"channel": "releases"})
    assert await error_of(empty) == "no_text"
    by_name = client.conversations_history(channel="releases")
    assert await error_of(by_name) == "channel_not_found"
    lost = client.chat_postMessage(channel="releases", text="x", thread_ts="1.000000")
    assert await error_of(lost) == "thread_not_found"
    assert await error_of(client.conversations_replies(channel=channel_id(slack), ts="1")) == (
        "thread_not_found"
    )


async def test_an_unknown_method_is_refused_by_name(slack: Slack, client: AsyncWebClient) -> None:
    with pytest.raises(SlackApiError) as caught:
        await client.api_call("pins.add")
    answer = caught.value.response
    assert (answer.status_code, answer["error"]) == (501, "unknown_method")
    listed = await client.conversations_list()
    assert [one["name"] for one in listed["channels"]] == ["releases", "alerts"]


async def test_a_person_reads_all_messages_without_a_token(
    slack: Slack, client: AsyncWebClient
) -> None:
    await client.chat_postMessage(channel="alerts", text="guardian acted")
    async with aiohttp.ClientSession() as session, session.get(slack.messages_url) as response:
        messages = (await response.json())["messages"]
    assert [one["text"] for one in messages["alerts"]] == ["guardian acted"]
