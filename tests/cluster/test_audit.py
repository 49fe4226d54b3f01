from __future__ import annotations

import json
from pathlib import Path

from tests.cluster import audit

EVENT = {
    "verb": "patch",
    "user": {"username": "tidegate-worker"},
    "userAgent": "tidegate/0.1",
    "requestURI": "/apis/apps/v1/namespaces/staging/deployments/album/scale",
    "objectRef": {
        "resource": "deployments",
        "subresource": "scale",
        "namespace": "staging",
        "name": "album",
    },
    "responseStatus": {"code": 422},
    "stageTimestamp": "2026-11-23T12:00:00.000000Z",
}


def test_an_entry_says_who_asked_for_what_and_the_answer(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    log.write_text(json.dumps(EVENT) + "\n")
    (entry,) = audit.entries(log)
    assert (entry.user, entry.verb, entry.resource) == (
        "tidegate-worker",
        "patch",
        "deployments/scale",
    )
    assert (entry.namespace, entry.name, entry.code) == ("staging", "album", 422)


def test_a_line_that_is_still_being_written_is_left_out(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    log.write_text(json.dumps(EVENT) + "\n" + json.dumps(EVENT)[:40])
    assert len(list(audit.entries(log))) == 1


def test_a_tail_begins_after_the_line_that_is_being_written(tmp_path: Path) -> None:
    log, line = tmp_path / "audit.jsonl", json.dumps(EVENT) + "\n"
    for before in ("", line, line + line[:-40], line[:9]):
        log.write_text(before)
        tail = audit.Tail(log, "tidegate-worker", "staging")
        with log.open("a") as writing:
            rest = line[len(before) % len(line) :] if not before.endswith("\n") and before else ""
            writing.write(rest + line + line[:50])
        assert len(tail.fresh()) == 1
        with log.open("a") as writing:
            writing.write(line[50:] + line)
        assert len(tail.fresh()) == 2
        tail.close()
