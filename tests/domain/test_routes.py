from __future__ import annotations

from copy import deepcopy
from typing import Any

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import labels
from domain.errors import PermanentFailure
from domain.routes import (
    acceptance,
    annotate,
    backend_refs,
    is_revision_of,
    move,
    selected_revision,
    split_of,
)
from domain.traffic import Backend, TrafficSplit

OLD, NEW = "album-0000000000", "album-1111111111"
Manifest = dict[str, Any]


def route(*backends: tuple[str, int | None], **metadata: Any) -> Manifest:
    refs = [
        {"name": name, "port": 80} | ({} if weight is None else {"weight": weight})
        for name, weight in backends
    ]
    return {
        "metadata": {"name": "album", "generation": 3, **metadata},
        "spec": {"parentRefs": [{"name": "public"}], "rules": [{"backendRefs": refs}]},
    }


@pytest.mark.parametrize(
    ("backends", "shares"),
    [
        ([(OLD, 100)], {OLD: 100}),
        ([(OLD, 90), (NEW, 10)], {OLD: 90, NEW: 10}),
        ([(OLD, 9), (NEW, 1)], {OLD: 90, NEW: 10}),
        ([(OLD, 1), (NEW, 0)], {OLD: 100}),
        ([(OLD, None), (NEW, None)], {OLD: 50, NEW: 50}),
        ([(OLD, 0)], {}),
        ([], {}),
    ],
)
def test_the_weights_of_a_route_are_read_as_percentages(
    backends: list[tuple[str, int | None]], shares: dict[str, int]
) -> None:
    split = split_of(route(*backends), "album")
    assert {b.revision: b.weight for b in split.backends} == shares


@pytest.mark.parametrize("weights", [(999, 1), (1, 1, 1), (1, 7), (199, 1)])
def test_a_backend_that_gets_less_than_a_percent_is_not_overlooked(
    weights: tuple[int, ...],
) -> None:
    backends = [(f"album-{number:010x}", weight) for number, weight in enumerate(weights)]
    with pytest.raises(PermanentFailure, match="no whole percentages; set weights that sum to 100"):
        split_of(route(*backends), "album")


@pytest.mark.parametrize(
    "name", ["album", "album-v2", "albums-0000000000", "album-000000000g", "album-00000000001"]
)
def test_traffic_to_what_is_no_revision_is_not_ours_to_move(name: str) -> None:
    assert not is_revision_of(name, "album")
    with pytest.raises(PermanentFailure, match=f"sends traffic to {name}, which is no revision"):
        split_of(route((OLD, 90), (name, 10)), "album")


def test_a_route_with_several_rules_is_refused() -> None:
    two = route((OLD, 100))
    two["spec"]["rules"] *= 2
    with pytest.raises(PermanentFailure, match="has 2 rules"):
        split_of(two, "album")


shares = st.integers(min_value=0, max_value=100)


def split(weight: int) -> TrafficSplit:
    both = (Backend(revision=OLD, weight=100 - weight), Backend(revision=NEW, weight=weight))
    return TrafficSplit(backends=tuple(one for one in both if one.weight))


@given(before=shares, after=shares, annotated=st.booleans())
def test_a_move_leads_from_what_was_read_to_the_wanted_split(
    before: int, after: int, annotated: bool
) -> None:
    metadata = {"annotations": {"theirs": "kept"}} if annotated else {}
    live = route(*((b.revision, b.weight) for b in split(before).backends), **metadata)
    original = deepcopy(live)
    moved = jsonpatch.apply_patch(live, move(live, split(after), 80, "release-1"))
    assert live == original
    assert split_of(moved, "album") == split(after)
    assert moved["metadata"]["annotations"][labels.RELEASE] == "release-1"
    assert moved["metadata"]["annotations"].get("theirs") == ("kept" if annotated else None)
    assert moved["spec"]["parentRefs"] == original["spec"]["parentRefs"]


