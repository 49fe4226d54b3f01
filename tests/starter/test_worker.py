from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from temporalio.client import Client

from tests.support.cli import Cli


def kubeconfig(path: Path) -> Path:
    """A kubeconfig with the one context `staging`, whose server nobody reaches."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "staging", "context": {"cluster": "c", "user": "u"}}],
    }
    path.write_text(yaml.safe_dump(content))
    return path


def connect(cli: Cli, file: Path, context: str) -> None:
    place = {"namespace": "staging", "prometheus": "http://127.0.0.1:1"}
    cli.connect(environments={"staging": {**place, "kubeconfig": str(file), "context": context}})


@pytest.mark.parametrize(
    ("exists", "context", "said"),
    [
        (True, "stagign", "no context 'stagign'; did you mean 'staging'?"),
        (False, "staging", "there is no kubeconfig"),
    ],
)
async def test_a_worker_without_the_way_to_its_cluster_is_one_message(
    cli: Cli, silent_temporal: Client, tmp_path: Path, exists: bool, context: str, said: str
) -> None:
    file = kubeconfig(tmp_path / "kubeconfig") if exists else tmp_path / "none"
    connect(cli, file, context)
    done = await cli.spawn("worker", "--role", "cluster-staging")
    assert done.code == 4, done.err
    assert said in done.err
    assert str(file) in done.err
    assert done.err.count("\n") == 1


async def test_a_worker_of_an_environment_that_is_not_configured_is_bad_input(
    cli: Cli, silent_temporal: Client
) -> None:
    done = await cli.spawn("worker", "--role", "cluster-production")
    assert done.code == 2
    assert "[environments.production]" in done.err


async def test_a_worker_without_temporal_is_unreachable(cli: Cli) -> None:
    done = await cli.spawn("worker", "--role", "control")
    assert (done.code, done.err.count("\n")) == (3, 1)
    assert "Temporal does not answer at 127.0.0.1:1" in done.err
