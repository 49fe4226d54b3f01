"""Which Go modules the real clusters are made of, and which programs each of them yields."""

from __future__ import annotations

import hashlib
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from domain.errors import NotFound

MODULES = Path(__file__).with_name("modules")
_KUBERNETES_VERSION = "-X k8s.io/component-base/version"
_GO_DIRECTIVE = re.compile(r"^go (\d+(?:\.\d+)*)$", re.MULTILINE)
_REQUIREMENT = re.compile(r"^(?:require)?\s*(\S+) (v\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Module:
    """One go.mod: `tags` and `linked` are its build flags, `space_bytes` what a build may fill.

    `package` is what is built: its tools, or the folder's own program. `renamed` says under which
    name Go leaves a program that is called otherwise.
    """

    name: str
    programs: tuple[str, ...]
    space_bytes: int
    tags: str = ""
    linked: str = ""
    package: str = "tool"
    renamed: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where its go.mod is, with go.sum or the program's source."""
        return MODULES / self.name

    @property
    def go_version(self) -> str:
        """The oldest Go that may build it, as its go.mod says."""
        found = _GO_DIRECTIVE.search((self.folder / "go.mod").read_text())
        if found is None:
            raise NotFound(f"{self.folder / 'go.mod'} has no line `go 1.X`; run go mod tidy there")
        return found[1]

    @property
    def flags(self) -> tuple[str, ...]:
        """What `go build` is told, beside where to put the result."""
        tags = (f"-tags={self.tags}",) if self.tags else ()
        link = f"-ldflags=-s -w {self.linked}".rstrip()
        return ("-mod=readonly", "-trimpath", "-buildvcs=false", *tags, link)

    @property
    def key(self) -> str:
        """Changes with everything that changes the programs: versions, flags, machine."""
        content = hashlib.sha256()
        for file in sorted(self.folder.iterdir()):
            content.update(file.read_bytes())
        named = (*self.flags, *self.programs, platform.system(), platform.machine())
        content.update("\0".join(named).encode())
        return f"{self.name}-{content.hexdigest()[:12]}"


_GIGABYTE = 1024**3

ALL = (
    Module(
        "kube",
        (
            "etcd",
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
            "kubelet",
            "kube-proxy",
            "kubectl",
        ),
        space_bytes=4 * _GIGABYTE,
        # Without it the server calls itself v0.0.0, and clients refuse it.
        linked=" ".join(
            f"{_KUBERNETES_VERSION}.{name}={value}"
            for name, value in (
                ("gitVersion", "v1.36.3"),
                ("gitMajor", "1"),
                ("gitMinor", "36"),
            )
        ),
        renamed={"etcd": "server"},
    ),
    Module("kwok", ("kwok",), space_bytes=2 * _GIGABYTE),
    Module(
        "containerd",
        ("containerd", "containerd-shim-runc-v2", "ctr"),
        space_bytes=2 * _GIGABYTE,
        tags="no_btrfs,no_devmapper,no_zfs",
    ),
    Module(
        "prometheus",
        ("prometheus", "promtool"),
        space_bytes=2 * _GIGABYTE,
        tags="remove_all_sd,enable_kubernetes_sd,netgo",
        linked="-X github.com/prometheus/common/version.Version=3.16.0",
    ),
    # What else speaks as Prometheus does.
    Module("victoriametrics", ("victoria-metrics", "vmauth"), space_bytes=_GIGABYTE),
    # Its memory layout of labels is the older one: without this tag it reads beyond them.
    Module("thanos", ("thanos",), space_bytes=2 * _GIGABYTE, tags="slicelabels"),
    # Its checksums are those of its own go.sum: some of its modules' are in no public log.
    Module("mimir", ("mimir",), space_bytes=2 * _GIGABYTE, tags="netgo,stringlabels"),
    Module("coredns", ("coredns",), space_bytes=2 * _GIGABYTE),
    Module("registry", ("registry",), space_bytes=_GIGABYTE),
    # Tells Prometheus of restarts, which no kubelet counts.
    Module("kube-state-metrics", ("kube-state-metrics",), space_bytes=2 * _GIGABYTE),
    # Holds a pod's namespaces open, without any library.
    Module("pause", ("pause",), space_bytes=_GIGABYTE // 4, package="."),
    # The OCI distribution specification's own suite.
    Module("conformance", ("conformance",), space_bytes=_GIGABYTE // 4),
)


def module_of(program: str) -> Module:
    """Which module yields a program; NotFound naming those there are."""
    for module in ALL:
        if program in module.programs:
            return module
    known = ", ".join(name for module in ALL for name in module.programs)
    raise NotFound(f"no module here builds a program {program}; there are {known}")


def required_version(module: str, path: str) -> str:
    """The version in which a go.mod here requires another module; NotFound when it does not."""
    file = MODULES / module / "go.mod"
    for required, version in _REQUIREMENT.findall(file.read_text()):
        if required == path:
            return str(version)
    raise NotFound(f"{file} does not require {path}; add it there")
