"""Real servers behind TLS with credentials: Prometheus, VictoriaMetrics, and vmauth by a token."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from domain.metrics.places import PrometheusPlace
from tests.cluster import ports
from tests.cluster.certificates import Authority, KeyPair
from tests.cluster.processes import Processes
from tests.cluster.programs import program
from tests.sources.servers import ready

LOCKED = {"prometheus": "prometheus", "victoriametrics": "victoria-metrics", "vmauth": "vmauth"}
USER, PASSWORD, TOKEN = "tidegate", "s3cret-password", "s3cret-token"
# Of PASSWORD, as Prometheus wants it: bcrypt, cost 4.
_HASH = "$2b$04$3eg8BpC93i0gl4VsyOGWRuKbD/Q19pZ7fATMgJ812HZYEuSmY2gHm"

_BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@contextmanager
def locked(server: str, folder: Path) -> Iterator[PrometheusPlace]:
    """One of them, and the place by which it lets our client in."""
    authority = Authority(folder / "authority", "metrics")
    pair = authority.server("metrics", [ports.HOST])
    (port,) = ports.free(1)
    secret = folder / "secret"
    secret.write_text(TOKEN if server == "vmauth" else f"{USER}:{PASSWORD}")
    trust = ssl.create_default_context(cafile=str(authority.certificate))
    with Processes(folder / "processes") as processes:
        starts = {
            "prometheus": _prometheus,
            "victoriametrics": _victoriametrics,
            "vmauth": _vmauth,
        }
        starts[server](processes, port, pair, trust)
        url = f"https://{ports.HOST}:{port}"
        ready(processes, f"{url}/-/ready", trust, _BASIC)
        place = PrometheusPlace(url=url, ca_file=authority.certificate)
        told = "bearer_token_file" if server == "vmauth" else "basic_auth_file"
        yield place.model_copy(update={told: secret})


def _prometheus(processes: Processes, port: int, pair: KeyPair, _: ssl.SSLContext) -> None:
    web = processes.folder / "web.yaml"
    tls = {"cert_file": str(pair.certificate), "key_file": str(pair.key)}
    users = {"tls_server_config": tls, "basic_auth_users": {USER: _HASH}}
    web.write_text(yaml.safe_dump(users))
    settings = processes.folder / "prometheus.yaml"
    settings.write_text("{}")
    processes.start(
        "prometheus",
        [
            program("prometheus"),
            f"--config.file={settings}",
            f"--web.config.file={web}",
            f"--storage.tsdb.path={processes.folder / 'data'}",
            f"--web.listen-address={ports.HOST}:{port}",
            "--log.level=error",
        ],
    )


def _victoriametrics(processes: Processes, port: int, pair: KeyPair, _: ssl.SSLContext) -> None:
    processes.start(
        "victoria-metrics",
        [
            program("victoria-metrics"),
            f"-storageDataPath={processes.folder / 'data'}",
            f"-httpListenAddr={ports.HOST}:{port}",
            "-tls",
            f"-tlsCertFile={pair.certificate}",
            f"-tlsKeyFile={pair.key}",
            f"-httpAuth.username={USER}",
            f"-httpAuth.password={PASSWORD}",
            "-loggerLevel=ERROR",
        ],
    )


def _vmauth(processes: Processes, port: int, pair: KeyPair, trust: ssl.SSLContext) -> None:
    (behind,) = ports.free(1)
    _victoriametrics(processes, behind, pair, trust)
    ready(processes, f"https://{ports.HOST}:{behind}/-/ready", trust)
    user = {
        "bearer_token": TOKEN,
        "url_prefix": f"https://{ports.HOST}:{behind}",
        "headers": [f"Authorization: {_BASIC}"],
    }
    users = processes.folder / "users.yaml"
    users.write_text(yaml.safe_dump({"users": [user]}))
    processes.start(
        "vmauth",
        [
            program("vmauth"),
            f"-auth.config={users}",
            f"-httpListenAddr={ports.HOST}:{port}",
            "-backend.tlsInsecureSkipVerify",
            "-tls",
            f"-tlsCertFile={pair.certificate}",
            f"-tlsKeyFile={pair.key}",
            "-loggerLevel=ERROR",
        ],
    )
