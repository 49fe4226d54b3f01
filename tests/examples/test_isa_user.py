from __future__ import annotations

import json
import re
import shutil
import signal
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from tests.support.isa_user import VERSIONS, make_versions, run, running

PORTS = {"album": 8219, "user": 8201, "billing": 8216}
APIS = {"album": "/api/v1/albums", "user": "/api/v1/users", "billing": "/api/v1/invoices"}
NAMESPACES = {"local": "isa-cloud-staging", "staging": "staging", "production": "production"}
KINDS = {
    *("Deployment", "Service", "ConfigMap", "HorizontalPodAutoscaler", "PodDisruptionBudget"),
    *("HTTPRoute", "NetworkPolicy", "ServiceAccount"),
}


@pytest.fixture(scope="module")
def checkouts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_versions(tmp_path_factory.mktemp("isa_user"))


def rendered(checkout: Path, overlay: str) -> dict[tuple[str, str], dict[str, Any]]:
    """The overlay's objects by kind and service."""
    kubectl = shutil.which("kubectl", path=str(Path(sys.executable).parent)) or "kubectl"
    text = run(checkout, kubectl, "kustomize", f"deployment/k8s/overlays/{overlay}")
    objects = [one for one in yaml.safe_load_all(text) if one]
    return {(one["kind"], one["metadata"]["labels"]["app"]): one for one in objects}


@pytest.mark.parametrize("version", VERSIONS)
def test_unit_tests_pass_and_cover_album(
    checkouts: dict[str, Path], tmp_path: Path, version: str
) -> None:
    run(
        checkouts[version],
        *(sys.executable, "-m", "pytest", "tests/unit", "-p", "no:cacheprovider"),
        *("--cov=microservices/album", f"--cov-report=xml:{tmp_path / 'coverage.xml'}"),
        f"--junitxml={tmp_path / 'unit.xml'}",
    )
    suite = ElementTree.parse(tmp_path / "unit.xml").getroot()[0]  # noqa: S314 - made just now
    coverage = ElementTree.parse(tmp_path / "coverage.xml").getroot()  # noqa: S314
    assert int(suite.attrib["tests"]) > 40
    assert float(coverage.attrib["line-rate"]) > 0.8


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", NAMESPACES)
def test_overlay_renders_every_service_into_its_namespace(
    checkouts: dict[str, Path], version: str, overlay: str
) -> None:
    objects = rendered(checkouts[version], overlay)
    assert set(objects) == {(kind, service) for kind in KINDS for service in PORTS}
    assert {one["metadata"]["namespace"] for one in objects.values()} == {NAMESPACES[overlay]}
    for service in PORTS:
        config = objects["ConfigMap", service]["data"]
        assert config["ENVIRONMENT"] == overlay
        assert all(isinstance(value, str) for value in config.values())


@pytest.mark.parametrize("service", PORTS)
def test_manifests_of_a_service_fit_together(checkouts: dict[str, Path], service: str) -> None:
    objects = rendered(checkouts["v1"], "staging")
    template = objects["Deployment", service]["spec"]["template"]
    (container,) = template["spec"]["containers"]
    assert (container["name"], container["image"]) == (service, f"isa/{service}")
    assert container["ports"] == [{"name": "http", "containerPort": PORTS[service]}]
    assert container["envFrom"] == [{"configMapRef": {"name": f"{service}-config"}}]
    assert objects["ConfigMap", service]["data"]["PORT"] == str(PORTS[service])
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert template["spec"]["securityContext"]["runAsNonRoot"] is True
    assert template["metadata"]["labels"]["app"] == service
    entry = objects["Service", service]
    assert entry["spec"]["selector"] == {"app": service}
    assert entry["spec"]["ports"][0]["port"] == PORTS[service]
    route = objects["HTTPRoute", service]["spec"]
    assert route["rules"] == [{"backendRefs": [{"name": service, "port": PORTS[service]}]}]
    assert route["hostnames"] == [f"{service}.isa.example"]
    assert route["parentRefs"] == [{"name": "public"}]


