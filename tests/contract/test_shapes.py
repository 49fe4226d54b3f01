"""Every request that our clients send is known, has a contract, and a break that proves it."""

import pytest

from tests.contract import catalogue
from tests.contract.breaks import breaks_of
from tests.contract.expectations import shapes_of
from tests.contract.listed import listed_shapes
from tests.contract.requests import Request, shape_of

NAMESPACED = "/apis/apps/v1/namespaces/staging/deployments"
OBJECT = b'{"kind": "Deployment"}'


@pytest.mark.parametrize("shape", listed_shapes())
def test_every_request_of_our_clients_has_a_contract(shape: str) -> None:
    assert catalogue.contract_for(shape), f"write a contract for {shape}, see catalogue.py"


def test_a_refusal_alone_is_no_contract() -> None:
    refused = "kubernetes GET /api/v1/namespaces"
    assert refused in shapes_of("kubernetes/forbidden")
    assert catalogue.contract_for(refused) is None


@pytest.mark.parametrize("shape", listed_shapes())
def test_every_request_of_our_clients_has_a_break_of_its_own(shape: str) -> None:
    assert len(breaks_of(shape)) > 1, f"add a break for {shape} to breaks.py"


def test_the_list_is_sorted_and_says_each_shape_once() -> None:
    assert listed_shapes() == sorted(set(listed_shapes()))


@pytest.mark.parametrize(
    ("request_", "shape"),
    [
        (Request("GET", NAMESPACED), f"GET {NAMESPACED}"),
        (Request("GET", f"{NAMESPACED}/album-0"), f"GET {NAMESPACED}/{{name}}"),
        (Request("GET", NAMESPACED, "watch=1&b=2"), f"GET {NAMESPACED}?b&watch"),
        (
            Request("POST", NAMESPACED, "", "application/json", OBJECT),
            f"POST {NAMESPACED} application/json Deployment",
        ),
        (
            Request("PATCH", f"{NAMESPACED}/a", "", "application/json-patch+json", b"[]"),
            f"PATCH {NAMESPACED}/{{name}} application/json-patch+json (operations)",
        ),
        (
            Request("GET", "/api/v1/namespaces/staging/services/a:80/proxy/x/y"),
            "GET /api/v1/namespaces/staging/services/{name}:{port}/proxy/{path}",
        ),
        (Request("GET", "/api/v1/namespaces/staging"), "GET /api/v1/namespaces/{name}"),
        (Request("GET", "/api/v1/nodes"), "GET /api/v1/nodes"),
        (Request("GET", "/version"), "GET /version"),
        (Request("GET", "/apis/apps/v1"), "GET /apis/apps/v1"),
        (Request("GET", "/openapi/v3", "hash=1"), "GET /openapi/v3?hash"),
    ],
)
def test_names_and_values_are_taken_out_of_requests_to_kubernetes(
    request_: Request, shape: str
) -> None:
    found = shape_of(Request(**{**vars(request_), "agent": "tidegate/1"}))
    assert found == f"kubernetes {shape}".replace("/staging/", "/{namespace}/")


@pytest.mark.parametrize(
    ("method", "path", "query", "shape"),
    [
        ("GET", "/v2/isa/album/manifests/v1", "", "/v2/{repository}/manifests/{tag}"),
        (
            "GET",
            f"/v2/isa/album/manifests/sha256:{'0' * 64}",
            "",
            "/v2/{repository}/manifests/{digest}",
        ),
        ("HEAD", f"/v2/a/blobs/sha256:{'0' * 64}", "", "/v2/{repository}/blobs/{digest}"),
        ("POST", "/v2/a/blobs/uploads/", "", "/v2/{repository}/blobs/uploads/"),
        (
            "DELETE",
            "/v2/a/blobs/uploads/4711",
            "_state=secret",
            "/v2/{repository}/blobs/uploads/{upload}",
        ),
        (
            "GET",
            "/v2/a/referrers/sha256:0",
            "artifactType=x&n=1",
            "/v2/{repository}/referrers/{digest}?artifactType",
        ),
    ],
)
def test_names_and_values_are_taken_out_of_requests_to_registries(
    method: str, path: str, query: str, shape: str
) -> None:
    assert shape_of(Request(method, path, query)) == f"registry {method} {shape}"


def test_of_a_query_to_prometheus_the_operators_of_its_matchers_are_left() -> None:
    query = "query=up%7Ba%3D%22x%3D1%22%2Cb%3D~%22y%22%7D%5B5m%5D&time=1"
    request = Request("GET", "/tenant/api/v1/query", query, agent="python-requests/2")
    assert shape_of(request) == "prometheus GET /api/v1/query?query&time metric{= =~}[range]"


@pytest.mark.parametrize(
    ("request_", "shape"),
    [
        (Request("GET", "/token", "service=a&scope=b"), "GET {realm}?scope&service"),
        (
            Request("POST", "/auth", "", "application/x-www-form-urlencoded"),
            "POST {realm} application/x-www-form-urlencoded",
        ),
        (Request("GET", "/elsewhere"), "GET /elsewhere"),
        (Request("GET", "/elsewhere", "signature=1"), "GET /elsewhere?signature"),
    ],
)
def test_a_registry_client_that_asks_elsewhere_asks_for_a_token_or_is_not_known(
    request_: Request, shape: str
) -> None:
    found = shape_of(Request(**{**vars(request_), "agent": "tidegate-registry/1"}))
    assert found == f"registry {shape}"


def test_requests_of_others_have_no_shape() -> None:
    assert shape_of(Request("GET", NAMESPACED, agent="kubectl/v1")) is None
    assert shape_of(Request("GET", "/health")) is None