@given(read=shares, meanwhile=shares, after=shares)
def test_a_move_fails_when_anybody_was_faster(read: int, meanwhile: int, after: int) -> None:
    seen = route(*((b.revision, b.weight) for b in split(read).backends))
    live = route(*((b.revision, b.weight) for b in split(meanwhile).backends))
    patch = move(seen, split(after), 80, "release-1")
    if read == meanwhile:
        jsonpatch.apply_patch(live, patch)
    else:
        with pytest.raises(jsonpatch.JsonPatchTestFailed):
            jsonpatch.apply_patch(live, patch)


@given(weight=shares)
def test_what_is_written_is_read_back_the_same(weight: int) -> None:
    refs = backend_refs(split(weight), 80)
    written = route()
    written["spec"]["rules"][0]["backendRefs"] = refs
    assert split_of(written, "album") == split(weight)
    assert {ref["port"] for ref in refs} == {80}


def test_an_annotation_is_set_whatever_its_key() -> None:
    already: tuple[Manifest, ...] = ({}, {"annotations": {}}, {"annotations": {"a/b~c": "old"}})
    for metadata in already:
        manifest: Manifest = {"metadata": {"name": "album", **metadata}}
        patched = jsonpatch.apply_patch(manifest, annotate(manifest, {"a/b~c": "new", "d": "e"}))
        assert patched["metadata"]["annotations"] == {"a/b~c": "new", "d": "e"}


def parent(
    name: str = "public", *, seen: int = 3, accepted: str = "True", resolved: str = "True"
) -> Manifest:
    def condition(kind: str, status: str) -> Manifest:
        return {
            "type": kind,
            "status": status,
            "reason": "Why",
            "message": "because",
            "observedGeneration": seen,
        }

    conditions = [condition("Accepted", accepted), condition("ResolvedRefs", resolved)]
    return {"parentRef": {"name": name}, "conditions": conditions}


def accepted_by(*parents: Manifest) -> Manifest:
    return {**route((OLD, 100)), "status": {"parents": list(parents)}}


def test_a_route_is_in_force_when_its_gateway_has_seen_this_generation() -> None:
    found = acceptance(accepted_by(parent()))
    assert found is not None
    assert (found.accepted, found.sentence) == (True, "read back from gateway public")


def test_an_old_answer_is_no_answer() -> None:
    assert acceptance(accepted_by(parent(seen=2))) is None
    assert acceptance(accepted_by(parent(seen=2, accepted="False"))) is None


def test_without_an_answer_there_is_none() -> None:
    assert acceptance(route((OLD, 100))) is None
    assert acceptance(accepted_by()) is None
    assert acceptance(accepted_by({"parentRef": {"name": "public"}, "conditions": []})) is None


def test_every_gateway_must_have_answered() -> None:
    two = accepted_by(parent("public"))
    two["spec"]["parentRefs"].append({"name": "internal"})
    assert acceptance(two) is None
    two["status"]["parents"].append(parent("internal", seen=2))
    assert acceptance(two) is None
    two["status"]["parents"][1] = parent("internal")
    found = acceptance(two)
    assert found is not None
    assert found.sentence == "read back from gateway public, internal"


@pytest.mark.parametrize("what", ["accepted", "resolved"])
def test_a_refusal_of_this_generation_is_told_with_its_reason(what: str) -> None:
    found = acceptance(accepted_by(parent(**{what: "False"})))  # type: ignore[arg-type]
    assert found is not None
    assert not found.accepted
    assert found.sentence.endswith("is false (Why: because)")


def test_an_entry_service_selects_one_revision_or_none() -> None:
    selector = {"app": "album", labels.REVISION: "0000000000"}
    assert selected_revision({"spec": {"selector": selector}}) == "0000000000"
    assert selected_revision({"spec": {"selector": {"app": "album"}}}) is None
    assert selected_revision({"spec": {}}) is None
