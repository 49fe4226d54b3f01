"""The one node of a cluster: containerd, kubelet, kube-proxy, and how pods get their network."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import cache
from tests.cluster.programs import program
from tests.cluster.whole import debian
from tests.cluster.whole.addresses import KUBELET_PORT, REGISTRY, Addresses
from tests.cluster.whole.control_plane import Credentials, flags
from tests.cluster.whole.enclosure import Enclosure
from tests.cluster.whole.images import PAUSE

_BRIDGE = "pods"
_IPTABLES = ("iptables", "iptables-save", "iptables-restore")
_CRI = "io.containerd.cri.v1"


@dataclass(frozen=True)
class Node:
    """Starts the node's programs; `group` is the tree of control groups its pods get theirs in."""

    name: str
    enclosure: Enclosure
    addresses: Addresses
    credentials: Credentials
    group: str

    @property
    def socket(self) -> Path:
        """Where containerd is spoken to; it exists when it can be."""
        return self.enclosure.folder / "containerd" / "containerd.sock"

    def start_containers(self) -> None:
        """containerd, with networks for pods and the bed's registry as the only one."""
        folder = self.socket.parent
        mirror = folder / "certs.d" / REGISTRY
        mirror.mkdir(parents=True)
        (mirror / "hosts.toml").write_text(_HOSTS.format(registry=REGISTRY))
        networks = folder / "networks"
        networks.mkdir()
        (networks / "10-pods.conflist").write_text(json.dumps(self._network()))
        file = folder / "config.toml"
        file.write_text(
            _CONTAINERD.format(
                folder=folder,
                socket=self.socket,
                pause=f"{REGISTRY}/{PAUSE}:1",
                plugins=debian.unpacked(debian.NODE) / "usr/lib/cni",
                networks=networks,
                runc=debian.unpacked(debian.NODE) / "usr/sbin/runc",
                images=f"{_CRI}.images",
                runtime=f"{_CRI}.runtime",
            )
        )
        command = [program("containerd"), f"--config={file}"]
        self.enclosure.start("containerd", command, self._environment())

    def start_kubelet(self) -> None:
        """kubelet and kube-proxy; the API server and containerd must answer."""
        folder = self.enclosure.folder
        (folder / "resolv.conf").write_text(f"nameserver {self.addresses.node}\n")
        settings = {
            "config": _written(folder / "kubelet.yaml", self._kubelet()),
            "kubeconfig": self.credentials.kubeconfig(f"system:node:{self.name}", _NODES),
            "hostname-override": self.name,
            "node-ip": self.addresses.node,
            "root-dir": folder / "kubelet",
            "cert-dir": folder / "kubelet-pki",
            # cadvisor's own connection; without it its series have no pod labels.
            "containerd": self.socket,
        }
        environment = self._environment()
        self.enclosure.start("kubelet", [program("kubelet"), *flags(settings)], environment)
        proxy = _written(folder / "kube-proxy.yaml", self._proxy())
        command = [program("kube-proxy"), f"--config={proxy}"]
        self.enclosure.start("kube-proxy", command, environment)

    def _environment(self) -> dict[str, str]:
        root = debian.unpacked(debian.NODE)
        folders = (*root.glob("usr/lib/*-linux-gnu"), *root.glob("lib/*-linux-gnu"))
        libraries = list(map(str, folders))
        programs = (program("containerd-shim-runc-v2").parent, _links(root), root / "usr/sbin")
        return {
            "PATH": ":".join((*map(str, programs), os.environ.get("PATH", os.defpath))),
            "LD_LIBRARY_PATH": ":".join(libraries),
            "XTABLES_LIBDIR": ":".join(f"{path}/xtables" for path in libraries),
        }

    def _network(self) -> dict[str, Any]:
        addresses = {
            "type": "host-local",
            "dataDir": str(self.socket.parent / "addresses"),
            "ranges": [[{"subnet": self.addresses.node_pods}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        }
        bridge = {
            "type": "bridge",
            "bridge": _BRIDGE,
            "isGateway": True,
            "ipMasq": False,
            "hairpinMode": True,
            "ipam": addresses,
        }
        ports = {"type": "portmap", "capabilities": {"portMappings": True}}
        return {"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge, ports]}

    def _kubelet(self) -> dict[str, Any]:
        folder = self.enclosure.folder
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.addresses.node,
            "port": KUBELET_PORT,
            "healthzPort": 0,
            "readOnlyPort": 0,
            "failCgroupV1": False,
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.group}",
            # The machine's kernel settings stay as they are: the kubelet is told not to insist.
            "featureGates": {"KubeletInUserNamespace": True},
            "oomScoreAdj": 0,
            "failSwapOn": False,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(self.credentials.authority)},
            },
            "authorization": {"mode": "Webhook"},
            "containerRuntimeEndpoint": f"unix://{self.socket}",
            "resolvConf": str(folder / "resolv.conf"),
            "podLogsDir": str(folder / "pods"),
            "volumePluginDir": str(folder / "volume-plugins"),
            "clusterDomain": "cluster.local",
            "clusterDNS": [self.addresses.dns],
            "nodeStatusUpdateFrequency": "4s",
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
            "serializeImagePulls": False,
            # As the rehearsal clock does with a canary's minutes: 10 s, 20 s, 40 s ... become 2 s.
            "crashLoopBackOff": {"maxContainerRestartPeriod": "2s"},
            "imagePullCredentialsVerificationPolicy": "NeverVerify",
        }

    def _proxy(self) -> dict[str, Any]:
        account = self.credentials.kubeconfig("system:kube-proxy", ())
        return {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "clientConnection": {"kubeconfig": str(account)},
            "hostnameOverride": self.name,
            "clusterCIDR": self.addresses.pods,
            "bindAddress": self.addresses.node,
            "healthzBindAddress": "127.0.0.1:10256",
            "metricsBindAddress": "127.0.0.1:10249",
            "conntrack": {"maxPerCore": 0, "min": 0},
        }


def _links(root: Path) -> Path:
    """A folder with iptables under its usual names, which installing would have made."""

    def link(half: Path) -> None:
        for family in ("", "6"):
            for name in _IPTABLES:
                named = half / name.replace("ip", f"ip{family}", 1)
                named.symlink_to(root / "usr/sbin/xtables-nft-multi")

    return cache.made_once(root.with_name(f"{root.name}-links"), link)


def _written(file: Path, content: dict[str, Any]) -> Path:
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return file


_NODES = ("system:nodes",)
_HOSTS = """server = "http://{registry}"
[host."http://{registry}"]
  capabilities = ["pull", "resolve"]
"""
_CONTAINERD = """version = 3
root = "{folder}/root"
state = "{folder}/state"
[grpc]
  address = "{socket}"
[ttrpc]
  address = "{socket}.ttrpc"
# Its socket has one fixed place on the whole machine.
[plugins."io.containerd.nri.v1.nri"]
  disable = true
[plugins."{images}"]
  snapshotter = "overlayfs"
  [plugins."{images}".pinned_images]
    sandbox = "{pause}"
  [plugins."{images}".registry]
    config_path = "{folder}/certs.d"
[plugins."{runtime}"]
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  disable_apparmor = true
  [plugins."{runtime}".cni]
    bin_dirs = ["{plugins}"]
    conf_dir = "{networks}"
  [plugins."{runtime}".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."{runtime}".containerd.runtimes.runc.options]
      BinaryName = "{runc}"
      SystemdCgroup = false
"""
