"""What a person is told of a bed that stays, and what their shell gets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from domain.environments import Environment
from tests.cluster.whole.addresses import ADDRESSES, REGISTRY
from tests.cluster.whole.records import Record

if TYPE_CHECKING:
    from tests.cluster.whole.bed import Bed

_BASE = "BASE_IMAGE"


def write(bed: Bed) -> None:
    """Keep what later commands need."""
    content = {**bed.releases.environment, _BASE: bed.base_image}
    _file(bed.record).write_text(json.dumps(content))


def environment(record: Record) -> dict[str, str]:
    """The variables of a shell in the hub."""
    content: dict[str, str] = json.loads(_file(record).read_text())
    return content


def read(record: Record) -> str:
    """What is where, and how to go on."""
    known = environment(record)
    lines = [
        "The clusters run in network namespaces of their own; their hub reaches everything:",
        "  make cluster-shell      a shell there, with kubectl and tidegate ready",
        "  make cluster-down       ends them and leaves nothing",
        "",
        f"  kubeconfig  {known['KUBECONFIG']} (contexts staging, production)",
        f"  connection  {known['TIDEGATE_CONFIG']}",
        f"  registry    {REGISTRY}",
        f"  base image  {known[_BASE]}",
        "  Temporal    127.0.0.1:7233, UI http://127.0.0.1:8233 (in the hub)",
    ]
    for name in Environment.STAGING, Environment.PRODUCTION:
        place = ADDRESSES[name]
        lines.append(f"  {name.value:<11} {place.api}, gateway {place.gateway}")
        lines.append(f"  {'':<11} Prometheus {place.prometheus}")
    lines.append(f"  logs        {record.folder}/*/*.log")
    return "\n".join((*lines, ""))


def _file(record: Record) -> Path:
    return record.folder / "environment.json"
