"""Histories hold references, not bulk, and nothing of the machine or the people behind them."""

from __future__ import annotations

import json
import re

import pytest

from tests.replay.archive import Address, impersonal, payloads, read_json, recorded

# The largest seen is a release's final state, 8.6 KB; Temporal itself warns at 512 KB.
LARGEST_PAYLOAD_BYTES = 16 * 1024
LARGEST_ARCHIVE_BYTES = 2 * 1024 * 1024
SYSTEM_PATH = re.compile(r"(?<![\w.])/(?:etc|home|opt|private|root|tmp|usr|Users|var|work)/")
PROCESS = re.compile(r"\b\d+@\w")
EMAIL = re.compile(r"@(?!example\.org\b)[\w-]+\.\w")
HISTORIES = recorded()


def texts(address: Address) -> set[str]:
    """The history's JSON and the content of each of its payloads."""
    history = read_json(address)
    return {json.dumps(history), *(p.decode() for p in payloads(history))}


@pytest.mark.parametrize("address", HISTORIES, ids=str)
def test_a_history_holds_references_and_nothing_bulky(address: Address) -> None:
    sizes = [len(payload) for payload in payloads(read_json(address))]
    assert sizes
    assert max(sizes) <= LARGEST_PAYLOAD_BYTES


@pytest.mark.parametrize("address", HISTORIES, ids=str)
def test_a_history_names_no_machine_and_no_person(address: Address) -> None:
    for text in texts(address):
        for pattern in (SYSTEM_PATH, PROCESS, EMAIL):
            assert pattern.search(text) is None
        assert "stackTrace" not in text


def test_all_histories_of_a_day_together_are_small() -> None:
    for day in {address.day for address in HISTORIES}:
        sizes = [a.path.stat().st_size for a in HISTORIES if a.day == day]
        assert sum(sizes) <= LARGEST_ARCHIVE_BYTES


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (SYSTEM_PATH, 'File "/home/somebody/release.py"'),
        (PROCESS, "4711@laptop"),
        (EMAIL, "jane.doe@corp.example"),
    ],
)
def test_what_must_not_be_there_would_be_noticed(pattern: re.Pattern[str], text: str) -> None:
    assert pattern.search(text)


def test_a_recording_leaves_the_machine_out() -> None:
    recording = {
        "identity": "4711@laptop.example",
        "taskQueue": {"name": "4711@laptop.example-0123"},
        "failure": {"message": "forbidden", "stackTrace": '  File "/home/somebody/x.py"'},
    }
    assert impersonal(recording) == {
        "identity": "recorder",
        "taskQueue": {"name": "recorder"},
        "failure": {"message": "forbidden"},
    }
