from __future__ import annotations

from typing import Any

import pytest

from sandbox.kubernetes.selectors import field_predicate, label_predicate, matches
from sandbox.kubernetes.status import StatusError

POD = {
    "metadata": {"name": "a", "namespace": "n", "labels": {"app": "album", "tier": "web"}},
    "spec": {"nodeName": "node-1"},
    "status": {"phase": "Running"},
}


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("", True),
        ("app=album", True),
        ("app==album,tier=web", True),
        ("app=user", False),
        ("app!=user", True),
        ("missing!=x", True),
        ("app in (album, user)", True),
        ("app in (user)", False),
        ("tier notin (db,api),app=album", True),
        ("missing notin (x)", True),
        ("tier", True),
        ("!tier", False),
        ("!missing", True),
        ("example.dev/team=a", False),
    ],
)
def test_label_selectors_choose_as_the_api_server_does(text: str, selected: bool) -> None:
    assert label_predicate(text)(POD) is selected


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("metadata.name=a", True),
        ("metadata.namespace!=n", False),
        ("status.phase=Running,spec.nodeName=node-1", True),
        ("status.phase!=Running", False),
    ],
)
def test_field_selectors_choose_as_the_api_server_does(text: str, selected: bool) -> None:
    assert field_predicate("pods", text)(POD) is selected


def test_a_field_that_the_server_does_not_index_is_a_bad_request() -> None:
    with pytest.raises(StatusError, match=r"field label not supported: spec\.replicas"):
        field_predicate("deployments", "spec.replicas=1")


def test_a_selector_that_cannot_be_read_is_a_bad_request() -> None:
    with pytest.raises(StatusError, match="valid label selector"):
        label_predicate("app in album")


@pytest.mark.parametrize(
    ("expression", "selected"),
    [
        ({"key": "tier", "operator": "In", "values": ["web"]}, True),
        ({"key": "tier", "operator": "NotIn", "values": ["web"]}, False),
        ({"key": "tier", "operator": "Exists"}, True),
        ({"key": "tier", "operator": "DoesNotExist"}, False),
    ],
)
def test_match_expressions_are_followed(expression: dict[str, Any], selected: bool) -> None:
    labels = {"app": "album", "tier": "web"}
    assert matches(labels, {"matchExpressions": [expression]}) is selected
