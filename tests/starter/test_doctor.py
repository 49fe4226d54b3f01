from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from tests.support.cli import Cli
from tests.support.temporal import BIN

NOWHERE = "127.0.0.1:1"


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    file = tmp_path / "kubeconfig"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"http://{NOWHERE}"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "staging", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "staging",
    }
    file.write_text(yaml.safe_dump(content))
    return file


def place(kubeconfig: Path, **changes: str) -> dict[str, Any]:
    prometheus = f"http://{NOWHERE}"
    return {
        "kubeconfig": str(kubeconfig),
        "context": "staging",
        "namespace": "staging",
        "prometheus": prometheus,
        **changes,
    }


async def failing(cli: Cli) -> dict[str, dict[str, Any]]:
    """What the doctor finds wrong, by name."""
    done = await cli.run("doctor", "--output", "json")
    assert done.err == ""
    found = {check["name"]: check for check in json.loads(done.out) if not check["ok"]}
    assert done.code == (1 if found else 0)
    return found


async def test_everything_that_does_not_answer_is_named_with_a_way_to_fix_it(
    cli: Cli, kubeconfig: Path, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("xoxb-1")
    cli.connect(
        environments={"staging": place(kubeconfig)},
        slack={"channel": "c", "token_file": str(token), "url": f"http://{NOWHERE}/api/"},
    )
    found = await failing(cli)
    names = ("temporal", f"registry {NOWHERE}", "slack", "staging cluster", "staging metrics")
    assert [name for name in names if name not in found] == []
    assert NOWHERE in found["temporal"]["sentence"]
    assert "[environments.staging]" in found["staging cluster"]["fix"]


async def test_a_missing_context_is_named_with_those_there_are(cli: Cli, kubeconfig: Path) -> None:
    cli.connect(environments={"staging": place(kubeconfig, context="stagign")})
    sentence = (await failing(cli))["staging cluster"]["sentence"]
    assert "no context 'stagign'" in sentence
    assert "did you mean 'staging'?" in sentence


async def test_a_missing_kubeconfig_token_file_and_policy_are_named(
    cli: Cli, tmp_path: Path
) -> None:
    cli.connect(
        environments={"staging": place(tmp_path / "none")},
        slack={"channel": "c", "token_file": str(tmp_path / "no-token")},
        policy={"repository": str(tmp_path / "no-policy")},
    )
    found = await failing(cli)
    assert str(tmp_path / "none") in found["staging cluster"]["sentence"]
    assert str(tmp_path / "no-token") in found["slack"]["sentence"]
    assert str(tmp_path / "no-policy") in found["policy"]["sentence"]


async def test_approvers_without_keys_cannot_approve(cli: Cli) -> None:
    approvers = (await failing(cli))["approvers"]
    assert "without key: alice, bob" in approvers["sentence"]


async def test_a_role_that_nobody_serves_says_which_worker_to_start(
    cli: Cli, temporal: Client
) -> None:
    found = await failing(cli)
    assert found["worker build"]["fix"] == "tidegate worker --role build"
    assert "search attributes" not in found


async def test_missing_search_attributes_are_named_with_the_command_that_adds_them(
    cli: Cli,
) -> None:
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(BIN / "temporal"), dev_server_log_level="never"
    ) as server:
        cli.connect(temporal={"address": server.client.service_client.config.target_host})
        check = (await failing(cli))["search attributes"]
        started = await cli.run("release", "album")
    assert "TidegateService" in check["sentence"]
    assert "search-attribute create" in check["fix"]
    assert (started.code, started.err.count("\n")) == (2, 1)
    assert "tidegate doctor" in started.err


async def test_in_text_every_failure_has_its_fix_below_and_a_sum_at_the_end(cli: Cli) -> None:
    done = await cli.run("doctor")
    assert "✘ temporal" in done.out
    assert done.out.splitlines()[-1].endswith("are well")
