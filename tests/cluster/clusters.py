"""How to reach a started cluster: everything is in its folder, so any process can."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import api, audit, kubeconfigs
from tests.cluster.api import Api
from tests.cluster.certificates import KeyPair

# May do everything.
ADMIN = "admin"
# One certificate each, so that the audit log tells our writers apart; they have the Role of
# `deployment/` in the environment's namespace, and nothing else.
WORKER, GUARDIAN, COMMANDS = "tidegate-worker", "tidegate-guardian", "tidegate-cli"
RELEASERS = (WORKER, GUARDIAN, COMMANDS)
# May do nothing at all: whoever asks as this user is forbidden.
STRANGER = "stranger"


@dataclass(frozen=True)
class Cluster:
    """One cluster; `name` is the environment, the context and the namespace."""

    name: str
    server: str
    folder: Path

    @property
    def authority(self) -> Path:
        """The certificate by which its server is known."""
        return self.certificates / "ca.crt"

    @property
    def certificates(self) -> Path:
        return self.folder / "certificates"

    @property
    def audit_log(self) -> Path:
        return self.folder / "audit.jsonl"

    def identity(self, user: str) -> kubeconfigs.Identity:
        """What a kubeconfig says of a user here."""
        return kubeconfigs.Identity(self.name, user, self.server, self.authority, self._pair(user))

    def kubeconfig(self, user: str = ADMIN) -> Path:
        """A kubeconfig with this cluster alone."""
        return self.folder / "kubeconfigs" / f"{user}.yaml"

    def api(self, user: str = ADMIN, agent: str = "test-bed") -> AbstractAsyncContextManager[Api]:
        """Its API as that user, in an `async with`."""
        return api.connected(self.server, self.authority, self._pair(user), agent)

    def audited(self, user: str) -> Iterator[audit.Entry]:
        """What that user asked for so far, oldest first."""
        return (one for one in audit.entries(self.audit_log) if one.user == user)

    def _pair(self, user: str) -> KeyPair:
        named = self.certificates / user
        return KeyPair(named.with_suffix(".crt"), named.with_suffix(".key"))


@dataclass(frozen=True)
class Clusters:
    """Staging and production, and the files by which one process reaches both."""

    folder: Path
    staging: Cluster
    production: Cluster

    def __iter__(self) -> Iterator[Cluster]:
        return iter((self.staging, self.production))

    def kubeconfig(self, user: str = ADMIN) -> Path:
        """A kubeconfig with the contexts `staging` and `production`."""
        return self.folder / "kubeconfigs" / f"{user}.yaml"

    def connection_sections(self, prometheus: Mapping[str, str], user: str = WORKER) -> str:
        """TOML `[environments.*]` for Tidegate's connection file, with each one's metrics URL."""
        lines: list[str] = []
        for cluster in self:
            values = {
                "kubeconfig": str(self.kubeconfig(user)),
                "context": cluster.name,
                "namespace": cluster.name,
                "prometheus": prometheus[cluster.name],
            }
            # A TOML basic string has the escapes of JSON.
            lines += [f"[environments.{cluster.name}]"]
            lines += [f"{name} = {json.dumps(value)}" for name, value in values.items()]
        return "\n".join(lines) + "\n"

    def write_kubeconfigs(self) -> None:
        """Write every file that `kubeconfig` names, here and of each cluster."""
        for user in (ADMIN, *RELEASERS, STRANGER):
            kubeconfigs.write(self.kubeconfig(user), [one.identity(user) for one in self])
            for cluster in self:
                kubeconfigs.write(cluster.kubeconfig(user), [cluster.identity(user)])

    def to_json(self) -> str:
        servers = {cluster.name: cluster.server for cluster in self}
        return json.dumps({"folder": str(self.folder), "servers": servers})

    @classmethod
    def from_json(cls, text: str) -> Clusters:
        """The clusters that another process started."""
        content = json.loads(text)
        folder = Path(content["folder"])
        return cls(
            folder,
            *(
                Cluster(name, content["servers"][name], folder / name)
                for name in ("staging", "production")
            ),
        )
