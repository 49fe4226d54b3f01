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
    from tests.cluster.whole.repository import Repository

_BASE = "BASE_IMAGE"


def write(bed: Bed) -> None:
    """Keep what later commands need, and a clone of the example to release from."""
    from tests.cluster.whole.repository import Repository  # noqa: PLC0415 - slow, `down` is quick

    example = Repository.made(bed.folder / "isa_user", bed)
    content = {
        "environment": {**bed.releases.environment, _BASE: bed.base_image},
        "first release": _first_release(example),
    }
    _file(bed.record).write_text(json.dumps(content))


def environment(record: Record) -> dict[str, str]:
    """The variables of a shell in the hub."""
    known: dict[str, str] = json.loads(_file(record).read_text())["environment"]
    return known


def _first_release(example: Repository) -> list[str]:
    """How to release the example; users first: without a request there is nothing to judge."""
    from tests.cluster.whole import repository  # noqa: PLC0415

    gateways = " ".join(place.gateway for place in ADDRESSES.values())
    url = f"$url{repository.PATH}"
    sign = f"--key {example.bed.releases.keys / repository.APPROVER} --as {repository.APPROVER}"
    return [
        "A release, in that shell (v1 first; v2 is a good change of it, v3 a bad one of v2):",
        f"  for url in {gateways}; do while sleep 0.05; do \\",
        f"    curl -so /dev/null -H 'Host: {repository.HOST}' {url}; done & done",
        f"  cd {example.folder} && git checkout -q v1",
        f"  tidegate release {repository.SERVICE} --scan-report {repository.REPORT} --watch",
        f"  tidegate approve RELEASE {sign}     # in a second shell",
    ]


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
    first: list[str] = json.loads(_file(record).read_text())["first release"]
    return "\n".join((*lines, "", *first, ""))


def _file(record: Record) -> Path:
    return record.folder / "environment.json"
