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
