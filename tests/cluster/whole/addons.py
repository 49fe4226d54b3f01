"""What a cluster has beside Kubernetes: names for pods, a gateway, and Prometheus.

They are programs in the cluster's network, not pods: a bed is ready sooner, and their logs are
files. What they are to pods and users is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import traefik
from tests.cluster.programs import program
from tests.cluster.whole.addresses import (
    GATEWAY_PORT,
    KUBELET_PORT,
    PROMETHEUS_PORT,
    STATE_METRICS_PORT,
    TRAEFIK_PORT,
    Addresses,
)
from tests.cluster.whole.control_plane import Credentials, flags
from tests.cluster.whole.enclosure import Enclosure

SCRAPE_SECONDS = 1


@dataclass(frozen=True)
class Addons:
    """Starts them; `namespace` is the environment's."""

    namespace: str
    enclosure: Enclosure
    addresses: Addresses
    credentials: Credentials

    def start_names(self) -> None:
        """CoreDNS: Services and pods by name; every other name does not exist."""
        account = self.credentials.kubeconfig("coredns")
        file = self.enclosure.folder / "Corefile"
        file.write_text(_COREFILE.format(address=self.addresses.node, kubeconfig=account))
        self.enclosure.start("coredns", [program("coredns"), "-conf", file])

    def start_gateway(self) -> None:
        """Traefik as the controller of the Gateway API, whose kinds must be known."""
        ports = {"web": GATEWAY_PORT, "metrics": TRAEFIK_PORT}
        settings = {
            **traefik.settings(self.addresses.node, ports),
            "metrics": {"prometheus": {"entryPoint": "metrics", "addServicesLabels": True}},
            "ping": {"entryPoint": "metrics"},
        }
        file = self._written("traefik.yaml", settings)
        account = {"KUBECONFIG": str(self.credentials.kubeconfig("traefik"))}
        self.enclosure.start("traefik", [traefik.traefik(), f"--configFile={file}"], account)

    def start_metrics(self) -> None:
        """kube-state-metrics, and Prometheus that finds pods by itself."""
        states: dict[str, object] = {
            "kubeconfig": self.credentials.kubeconfig("kube-state-metrics"),
            "resources": "pods",
            "metric-allowlist": "kube_pod_.*",
            "host": self.addresses.node,
            "port": STATE_METRICS_PORT,
            "telemetry-host": "127.0.0.1",
        }
        self.enclosure.start("kube-state-metrics", [program("kube-state-metrics"), *flags(states)])
        self.start_prometheus()

    def kill_prometheus(self) -> None:
        """As an out-of-memory killer would; what it had written stays."""
        self.enclosure.kill("prometheus")

    def start_prometheus(self) -> None:
        """Prometheus alone; with what a killed one had written."""
        settings: dict[str, object] = {
            "config.file": self._written("prometheus.yaml", self._prometheus()),
            "storage.tsdb.path": self.enclosure.folder / "prometheus",
            "web.listen-address": f"{self.addresses.node}:{PROMETHEUS_PORT}",
        }
        self.enclosure.start("prometheus", [program("prometheus"), *flags(settings)])

    def objects(self) -> list[tuple[str, dict[str, Any]]]:
        """What the addons need in the API: collection's path and manifest, in order."""
        return [
            *self._names(),
            traefik.gateway_class(),
            traefik.gateway(self.namespace, GATEWAY_PORT),
        ]

    def _names(self) -> list[tuple[str, dict[str, Any]]]:
        """The Service that pods ask: without a selector, its endpoint is CoreDNS outside."""
        ports = [{"name": name, "port": 53, "protocol": name.upper()} for name in ("udp", "tcp")]
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "kube-dns"},
            "spec": {"clusterIP": self.addresses.dns, "ports": ports},
        }
        endpoints = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "kube-dns",
                "labels": {"kubernetes.io/service-name": "kube-dns"},
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": [self.addresses.node], "conditions": {"ready": True}}],
            "ports": ports,
        }
        return [
            ("api/v1/namespaces/kube-system/services", service),
            ("apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices", endpoints),
        ]

    def _prometheus(self) -> dict[str, Any]:
        account = self.credentials.kubeconfig("prometheus")
        pair = self.credentials.pair("prometheus-scrape")
        kubelet = {
            "scheme": "https",
            "tls_config": {
                # The kubelet signs its own serving certificate.
                "insecure_skip_verify": True,
                "cert_file": str(pair.certificate),
                "key_file": str(pair.key),
            },
            "static_configs": [{"targets": [f"{self.addresses.node}:{KUBELET_PORT}"]}],
        }
        return {
            "global": {"scrape_interval": f"{SCRAPE_SECONDS}s"},
            "scrape_configs": [
                {
                    "job_name": "pods",
                    "kubernetes_sd_configs": [{"role": "pod", "kubeconfig_file": str(account)}],
                    "relabel_configs": _POD_LABELS,
                },
                {
                    "job_name": "kube-state-metrics",
                    # Its namespace and pod are those it speaks of, not its own.
                    "honor_labels": True,
                    "static_configs": [
                        {"targets": [f"{self.addresses.node}:{STATE_METRICS_PORT}"]}
                    ],
                },
                {"job_name": "cadvisor", "metrics_path": "/metrics/cadvisor", **kubelet},
                {
                    "job_name": "traefik",
                    "static_configs": [{"targets": [f"{self.addresses.node}:{TRAEFIK_PORT}"]}],
                },
            ],
        }

    def _written(self, name: str, content: dict[str, Any]) -> Path:
        file = self.enclosure.folder / name
        file.write_text(yaml.safe_dump(content, sort_keys=False))
        return file


_META = "__meta_kubernetes"
_POD_LABELS = [
    {"source_labels": [f"{_META}_pod_container_port_name"], "regex": "http", "action": "keep"},
    {"source_labels": [f"{_META}_pod_phase"], "regex": "Running", "action": "keep"},
    {"source_labels": [f"{_META}_namespace"], "target_label": "namespace"},
    {"source_labels": [f"{_META}_pod_name"], "target_label": "pod"},
    {"source_labels": [f"{_META}_pod_container_name"], "target_label": "container"},
    {"source_labels": [f"{_META}_pod_label_app"], "target_label": "app"},
]
_COREFILE = """cluster.local in-addr.arpa {{
  bind {address}
  errors
  kubernetes {{
    kubeconfig {kubeconfig}
    pods insecure
  }}
}}
. {{
  bind {address}
  errors
  template ANY ANY {{
    rcode NXDOMAIN
  }}
}}
"""
