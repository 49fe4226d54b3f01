"""Committed histories: where they lie, how they are written once, and how they are read back.

A history is Temporal's own JSON (what `temporal workflow show --output json` prints), gzipped, at
`histories/<day>/<story>/<workflow id>.json.gz`; the workflow's type is in its first event.
"""

from __future__ import annotations

import gzip
import json
import re
from base64 import b64decode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from temporalio.client import WorkflowHistory

from domain.errors import PermanentFailure

FOLDER = Path(__file__).parent / "histories"
LISTED = Path(__file__).parent / "histories.sha256"
SUFFIX = ".json.gz"
# A worker's identity is `process@host`; its sticky queue carries it too.
IDENTITY = re.compile(r"\b\d+@[\w.-]+")


class Address(NamedTuple):
    """Where one history lies."""

    day: str
    story: str
    workflow_id: str

    @property
    def path(self) -> Path:
        """Its file."""
        return FOLDER / self.day / self.story / f"{self.workflow_id}{SUFFIX}"

    def __str__(self) -> str:
        return "/".join(self)


def recorded() -> list[Address]:
    """Every history that lies in the folder, in order."""
    files = sorted(FOLDER.glob(f"*/*/*{SUFFIX}"))
    return [
        Address(file.parts[-3], file.parts[-2], file.name.removesuffix(SUFFIX)) for file in files
    ]


def read(address: Address) -> WorkflowHistory:
    """The history as the replayer takes it."""
    return WorkflowHistory.from_json(address.workflow_id, read_json(address))


def read_json(address: Address) -> dict[str, Any]:
    """The history as JSON: `{"events": [...]}`."""
    history: dict[str, Any] = json.loads(gzip.decompress(address.path.read_bytes()))
    return history


def write(address: Address, history: WorkflowHistory) -> None:
    """Store a history for ever and list its digest; PermanentFailure when there is one already."""
    content = json.dumps(impersonal(json.loads(history.to_json())), separators=(",", ":"))
    packed = gzip.compress(content.encode(), mtime=0)
    address.path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with address.path.open("xb") as file:
            file.write(packed)
    except FileExistsError as exists:
        raise PermanentFailure(
            f"{address} is recorded already; histories are frozen: record under another day"
        ) from exists
    with LISTED.open("a") as listed:
        listed.write(f"{digest(packed)}  {relative(address.path)}\n")


def listed() -> dict[str, str]:
    """Path below the folder -> SHA-256 of its content, as `sha256sum` writes it."""
    lines = LISTED.read_text().splitlines() if LISTED.exists() else []
    pairs = (line.split("  ", 1) for line in lines)
    return {path: found for found, path in pairs}


def relative(path: Path) -> str:
    """The path as it is listed."""
    return path.relative_to(LISTED.parent).as_posix()


def digest(content: bytes) -> str:
    """SHA-256 in hex."""
    return sha256(content).hexdigest()


def impersonal(value: Any) -> Any:
    """The same history without the recording machine: no host name, no stack traces."""
    match value:
        case dict():
            return {k: impersonal(v) for k, v in value.items() if k != "stackTrace"}
        case list():
            return [impersonal(item) for item in value]
        case str():
            return IDENTITY.sub("recorder", value)
    return value


def payloads(value: Any) -> Iterator[bytes]:
    """The content of every payload anywhere in a history."""
    match value:
        case {"metadata": {"encoding": _}, "data": str(data)}:
            yield b64decode(data)
        case dict():
            for item in value.values():
                yield from payloads(item)
        case list():
            for item in value:
                yield from payloads(item)
