"""Network namespaces without a default route, and the wires between them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from domain.errors import NotFound, PermanentFailure
from tests.cluster.whole.addresses import HUB, Addresses

NAMED = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
# Of the thread, not of the process: what a thread starts later is there as well.
_OWN = Path("/proc/thread-self/ns/net")


@dataclass(frozen=True)
class Namespace:
    """A named network namespace, as `ip netns` knows it."""

    name: str

    @property
    def path(self) -> Path:
        return NAMED / self.name

    @property
    def exists(self) -> bool:
        return self.path.exists()

    def make(self) -> None:
        """Make it with its loopback only."""
        _ip("netns", "add", self.name)
        self.ip("link", "set", "lo", "up")

    def ip(self, *arguments: str) -> None:
        """Run `ip` in it."""
        _ip("-n", self.name, *arguments)

    def forward(self) -> None:
        """Let it pass packets on, as a node does."""
        with self.entered():
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")

    def remove(self) -> None:
        """Forget it; it ends with the last process in it, and its wires with it."""
        if self.exists:
            _ip("netns", "del", self.name)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """This thread is in it, with every thread and process it starts meanwhile."""
        with _opened(_OWN) as before, _opened(self.path) as inside:
            _enter(inside)
            try:
                yield
            finally:
                _enter(before)


def make_hub(hub: Namespace) -> None:
    """The namespace of worker, Temporal, tests and registry, with the registry's address."""
    hub.make()
    hub.ip("address", "add", f"{HUB}/32", "dev", "lo")


def join(hub: Namespace, cluster: Namespace, name: str, addresses: Addresses) -> None:
    """Make a cluster's namespace and join it to the hub by a wire, with routes both ways."""
    cluster.make()
    near, far = addresses.link
    wire = ("link", "add", name, "type", "veth", "peer", "name", "hub", "netns", cluster.name)
    hub.ip(*wire)
    for namespace, device, address in ((hub, name, far), (cluster, "hub", near)):
        namespace.ip("address", "add", f"{address}/30", "dev", device)
        namespace.ip("link", "set", device, "up")
    for reached in (addresses.node_range, addresses.pods, addresses.services):
        hub.ip("route", "add", reached, "via", near)
    cluster.ip("route", "add", f"{HUB}/32", "via", far)
    cluster.ip("link", "add", "node", "type", "bridge")
    cluster.ip("address", "add", f"{addresses.node}/24", "dev", "node")
    cluster.ip("link", "set", "node", "up")
    cluster.forward()


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFound(f"there is no network namespace {path}; start the clusters first") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _enter(descriptor: int) -> None:
    # os.setns is of Python 3.12; the C library has had it for longer.
    library = ctypes.CDLL(None, use_errno=True)
    if library.setns(descriptor, _CLONE_NEWNET) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise PermanentFailure(f"cannot enter a network namespace: {reason}; run as root")


def _ip(*arguments: str) -> None:
    if shutil.which("ip") is None:
        raise NotFound("there is no program ip; install the package iproute2")
    done = subprocess.run(("ip", *arguments), capture_output=True, text=True, check=False)
    if done.returncode:
        raise PermanentFailure(
            f"ip {' '.join(arguments)}: {done.stderr.strip()}; run as root where network "
            "namespaces may be made (CAP_SYS_ADMIN and CAP_NET_ADMIN)"
        )
