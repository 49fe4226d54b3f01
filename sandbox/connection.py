"""The files by which others find the sandbox: kubeconfig, token, connection sections, urls."""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


def kubeconfig(clusters: list[dict[str, Any]]) -> str:
    """One kubeconfig (YAML) out of one per cluster; the first one's context is the current."""
    merged: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "preferences": {}}
    for part in ("clusters", "users", "contexts"):
        merged[part] = [entry for cluster in clusters for entry in cluster[part]]
    merged["current-context"] = clusters[0]["current-context"]
    return yaml.safe_dump(merged, sort_keys=False)


@dataclass(frozen=True)
class SlackEntry:
    """Where the Slack sink listens, the channel, and the file with its token."""

    url: str
    channel: str
    token_file: Path


def connection_sections(
    *,
    registry: str,
    slack: SlackEntry,
    kubeconfig_file: Path,
    prometheus: dict[str, str],
    scrape_seconds: float,
) -> str:
    """TOML of a connection file but for `[temporal]` and `[policy]`, which the caller adds.

    `registry` is host:port; `prometheus` maps an environment to its URL; the environment's context
    and namespace have its own name.
    """
    lines = [
        "[registry]",
        f"default = {_text(registry)}",
        f"plain_http = [{_text(registry)}]",
        "",
        "[slack]",
        f"url = {_text(slack.url)}",
        f"channel = {_text(slack.channel)}",
        f"token_file = {_text(str(slack.token_file))}",
    ]
    for environment, url in prometheus.items():
        lines += [
            "",
            f"[environments.{environment}]",
            f"kubeconfig = {_text(str(kubeconfig_file))}",
            f"context = {_text(environment)}",
            f"namespace = {_text(environment)}",
            f"prometheus = {_text(url)}",
            f'scrape = "{scrape_seconds * 1000:g}ms"',
        ]
    return "\n".join(lines) + "\n"


def write_file(path: Path, content: str, *, private: bool = False) -> None:
    """Put a file in place as a whole: a reader sees the old one or the new one."""
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    mode = 0o600 if private else 0o644
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(content)
    beside.replace(path)


def _text(value: str) -> str:
    """A TOML basic string: its escapes are those of JSON."""
    return json.dumps(value)
