"""etcd, API server, controller manager and scheduler of one cluster, on its own addresses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.cluster import audit, kubeconfigs
from tests.cluster.certificates import Authority, KeyPair
from tests.cluster.programs import program
from tests.cluster.whole.addresses import API_PORT, ETCD_PEER_PORT, ETCD_PORT, Addresses
from tests.cluster.whole.enclosure import Enclosure

MASTERS = ("system:masters",)


class Credentials:
    """One cluster's authority, and the kubeconfigs of those it signed for."""

    def __init__(self, name: str, addresses: Addresses, folder: Path) -> None:
        self.name = name
        self.folder = folder / "pki"
        self._addresses = addresses
        self._authority = Authority(self.folder, f"{name}-ca")
        names = (addresses.node, addresses.api_service, "127.0.0.1", "kubernetes.default.svc")
        self.server = self._authority.server("apiserver", names)
        self.accounts = self._authority.signing_key("service-accounts")

    @property
    def authority(self) -> Path:
        """The authority's certificate."""
        return self._authority.certificate

    def pair(self, user: str, groups: tuple[str, ...] = MASTERS) -> KeyPair:
        """A new certificate for a user of the API server."""
        return self._authority.client(user, groups)

    def identity(self, user: str, groups: tuple[str, ...] = MASTERS) -> kubeconfigs.Identity:
        """Who that user is, for a kubeconfig; its context is named like the cluster."""
        pair = self.pair(user, groups)
        return kubeconfigs.Identity(self.name, user, self._addresses.api, self.authority, pair)

    def kubeconfig(self, user: str, groups: tuple[str, ...] = MASTERS) -> Path:
        """A kubeconfig of its own for a component, so that the audit log tells them apart."""
        file = self.folder / f"{user.replace(':', '-')}.kubeconfig"
        return kubeconfigs.write(file, [self.identity(user, groups)])


@dataclass(frozen=True)
class ControlPlane:
    """Starts the four programs; the last two need an API server that answers."""

    enclosure: Enclosure
    addresses: Addresses
    credentials: Credentials

    @property
    def audit_log(self) -> Path:
        """Where the API server writes down every request."""
        return self.enclosure.folder / "audit.log"

    def start_api(self) -> None:
        """etcd and the API server, which waits for it."""
        folder = self.enclosure.folder
        store, peers = (f"http://127.0.0.1:{port}" for port in (ETCD_PORT, ETCD_PEER_PORT))
        etcd = {
            "data-dir": folder / "etcd",
            "listen-client-urls": store,
            "advertise-client-urls": store,
            "listen-peer-urls": peers,
            "initial-advertise-peer-urls": peers,
            "initial-cluster": f"default={peers}",
            "log-level": "error",
            "unsafe-no-fsync": "true",
        }
        self.enclosure.start("etcd", [program("etcd"), *flags(etcd)])
        policy = folder / "audit-policy.yaml"
        policy.write_text(yaml.safe_dump(audit.POLICY))
        self.enclosure.start(
            "kube-apiserver", [program("kube-apiserver"), *flags(self._api(store, policy))]
        )

    def _api(self, store: str, policy: Path) -> dict[str, object]:
        kubelet = self.credentials.pair("kube-apiserver")
        return {
            "etcd-servers": store,
            "secure-port": API_PORT,
            "bind-address": self.addresses.node,
            "advertise-address": self.addresses.node,
            "tls-cert-file": self.credentials.server.certificate,
            "tls-private-key-file": self.credentials.server.key,
            "cert-dir": self.enclosure.folder / "apiserver",
            "client-ca-file": self.credentials.authority,
            "kubelet-client-certificate": kubelet.certificate,
            "kubelet-client-key": kubelet.key,
            "kubelet-preferred-address-types": "InternalIP",
            "service-account-key-file": self.credentials.accounts,
            "service-account-signing-key-file": self.credentials.accounts,
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-cluster-ip-range": self.addresses.services,
            "authorization-mode": "Node,RBAC",
            "allow-privileged": "true",
            "audit-policy-file": policy,
            "audit-log-path": self.audit_log,
        }

    def start_controllers(self) -> None:
        """Controller manager and scheduler."""
        folder = self.enclosure.folder
        shared = {"leader-elect": "false", "bind-address": "127.0.0.1"}
        manager = {
            **shared,
            "kubeconfig": self.credentials.kubeconfig("kube-controller-manager"),
            "service-account-private-key-file": self.credentials.accounts,
            "root-ca-file": self.credentials.authority,
            "use-service-account-credentials": "true",
            "cert-dir": folder / "controller-manager",
            "flex-volume-plugin-dir": folder / "volume-plugins",
            "allocate-node-cidrs": "true",
            "cluster-cidr": self.addresses.pods,
            "service-cluster-ip-range": self.addresses.services,
        }
        name = "kube-controller-manager"
        self.enclosure.start(name, [program(name), *flags(manager)])
        scheduler = {
            **shared,
            "kubeconfig": self.credentials.kubeconfig("kube-scheduler"),
            "cert-dir": folder / "scheduler",
        }
        self.enclosure.start("kube-scheduler", [program("kube-scheduler"), *flags(scheduler)])


def flags(settings: dict[str, object]) -> list[str]:
    """`--name=value` for each."""
    return [f"--{name}={value}" for name, value in settings.items()]
