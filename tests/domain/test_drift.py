"""Drift by the values alone: forms of the server against edits."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from domain.drift import TEMPLATES_SEEN, drift
from domain.revision import Manifest


def deployment(**container: Any) -> Manifest:
    """A Deployment with one container of these fields."""
    template = {"spec": {"containers": [{"name": "album", "image": "a@sha256:1", **container}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "album-1", "annotations": {"tidegate.dev/bundle": "b"}},
        "spec": {"replicas": 2, "template": template},
    }


def limits(**quantities: Any) -> Manifest:
    return deployment(resources={"limits": quantities})


def config(**parts: Any) -> Manifest:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "album-1"}, **parts}


def budget(version: str, **spec: Any) -> Manifest:
    return {
        "apiVersion": version,
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "album-1"},
        "spec": {"maxReplicas": 4, **spec},
    }


@pytest.mark.parametrize(
    ("wanted", "live"),
    [
        (limits(cpu="0.5"), limits(cpu="500m")),
        (limits(cpu=1), limits(cpu="1")),
        (limits(cpu="1000m"), limits(cpu="1")),
        (limits(memory="1024Mi"), limits(memory="1Gi")),
        (limits(memory="1e9"), limits(memory="1G")),
        (limits(memory="0.5Gi"), limits(memory="512Mi")),
        (limits(), deployment(resources={})),
        (deployment(env=[]), deployment()),
        (deployment(tty=False), deployment()),
        (deployment(command=None), deployment()),
        (
            deployment(env=[{"name": "A", "value": ""}]),
            deployment(env=[{"name": "A"}]),
        ),
        (deployment(), deployment(imagePullPolicy="IfNotPresent")),
        (config(binaryData={"a": "AAEC\n"}), config(binaryData={"a": "AAEC"})),
        (config(data={}), config()),
        (
            budget("autoscaling/v1", targetCPUUtilizationPercentage=70),
            budget("autoscaling/v2", metrics=[{"type": "Resource"}]),
        ),
    ],
)
def test_another_form_of_the_same_is_no_drift(wanted: Manifest, live: Manifest) -> None:
    assert drift(live, wanted) is None


@pytest.mark.parametrize(
    ("wanted", "live", "told"),
    [
        (limits(cpu="0.5"), limits(cpu="600m"), "limits.cpu is '600m', the bundle says '0.5'"),
        (limits(cpu="1"), limits(), "limits.cpu is absent, the bundle says '1'"),
        (limits(cpu="1"), limits(cpu="1Gi"), "limits.cpu is '1Gi'"),
        (
            deployment(env=[{"name": "A", "value": "1"}]),
            deployment(env=[{"name": "A", "value": "1000m"}]),
            "containers[album].env[A].value is '1000m'",
        ),
        (deployment(tty=True), deployment(), "containers[album].tty is absent"),
        (deployment(env=[{"name": "A", "value": "1"}]), deployment(), "env is absent"),
        (config(data={"a": "1"}), config(data={"a": "2"}), "data.a is '2', the bundle says '1'"),
        (config(data={"a": "1"}), config(data={"a": "1", "b": "2"}), "data.b is '2'"),
        (config(), config(data={"b": "2"}), "data.b is '2', the bundle says absent"),
        (config(binaryData={"a": "AAEC"}), config(binaryData={"a": "AAED"}), "binaryData.a is"),
        (config(data={"a": "1"}), config(), "data is absent"),
        (
            budget("autoscaling/v1", targetCPUUtilizationPercentage=70),
            budget("autoscaling/v2") | {"spec": {"maxReplicas": 9}},
            "spec.maxReplicas is 9, the bundle says 4",
        ),
    ],
)
def test_another_value_is_drift(wanted: Manifest, live: Manifest, told: str) -> None:
    found = drift(live, wanted)
    assert found is not None
    assert told in found


def test_numbers_of_pods_belong_to_releases_and_autoscalers() -> None:
    wanted, live = deployment(), deployment()
    live["spec"]["replicas"] = 7
    assert drift(live, wanted) is None
    wanted, live = budget("autoscaling/v2", minReplicas=2), budget("autoscaling/v2", minReplicas=5)
    assert drift(live, wanted) is None


def test_a_second_pod_template_is_drift_whatever_it_says() -> None:
    wanted = deployment()
    live = deepcopy(wanted)
    live["metadata"]["annotations"][TEMPLATES_SEEN] = "1"
    assert drift(live, wanted) is None
    live["metadata"]["annotations"][TEMPLATES_SEEN] = "2"
    assert drift(live, wanted) == (
        "Deployment album-1: its pod template was edited after it was created: rollout 2, a "
        "revision has one"
    )


def test_what_is_gone_is_drift() -> None:
    assert drift(None, config()) == "ConfigMap album-1 is gone"
