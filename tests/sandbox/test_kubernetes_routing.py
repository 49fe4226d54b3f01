from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from sandbox.kubernetes.routing import Backend, backends_of, choose_backend, matching_rule
from sandbox.kubernetes.store import Store


def route(name: str, *matches: dict[str, Any], hostnames: tuple[str, ...] = ()) -> dict[str, Any]:
    spec = {"hostnames": list(hostnames), "rules": [{"matches": list(matches)}]}
    return {"metadata": {"name": name, "namespace": "default"}, "spec": spec}


def path(kind: str, value: str) -> dict[str, Any]:
    return {"path": {"type": kind, "value": value}}


def taken_by(routes: list[dict[str, Any]], host: str, requested: str, **rest: Any) -> str | None:
    store = Store()
    for manifest in routes:
        store.create("httproutes", manifest)
    found = matching_rule(store, host, requested, **rest)
    return None if found is None else str(found[0]["metadata"]["name"])


def seeded() -> random.Random:
    return random.Random(1)  # noqa: S311 - the same draws in every run


def test_backends_are_chosen_in_proportion_to_their_weights() -> None:
    backends = [Backend("n", name, 80, weight) for name, weight in (("a", 90), ("b", 9), ("c", 1))]
    chance = seeded()
    chosen = [choose_backend(backends, chance) for _ in range(20_000)]
    counts = Counter(backend.service for backend in chosen if backend)
    shares = {name: counts[name] / 20_000 for name in "abc"}
    assert shares == pytest.approx({"a": 0.9, "b": 0.09, "c": 0.01}, abs=0.01)


def test_without_any_weight_nothing_is_chosen() -> None:
    assert choose_backend([Backend("n", "a", 80, 0)], seeded()) is None
    assert choose_backend([], seeded()) is None


def test_a_backend_weighs_one_and_lives_beside_its_route_by_default() -> None:
    rule = {"backendRefs": [{"name": "a", "port": 80}, {"name": "b", "namespace": "n"}]}
    assert backends_of(rule, "here") == [Backend("here", "a", 80, 1), Backend("n", "b", None, 1)]


@pytest.mark.parametrize(
    ("requested", "expected"),
    [("/", "all"), ("/api", "exact"), ("/api/x", "prefix"), ("/apix", "all"), ("/v12", "pattern")],
)
def test_the_most_specific_path_takes_the_request(requested: str, expected: str) -> None:
    routes = [
        route("all", path("PathPrefix", "/")),
        route("prefix", path("PathPrefix", "/api")),
        route("exact", path("Exact", "/api")),
        route("pattern", path("RegularExpression", "/v[0-9]+")),
    ]
    assert taken_by(routes, "h", requested) == expected


@pytest.mark.parametrize(
    ("host", "taken"),
    [("a.example", True), ("x.b.example", True), ("b.example", False), ("c.example", False)],
)
def test_hostnames_select_requests(host: str, taken: bool) -> None:
    routes = [route("r", hostnames=("a.example", "*.b.example"))]
    assert taken_by(routes, host, "/") == ("r" if taken else None)


def test_methods_and_headers_select_requests() -> None:
    match = {"method": "POST", "headers": [{"name": "x-canary", "value": "yes"}]}
    routes = [route("r", match)]
    headers = {"x-canary": "yes"}
    assert taken_by(routes, "h", "/", method="POST", headers=headers) == "r"
    assert taken_by(routes, "h", "/", method="GET", headers=headers) is None
    assert taken_by(routes, "h", "/", method="POST") is None
