from __future__ import annotations

import pytest

from domain.errors import PermanentFailure
from domain.selectors import parse_selector, written


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("track=canary", {"track": "canary"}),
        ("app=album, track = canary", {"app": "album", "track": "canary"}),
        ("rollouts-pod-template-hash==7d9f", {"rollouts-pod-template-hash": "7d9f"}),
        ("app.kubernetes.io/name=album", {"app.kubernetes.io/name": "album"}),
    ],
)
def test_labels_are_read_as_people_write_them(text: str, labels: dict[str, str]) -> None:
    assert parse_selector(text) == labels
    assert parse_selector(written(labels)) == labels


@pytest.mark.parametrize(
    "text", ["", "canary", "track=", "=canary", "track!=canary", "track in (a)", "a=b,", "a=b=c"]
)
def test_what_does_not_say_which_pods_is_refused(text: str) -> None:
    with pytest.raises(PermanentFailure, match="write labels as name=value"):
        parse_selector(text)
