"""Where one cluster's programs run: control groups, network and mounts of their own.

Mounts are in a mount namespace, so they end with the last process. There a kubelet sees the kernel
settings that it would else set for the whole machine.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from domain.errors import PermanentFailure
from tests.cluster.started import Started, refuse_ended
from tests.cluster.whole.cgroups import Tree
from tests.cluster.whole.namespaces import Namespace

# Fixed places that kubelet, containerd and the CNI library write to outside their own folders.
HOST_FOLDERS = tuple(map(Path, ("/run/containerd", "/var/lib/cni", "/var/lib/kubelet", "/var/log")))
HIDDEN_SETTINGS = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1_000_000,
    "kernel/keys/root_maxbytes": 25_000_000,
}
_JOIN = 'echo $$ > "$0" && exec "$@"'
_PATIENCE_SECONDS = 20.0
_POLL_SECONDS = 0.02
_READY = "mounted"


class Enclosure:
    """Starts programs in a network namespace and a tree of control groups; logs into `folder`."""

    def __init__(self, namespace: Namespace, tree: Tree, folder: Path) -> None:
        self.namespace = namespace
        self.folder = folder
        self._tree = tree
        self._started: list[Started] = []
        self._mounts: Path | None = None
        folder.mkdir(parents=True, exist_ok=True)
        tree.make()

    def hide_host(self) -> None:
        """Programs started from now on have mounts of their own."""
        script = _hiding(self.folder / "settings")
        holder = self.start("mounts", ["unshare", "--mount", "sh", "-ec", script])
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while _READY not in holder.log.read_text():
            self.refuse_ended()
            if time.monotonic() > deadline:
                raise PermanentFailure(f"no mounts of our own: {holder.last_words}; run as root")
            time.sleep(_POLL_SECONDS)
        self._mounts = Path(f"/proc/{holder.process.pid}/ns/mnt")

    def start(
        self,
        name: str,
        command: Sequence[object],
        environment: Mapping[str, str] | None = None,
    ) -> Started:
        """Start a program; it and all it starts are found in the control groups."""
        mounts = [f"--mount={self._mounts}"] if self._mounts else []
        inside = ["nsenter", f"--net={self.namespace.path}", *mounts, "--", *map(str, command)]
        log = self.folder / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                ["/bin/sh", "-c", _JOIN, str(self._tree.entrance), *inside],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                cwd=self.folder,
                start_new_session=True,
            )
        started = Started(name, process, log)
        self._started.append(started)
        return started

    def kill(self, name: str) -> None:
        """SIGKILL a program that was started under this name, and know that it has ended."""
        (started,) = [one for one in self._started if one.name == name]
        started.process.kill()
        started.process.wait(_PATIENCE_SECONDS)
        self._started.remove(started)

    def refuse_ended(self) -> None:
        """PermanentFailure with its last words when a program has ended by itself."""
        refuse_ended(self._started)

    def await_end(self) -> None:
        """Know that everything started here has ended, whoever ended it."""
        for one in self._started:
            one.process.wait(_PATIENCE_SECONDS)


def _hiding(settings: Path) -> str:
    lines = [f"mkdir -p {folder}; mount -n -t tmpfs bed {folder}" for folder in HOST_FOLDERS]
    settings.mkdir(exist_ok=True)
    for name, value in HIDDEN_SETTINGS.items():
        seen = settings / name.replace("/", ".")
        seen.write_text(f"{value}\n")
        lines.append(f"mount -n --bind '{seen}' /proc/sys/{name}")
    return "; ".join((*lines, f"echo {_READY}", "exec sleep infinity"))
