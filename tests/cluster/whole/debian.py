"""Packages of the host's own distribution, unpacked into the cache; nothing is installed.

apt is asked with lists of its own, so that the host's are not touched; a second run asks nothing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from domain.errors import NotFound, PermanentFailure
from tests.cluster import cache

_RELEASE = Path("/etc/os-release")
_CLOSURE = (
    "--recurse",
    *(
        f"--no-{relation}"
        for relation in (
            "recommends", "suggests", "conflicts", "breaks", "replaces", "enhances",
        )
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Packages:
    """A name for the result, packages, and patterns of what they depend on but is left out."""

    name: str
    wanted: tuple[str, ...]
    left_out: tuple[str, ...]

    @property
    def key(self) -> str:
        """Changes with what is asked for and with the distribution's release."""
        release = _RELEASE.read_text() if _RELEASE.exists() else ""
        asked = "\0".join((release, *self.wanted, "-", *self.left_out))
        return f"{self.name}-{hashlib.sha256(asked.encode()).hexdigest()[:12]}"

    @property
    def place(self) -> Path:
        """The folder they are unpacked into."""
        return cache.folder() / "debian" / self.key


# The C library must be the one that fits the host's dynamic loader.
NODE = Packages(
    "node",
    ("runc", "containernetworking-plugins", "iptables", "nftables", "conntrack"),
    ("libc6", "libgcc-s1", "gcc-*-base", "netbase"),
)
PYTHON = Packages(
    "python",
    ("python3", "python3-pip", "dash", "coreutils"),
    (
        "perl*", "libperl*", "dpkg", "install-info", "tar", "debianutils", "debconf*",
        "cdebconf*", "mailcap", "libgdbm*", "gcc-*-base", "libnewt*", "libslang*",
        "libdebian-installer*", "libtextwrap*", "openssl",
    ),
)  # fmt: skip


def unpacked(packages: Packages, report: cache.Report = cache.silent) -> Path:
    """The root of a file tree with the packages and what they depend on.

    Raises NotFound where there is no apt, PermanentFailure with apt's last words.
    """

    def unpack(half: Path) -> None:
        _refuse_no_apt()
        report(f"Debian packages for {packages.name}: downloading and unpacking")
        apt = _Apt(half / "apt")
        chosen = [name for name in apt.closure(packages.wanted) if not _left_out(name, packages)]
        root = half / "root"
        root.mkdir()
        for archive in apt.download(chosen):
            _run(["dpkg-deb", "--extract", str(archive), str(root)], half)
        shutil.rmtree(half / "apt")

    return cache.made_once(packages.place, unpack, report) / "root"


def _left_out(name: str, packages: Packages) -> bool:
    return any(fnmatch(name, pattern) for pattern in packages.left_out)


class _Apt:
    """apt with state of its own in a folder."""

    def __init__(self, folder: Path) -> None:
        self._archives = folder / "archives"
        self._lists = folder / "lists"
        for path in (self._archives / "partial", self._lists / "partial"):
            path.mkdir(parents=True)
        _run(["apt-get", *self._options, "-qq", "update"], folder)

    @property
    def _options(self) -> tuple[str, ...]:
        settings = {
            "Dir::State::lists": str(self._lists),
            "Dir::Cache::archives": str(self._archives),
            "Dir::Cache::pkgcache": "",
            "Dir::Cache::srcpkgcache": "",
            "APT::Sandbox::User": "root",
        }
        return tuple(part for name, value in settings.items() for part in ("-o", f"{name}={value}"))

    def closure(self, wanted: Sequence[str]) -> list[str]:
        """The packages and all they depend on, by name."""
        command = ["apt-cache", *self._options, "depends", *_CLOSURE, *wanted]
        said = _run(command, self._lists).splitlines()
        return sorted({line for line in said if line and line[0].isalnum() and ":" not in line})

    def download(self, names: Sequence[str]) -> list[Path]:
        """Fetch the packages; apt checks them against its signed lists."""
        _run(["apt-get", *self._options, "-qq", "download", *names], self._archives)
        return sorted(self._archives.glob("*.deb"))


def _refuse_no_apt() -> None:
    for name in ("apt-get", "apt-cache", "dpkg-deb"):
        if shutil.which(name) is None:
            raise NotFound(
                f"there is no program {name}: the whole-cluster level takes runc, iptables and "
                "Python's base image from Debian packages; run it on Debian or Ubuntu"
            )


def _run(command: Sequence[str], folder: Path) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr or done.stdout).strip()[-1500:]
        raise PermanentFailure(
            f"{command[0]} ended with exit code {done.returncode}: {last}; look whether this "
            "machine's apt sources can be reached and its disk has space"
        )
    return done.stdout
