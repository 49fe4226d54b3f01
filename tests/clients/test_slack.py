import re
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from aiohttp import web

from clients.slack import LONGEST_TEXT, Slack
from domain.errors import NotFound, PermanentFailure, TransientFailure
from sandbox.slack import Slack as Workspace
from tests.support.web import answering_with


@pytest.fixture
async def workspace() -> AsyncIterator[Workspace]:
    running = Workspace(("random", "releases"))
    await running.start()
    yield running
    await running.close()


@pytest.fixture
def slack(workspace: Workspace) -> Slack:
    return Slack(workspace.token, "releases", workspace.url)


def limited() -> web.Response:
    body = {"ok": False, "error": "ratelimited"}
    return web.json_response(body, status=429, headers={"Retry-After": "7"})


def posted(workspace: Workspace) -> list[tuple[str, str | None]]:
    """Text and thread of every message in the releases channel, oldest first."""
    return [(m["text"], m.get("thread_ts")) for m in workspace.channels[1].messages]


async def test_a_release_is_one_message_with_its_answers_in_a_thread(
    slack: Slack, workspace: Workspace
) -> None:
    first = await slack.post("album starts", thread=None, key="r1/start")
    second = await slack.post("album built", thread=first, key="r1/built")
    assert first != second
    assert posted(workspace) == [("album starts", first), ("album built", first)]


@pytest.mark.parametrize("in_thread", [False, True])
async def test_a_retried_post_finds_the_message_of_the_earlier_attempt(
    slack: Slack, workspace: Workspace, in_thread: bool
) -> None:
    root = await slack.post("album starts", thread=None, key="root")
    thread = root if in_thread else None
    before = await slack.post("built", thread=thread, key="built")
    await slack.post("scanned", thread=thread, key="scanned")
    another_process = Slack(workspace.token, "#releases", workspace.url)
    again = await another_process.post("built", thread=thread, key="built", retried=True)
    assert again == before
    assert len(posted(workspace)) == 3


async def test_a_message_far_down_the_pages_is_found(slack: Slack, workspace: Workspace) -> None:
    root = await slack.post("album starts", thread=None, key="root")
    for number in range(450):
        workspace.channels[1].post({"text": str(number), "thread_ts": root})
    last = await slack.post("last", thread=root, key="last")
    assert await slack.post("last", thread=root, key="last", retried=True) == last


async def test_a_retried_post_that_never_arrived_is_posted(
    slack: Slack, workspace: Workspace
) -> None:
    await slack.post("built", thread=None, key="built")
    await slack.post("built", thread=None, key="built of another release", retried=True)
    assert len(posted(workspace)) == 2


async def test_a_post_whose_answer_was_lost_appears_once(workspace: Workspace) -> None:
    async def loses_answers(request: web.Request) -> web.Response:
        workspace.channels[1].post(await request.json())
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with answering_with(loses_answers) as url:
        with pytest.raises(TransientFailure, match="cannot post to #releases in Slack"):
            await Slack("token", "releases", f"{url}/api/").post("up", thread=None, key="k")
    slack = Slack(workspace.token, "releases", workspace.url)
    ts = await slack.post("up", thread=None, key="k", retried=True)
    assert [m["ts"] for m in workspace.channels[1].messages] == [ts]


async def test_a_text_longer_than_slack_takes_says_that_it_was_cut(
    slack: Slack, workspace: Workspace
) -> None:
    await slack.post("x" * (LONGEST_TEXT + 1), thread=None, key="long")
    (text, _), *_ = posted(workspace)
    assert text.endswith("x\n(cut)")
    assert len(text) < 40_000


@pytest.mark.parametrize(
    ("token", "channel", "error", "fix"),
    [
        ("wrong", "releases", "invalid_auth", "token_file"),
        (None, "relaeses", "channel_not_found", "correct `channel`"),
    ],
)
async def test_a_wrong_token_or_channel_is_permanent_and_names_the_fix(
    workspace: Workspace, token: str | None, channel: str, error: str, fix: str
) -> None:
    slack = Slack(token or workspace.token, channel, workspace.url)
    for asked in (slack.post("up", thread=None, key="k"), slack.check()):
        with pytest.raises(PermanentFailure, match=rf"{error}.*{re.escape(fix)}") as caught:
            await asked
        assert "wrong" not in str(caught.value)


async def test_a_missing_thread_is_not_found(slack: Slack) -> None:
    with pytest.raises(NotFound, match="thread_not_found"):
        await slack.post("up", thread="1.000001", key="k")


async def test_check_names_user_workspace_and_channel(slack: Slack, workspace: Workspace) -> None:
    assert await slack.check() == "tidegate of Sandbox, channel #releases"
    by_identifier = Slack(workspace.token, workspace.channels[1].id, workspace.url)
    assert await by_identifier.check() == "tidegate of Sandbox, channel #releases"
    assert posted(workspace) == []


async def test_check_tells_that_the_app_is_not_in_the_channel() -> None:
    async def answer(request: web.Request) -> web.Response:
        channel = {"id": "C012345678", "name": "releases", "is_member": False}
        return web.json_response({"ok": True, "channels": [channel]})

    async with answering_with(answer) as url:
        with pytest.raises(PermanentFailure, match="/invite @tidegate"):
            await Slack("token", "releases", url).check()


@pytest.mark.parametrize(
    ("answer", "kind", "wish"),
    [
        (limited, TransientFailure, timedelta(seconds=7)),
        (lambda: web.Response(status=503, text="down"), TransientFailure, None),
        (
            lambda: web.json_response({"ok": False, "error": "internal_error"}),
            TransientFailure,
            None,
        ),
        (lambda: web.Response(text="hello"), PermanentFailure, None),
        (lambda: web.Response(text="<html>", content_type="text/html"), PermanentFailure, None),
        (lambda: web.Response(text="{", content_type="application/json"), PermanentFailure, None),
        (lambda: web.json_response({"ok": False, "error": "newer_word"}), PermanentFailure, None),
    ],
    ids=["429", "503", "internal_error", "plain text", "html", "broken json", "unknown word"],
)
async def test_what_goes_wrong_at_slack_is_transient_or_permanent(
    answer: object, kind: type[Exception], wish: timedelta | None
) -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        assert callable(answer)
        response: web.StreamResponse = answer()
        return response

    async with answering_with(handler) as url:
        with pytest.raises(kind) as caught:
            await Slack("token", "releases", url).post("up", thread=None, key="k")
    assert getattr(caught.value, "retry_after", None) == wish


async def test_an_unreachable_slack_is_transient() -> None:
    async def never_asked(_: web.Request) -> web.Response:
        return web.Response()

    async with answering_with(never_asked) as url:
        gone = url
    with pytest.raises(TransientFailure, match="cannot be reached"):
        await Slack("token", "releases", gone).post("up", thread=None, key="k")
