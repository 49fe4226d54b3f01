"""Watches of one object: which events come, in which order and form."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlencode

from tests.contract.conversations import PATIENCE_SECONDS, Answer, Conversation, Question
from tests.contract.kubernetes_kinds import JSON_PATCH, Kind, put

Event = dict[str, Any]
# A version from before the server began to remember.
FORGOTTEN = "1"
# A real server sends the last bookmark two seconds before the end of a watch.
_UNTIL_AFTER_A_BOOKMARK = 4


async def watch(kind: Kind, talk: Conversation, namespace: str) -> None:
    """A change and the deletion of one object among others, and versions that cannot be had."""
    collection = kind.collection(namespace)
    other = kind.object()
    other["metadata"]["name"] = "another"
    created = await talk.ask(Question("POST", collection, body=kind.object()))
    version = created.body["metadata"]["resourceVersion"]
    question = watching(collection, kind.name, version)
    async with talk.open(question) as response, asyncio.timeout(PATIENCE_SECONDS):
        await talk.ask(Question("POST", collection, body=other))
        path = f"{collection}/{kind.name}"
        change = put("/metadata/annotations", {"example.com/note": "changed"})
        await talk.ask(Question("PATCH", path, body=change, content_type=JSON_PATCH))
        await talk.ask(Question("DELETE", path))
        events = [event async for event in _events(response, until="DELETED")]
    answer = Answer(response.status, response.headers, b"")
    talk.add("change and deletion", question, answer, _compared(events))
    await _bookmarked(kind, talk, namespace)
    if "." in kind.api_version:
        # Of the built-in kinds a young server still remembers everything.
        forgotten = watching(collection, "x", FORGOTTEN)
        await _watch_until_it_ends(talk, "what is forgotten", forgotten)
    await _watch_until_it_ends(talk, "no version", watching(collection, "x", "some"))


async def _bookmarked(kind: Kind, talk: Conversation, namespace: str) -> None:
    """What is sent before the end of a watch when only other objects have changed.

    Of the object the head is compared; the rest is what an empty one has in the server's language.
    """
    collection = kind.collection(namespace)
    path = f"{collection}/another"
    version = (await talk.ask(Question("GET", path))).body["metadata"]["resourceVersion"]
    question = watching(collection, "x", version, _UNTIL_AFTER_A_BOOKMARK)
    async with talk.open(question) as response, asyncio.timeout(PATIENCE_SECONDS):
        await talk.ask(Question("DELETE", path))
        events = [event async for event in _events(response, until="BOOKMARK")]
    answer = Answer(response.status, response.headers, b"")
    talk.add("a bookmark", question, answer, [_with_head(event) for event in events])


def _with_head(event: Event) -> Event:
    head = ("apiVersion", "kind", "metadata")
    return {**event, "object": {key: event["object"].get(key) for key in head}}


async def _watch_until_it_ends(talk: Conversation, what: str, question: Question) -> None:
    async with talk.open(question) as response, asyncio.timeout(PATIENCE_SECONDS):
        events = [event async for event in _events(response)]
    answer = Answer(response.status, response.headers, b"")
    talk.add(what, question, answer, _compared(events))


async def _events(response: Any, until: str = "") -> Any:
    async for line in response.content:
        event = json.loads(line)
        yield event
        if event.get("type") == until:
            return


def watching(collection: str, name: str, version: str, seconds: int = 60) -> Question:
    """The request by which our client watches one object from a version on."""
    query = {
        "fieldSelector": f"metadata.name={name}",
        "watch": "1",
        "resourceVersion": version,
        "allowWatchBookmarks": "true",
        "timeoutSeconds": str(seconds),
    }
    return Question("GET", collection, urlencode(query))


def _compared(events: list[Event]) -> list[Event]:
    """How often a controller wrote in between is its own affair, and so is what it wrote."""
    told: list[Event] = []
    for event in events:
        if event.get("type") == "BOOKMARK":
            continue
        if told and told[-1].get("type") == event.get("type") == "MODIFIED":
            told.pop()
        told.append(event)
    return [_without_status(event) for event in told]


def _without_status(event: Event) -> Event:
    found = event.get("object")
    if not isinstance(found, dict) or found.get("kind") == "Status":
        return event
    metadata = dict(found["metadata"])
    annotations = dict(metadata.get("annotations") or {})
    annotations.pop("deployment.kubernetes.io/revision", None)
    return {
        **event,
        "object": {
            **{key: value for key, value in found.items() if key != "status"},
            "metadata": {**metadata, "annotations": annotations},
        },
    }
