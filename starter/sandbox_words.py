"""What `sandbox up` says once everything is ready."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clients.kustomize import kubectl_program
from settings import CONFIG_VARIABLE, DEFAULT_CONFIG
from starter.sandbox_files import PEOPLE, Layout

if TYPE_CHECKING:
    from starter.sandbox import Wishes


def ready_words(
    layout: Layout,
    temporal: Mapping[str, str],
    urls: Mapping[str, Any],
    wishes: Wishes,
    seconds: float,
) -> str:
    """Addresses, and what to type in another terminal."""
    key = "" if wishes.policy else f" --key {_short(layout.keys / PEOPLE[0])}"
    kubectl = _short(Path(kubectl_program()))
    lines = [
        f"The sandbox is ready after {seconds:.1f} s; Ctrl-C stops it. In another terminal:",
        "",
        *_exports(layout),
        "  tidegate doctor",
        "  tidegate release SERVICE --repository DIR --watch",
        f"  tidegate approve SERVICE{key}",
        f"  {kubectl} --context production -n production get deploy,httproute",
        "",
        f"  Temporal    {temporal['ui']}",
        f"  sandbox     {urls['control']}/sandbox/state",
        f"  messages    {urls['slack_messages']}",
        f"  registry    {urls['registry']}",
        f"  base image  {urls['base_image']}",
        f"  logs        {_short(layout.root / 'logs')}",
    ]
    if not wishes.workers:
        lines += ["", "No worker runs; start them: tidegate worker --role ROLE"]
    return "\n".join(lines)


def _exports(layout: Layout) -> list[str]:
    lines = [f"  export KUBECONFIG={layout.root / 'kubeconfig'}"]
    if layout.connection != DEFAULT_CONFIG.absolute():
        lines.insert(0, f"  export {CONFIG_VARIABLE}={layout.connection}")
    return lines


def _short(path: Path) -> str:
    """Relative to where the person is, when it lies below."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
