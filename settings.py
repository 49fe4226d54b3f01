"""Everything that comes from the process's surroundings: the connection file and the environment.

The only file that reads the environment; `worker.py` and the commands hand its values on.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from clients.files import read_file
from domain.environments import Environment
from domain.errors import PermanentFailure
from domain.metrics.places import PrometheusPlace, SourcePlace, Url
from domain.quantities import PositiveDuration
from domain.records import Record

CONFIG_VARIABLE = "TIDEGATE_CONFIG"
DEFAULT_CONFIG = Path(".tidegate/tidegate.toml")
IN_CLUSTER_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class TlsSettings(Record):
    """TLS towards Temporal; empty is TLS with the machine's roots, a client certificate is mTLS."""

    server_ca: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    server_name: str | None = None


class TemporalSettings(Record):
    """Where Temporal is and how to speak to it; secrets are named by file."""

    address: str = "127.0.0.1:7233"
    namespace: str = "default"
    ui: str | None = None
    tls: TlsSettings | None = None
    api_key_file: Path | None = None
    encryption_key_file: Path | None = None


class PolicySettings(Record):
    """The organisation's policy: a file at a protected git ref."""

    repository: str
    ref: str = "main"
    path: str = "policy.yaml"


class RegistrySettings(Record):
    """Image registries: the default host, and those spoken to without TLS."""

    default: str | None = None
    plain_http: tuple[str, ...] = ()
    docker_config: Path | None = None


class SlackSettings(Record):
    """The team's channel; the token is read from a file."""

    channel: str
    token_file: Path
    url: str | None = None


class ClusterSettings(Record):
    """One environment's cluster and its metrics: `prometheus` is short for a table `metrics`."""

    kubeconfig: Path | None = Field(default=None, description="absent: in-cluster credentials")
    context: str | None = None
    namespace: str
    prometheus: Url | None = None
    metrics: SourcePlace | None = None
    scrape: PositiveDuration = timedelta(seconds=10)

    @model_validator(mode="after")
    def _one_source(self) -> ClusterSettings:
        if (self.prometheus is None) == (self.metrics is None):
            raise ValueError(
                'say where the metrics are: either prometheus = "http://..." or a table metrics'
            )
        return self

    @property
    def source(self) -> SourcePlace:
        """Where the environment's metrics are."""
        if self.prometheus is not None:
            return PrometheusPlace(url=self.prometheus)
        if self.metrics is None:
            raise PermanentFailure(f"no source of metrics is configured for {self.namespace}")
        return self.metrics


class BuildSettings(Record):
    """What the build role uses."""

    wheelhouse: Path | None = None
    docker_host: str | None = None
    cache: Path = Path("~/.cache/tidegate")


class Settings(Record):
    """The connection file, validated."""

    temporal: TemporalSettings = TemporalSettings()
    policy: PolicySettings | None = None
    registry: RegistrySettings = RegistrySettings()
    slack: SlackSettings | None = None
    environments: dict[Environment, ClusterSettings] = Field(default_factory=dict)
    build: BuildSettings = BuildSettings()

    def cluster(self, environment: Environment) -> ClusterSettings:
        """An environment's cluster; PermanentFailure when the file does not name it."""
        if environment not in self.environments:
            raise PermanentFailure(
                f"no cluster is configured for {environment}; add [environments.{environment}] to "
                f"the connection file ({config_path()})"
            )
        return self.environments[environment]

    def policy_place(self) -> PolicySettings:
        """Where the policy is; PermanentFailure when nobody said."""
        if self.policy is None:
            raise PermanentFailure(
                f"no organisation policy is configured; add [policy] to {config_path()}"
            )
        return self.policy


def config_path() -> Path:
    """The connection file: $TIDEGATE_CONFIG, else `.tidegate/tidegate.toml` here."""
    return Path(os.environ.get(CONFIG_VARIABLE, DEFAULT_CONFIG))


def load(path: Path | None = None) -> Settings:
    """Read the connection file; PermanentFailure naming the file and what is wrong in it."""
    path = path or config_path()
    try:
        data: dict[str, Any] = tomllib.loads(read_file(path).decode())
    except FileNotFoundError:
        raise PermanentFailure(
            f"there is no connection file {path}; start `tidegate sandbox up`, or write one and "
            f"name it by {CONFIG_VARIABLE}"
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PermanentFailure(f"connection file {path} cannot be read: {error}") from error
    try:
        settings = Settings.model_validate(data)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise PermanentFailure(f"connection file {path}: {problems}") from error
    build = settings.build.with_(cache=settings.build.cache.expanduser())
    return settings.with_(build=build)


def visible_cluster_credentials(settings: Settings) -> tuple[str, ...]:
    """Every way in which this process could reach a cluster; the build role must have none."""
    found = [f"[environments.{name}] in {config_path()}" for name in settings.environments]
    found += ["$KUBECONFIG"] if os.environ.get("KUBECONFIG") else []
    home = Path("~/.kube/config").expanduser()
    found += [str(path) for path in (home, IN_CLUSTER_TOKEN) if path.exists()]
    return tuple(found)


def process_environment() -> Mapping[str, str]:
    """This process's environment, for programs that are shown some of it."""
    return os.environ


def docker_credentials() -> Path:
    """Docker's credentials file: $DOCKER_CONFIG/config.json, else the home directory's."""
    return Path(os.environ.get("DOCKER_CONFIG", "~/.docker")).expanduser() / "config.json"


def ssh_agent() -> str | None:
    """The running SSH agent's socket, if there is one."""
    return os.environ.get("SSH_AUTH_SOCK")