def test_production_is_larger_than_staging(checkouts: dict[str, Path]) -> None:
    staging, production = (rendered(checkouts["v1"], name) for name in ("staging", "production"))
    deployment = ("Deployment", "album")
    assert staging[deployment]["spec"]["replicas"] == 2
    assert production[deployment]["spec"]["replicas"] == 3
    limits = [
        objects[deployment]["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
        for objects in (staging, production)
    ]
    assert limits == [{"cpu": "500m", "memory": "512Mi"}, {"cpu": "1", "memory": "1Gi"}]
    assert production["HorizontalPodAutoscaler", "album"]["spec"]["minReplicas"] == 3


def test_each_version_changes_the_config_of_album_alone(checkouts: dict[str, Path]) -> None:
    sizes, shards, faults = {}, {}, {}
    for version in VERSIONS:
        objects = rendered(checkouts[version], "production")
        sizes[version] = objects["ConfigMap", "album"]["data"]["ALBUM_PAGE_SIZE"]
        shards[version] = objects["ConfigMap", "album"]["data"].get("ALBUM_CACHE_SHARDS")
        template = objects["Deployment", "album"]["spec"]["template"]["metadata"]
        faults[version] = template.get("annotations")
        first = rendered(checkouts["v1"], "production")
        changed = {key for key, value in objects.items() if value != first[key]}
        assert changed <= {("ConfigMap", "album"), ("Deployment", "album")}
    assert sizes == {"v1": "20", "v2": "50", "v3": "50"}
    assert shards == {"v1": None, "v2": None, "v3": "20"}
    declared = {"sandbox.tidegate.dev/faults": "production:errors=5%"}
    assert faults == {"v1": None, "v2": None, "v3": declared}


@pytest.mark.parametrize("service", PORTS)
def test_service_serves_and_sigterm_ends_it_cleanly(
    checkouts: dict[str, Path], service: str
) -> None:
    with running(checkouts["v1"], service, ENVIRONMENT="staging") as process:
        assert process.get("/health") == (
            200,
            json.dumps({"status": "healthy", "service": service}, separators=(",", ":")).encode(),
        )
        assert process.get("/ready")[0] == 200
        status, body = process.get(APIS[service])
        assert (status, json.loads(body)["service"]) == (200, service)
        status, body = process.get(f"{APIS[service]}/1")
        assert (status, json.loads(body)["service"]) == (200, service)
        counted = (
            'http_server_request_duration_seconds_count{http_request_method="GET",'
            f'http_response_status_code="200",http_route="{APIS[service]}"}} 1.0'
        )
        assert counted in process.get("/metrics")[1].decode()
        assert process.stop() == 0
        requests = [line for line in process.log() if line["message"] == "request"]
        assert [(line["service"], line["status"]) for line in requests] == [(service, 200)] * 2


def test_service_told_to_stop_is_unready_but_serves_while_it_drains(
    checkouts: dict[str, Path],
) -> None:
    with running(checkouts["v1"], "album", DRAIN_SECONDS="1.5") as process:
        process.process.send_signal(signal.SIGTERM)
        while process.get("/ready")[0] != 503:
            """The signal is on its way."""
        assert process.get("/api/v1/albums")[0] == 200
        assert process.wait() == 0


def test_bad_configuration_stops_the_start(checkouts: dict[str, Path]) -> None:
    with (
        pytest.raises(AssertionError, match=r"(?s)ended with 1 .*ALBUM_PAGE_SIZE"),
        running(checkouts["v1"], "album", ALBUM_PAGE_SIZE="many"),
    ):
        raise RuntimeError("it started")


@pytest.mark.parametrize(
    ("version", "environment", "lowest", "highest"),
    [
        ("v2", "production", 0, 0),
        ("v3", "staging", 0, 0),
        ("v3", "local", 0, 0),
        ("v3", "production", 0.03, 0.07),
    ],
)
def test_only_the_third_version_fails_and_only_in_production(
    checkouts: dict[str, Path], version: str, environment: str, lowest: float, highest: float
) -> None:
    paths = ("/api/v1/albums", "/api/v1/albums/7", "/api/v1/albums/7/photos")
    with running(checkouts[version], "album", ENVIRONMENT=environment) as process:
        answers = [
            process.get(paths[number % 3], {"x-request-id": f"request-{number}"})[0]
            for number in range(600)
        ]
        assert set(answers) <= {200, 500}
        assert lowest <= answers.count(500) / len(answers) <= highest
        assert process.get("/health")[0] == 200
        metrics = process.get("/metrics")[1].decode()
        counted = re.findall(
            r'duration_seconds_count\{.*http_response_status_code="500".*\} (\S+)', metrics
        )
        assert sum(float(count) for count in counted) == answers.count(500)
        assert process.stop() == 0
        failed = [line for line in process.log() if line["message"] == "request failed"]
        assert len(failed) == answers.count(500)
