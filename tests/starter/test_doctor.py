from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from sandbox.kubernetes.authorization import OWNER, STRANGER
from sandbox.platform import Platform
from tests.support.cli import Cli
from tests.support.cluster_client import kubeconfig as kubeconfig_of
from tests.support.sandbox import running_platform
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


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    """A sandbox's clusters and metrics, in this process."""
    async with running_platform(tmp_path / "platform") as running:
        yield running


def served(platform: Platform, directory: Path, user: str = OWNER, **changes: str) -> Any:
    """The sandbox's staging as a section of the connection file, seen by one of its users."""
    return {
        "kubeconfig": str(kubeconfig_of(directory, platform.clusters["staging"], user)),
        "context": "staging",
        "namespace": "staging",
        "prometheus": platform.prometheus_urls["staging"],
        **changes,
    }


async def examined(cli: Cli) -> dict[str, dict[str, Any]]:
    """Everything the doctor looks at, by name."""
    done = await cli.run("doctor", "--output", "json")
    assert done.err == ""
    found = {check["name"]: check for check in json.loads(done.out)}
    assert done.code == (0 if all(check["ok"] for check in found.values()) else 1)
    return found


async def failing(cli: Cli) -> dict[str, dict[str, Any]]:
    """What the doctor finds wrong, by name."""
    return {name: check for name, check in (await examined(cli)).items() if not check["ok"]}


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


async def test_a_cluster_that_is_well_is_told_by_its_namespace_rights_routes_and_metrics(
    cli: Cli, platform: Platform, tmp_path: Path
) -> None:
    cli.connect(environments={"staging": served(platform, tmp_path)})
    found = {name: one for name, one in (await examined(cli)).items() if name.startswith("staging")}
    assert [one for one in found.values() if not one["ok"]] == []
    assert found["staging cluster"]["sentence"].startswith("v1.")
    assert found["staging namespace"]["sentence"] == "staging is there"
    assert found["staging rights"]["sentence"] == "may do all that a release does"
    assert found["staging gateway"]["sentence"] == "HTTPRoutes are served: none yet"
    assert "is ready; no http_server_request" in found["staging metrics"]["sentence"]


async def test_a_namespace_that_does_not_exist_is_named_with_the_command_that_creates_it(
    cli: Cli, platform: Platform, tmp_path: Path
) -> None:
    cli.connect(environments={"staging": served(platform, tmp_path, namespace="stagign")})
    check = (await failing(cli))["staging namespace"]
    assert check["sentence"] == "stagign does not exist"
    assert check["fix"] == "kubectl create namespace stagign"


async def test_who_may_do_nothing_in_a_cluster_is_told_which_right_is_missing(
    cli: Cli, platform: Platform, tmp_path: Path
) -> None:
    cli.connect(environments={"staging": served(platform, tmp_path, STRANGER)})
    sentence = (await failing(cli))["staging cluster"]["sentence"]
    assert 'namespaces "staging" is forbidden' in sentence
    assert "grant get on namespaces" in sentence


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
