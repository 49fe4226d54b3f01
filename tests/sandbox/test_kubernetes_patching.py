from __future__ import annotations

from typing import Any

import pytest

from sandbox.kubernetes.patching import json_patch, merge_patch
from sandbox.kubernetes.status import StatusError
from sandbox.kubernetes.strategic_merge import strategic_merge

CONTAINERS = {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}


def test_a_failed_test_operation_is_the_real_servers_unprocessable_answer() -> None:
    operations = [{"op": "test", "path": "/weight", "value": 10}]
    with pytest.raises(StatusError) as error:
        json_patch({"weight": 20}, operations)
    assert (error.value.code, error.value.reason) == (422, "Invalid")
    assert error.value.message == ("the server rejected our request due to an error in our request")


def test_a_json_patch_changes_nothing_when_one_of_its_operations_fails() -> None:
    manifest = {"a": 1, "b": 2}
    operations = [
        {"op": "replace", "path": "/a", "value": 5},
        {"op": "test", "path": "/b", "value": 9},
    ]
    with pytest.raises(StatusError):
        json_patch(manifest, operations)
    assert manifest == {"a": 1, "b": 2}


@pytest.mark.parametrize("operations", [{"a": 1}, ["x"], "x"])
def test_a_malformed_json_patch_is_a_bad_request(operations: Any) -> None:
    with pytest.raises(StatusError) as error:
        json_patch({"a": 1}, operations)
    assert error.value.code == 400


def test_an_operation_that_is_none_fails_like_any_other() -> None:
    with pytest.raises(StatusError) as error:
        json_patch({"a": 1}, [{"op": "nonsense", "path": "/a"}])
    assert error.value.code == 422


def test_merge_patch_replaces_lists_and_removes_nulls() -> None:
    merged = merge_patch({"a": [1, 2], "b": {"c": 1, "d": 2}}, {"a": [3], "b": {"c": None}})
    assert merged == {"a": [3], "b": {"d": 2}}


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        pytest.param(
            {"containers": [{"name": "b", "image": "2"}]},
            [{"name": "a", "image": "1"}, {"name": "b", "image": "2"}],
            id="items merge by name",
        ),
        pytest.param(
            {"containers": [{"name": "a", "$patch": "delete"}]},
            [{"name": "b", "image": "1"}],
            id="an item is deleted",
        ),
        pytest.param(
            {"containers": [{"$patch": "replace"}, {"name": "c"}]},
            [{"name": "c"}],
            id="the list is replaced",
        ),
        pytest.param(
            {
                "$setElementOrder/containers": [{"name": "c"}, {"name": "b"}, {"name": "a"}],
                "containers": [{"name": "c"}],
            },
            [{"name": "c"}, {"name": "b", "image": "1"}, {"name": "a", "image": "1"}],
            id="the order is kept as asked",
        ),
    ],
)
def test_strategic_merge_patches_lists_by_their_key(patch: Any, expected: Any) -> None:
    assert strategic_merge(CONTAINERS, patch)["containers"] == expected


def test_strategic_merge_follows_directives_on_objects() -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}
    patched = strategic_merge(strategy, {"$retainKeys": ["type"], "type": "Recreate"})
    assert patched == {"type": "Recreate"}
    assert strategic_merge({"a": 1}, {"$patch": "replace", "b": 2}) == {"b": 2}


def test_strategic_merge_edits_lists_of_plain_values() -> None:
    held = {"finalizers": ["a", "b"]}
    assert strategic_merge(held, {"finalizers": ["c"]}) == {"finalizers": ["a", "b", "c"]}
    removed = strategic_merge(held, {"$deleteFromPrimitiveList/finalizers": ["a"]})
    assert removed == {"finalizers": ["b"]}
