"""The programs of a real cluster, built from their Go modules once: `program("kube-apiserver")`.

`python -m tests.cluster.programs [NAMES]` builds from the shell. They stay in the cache
(`cache.py`), in a folder per content of go.mod and flags.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path

from domain.errors import NotFound, PermanentFailure, ReleaseError
from tests.cluster import cache, go_toolchain, manifests
from tests.cluster.go_modules import ALL, Module, module_of

ASSETS_VARIABLE = "KUBEBUILDER_ASSETS"
ASSETS = ("etcd", "kube-apiserver", "kubectl")
_FAILED = 2


def program(name: str, report: cache.Report = cache.silent) -> Path:
    """A program's path, built now when it is not in the cache (minutes).

    `$KUBEBUILDER_ASSETS` is used for those it can hold. Raises NotFound for an unknown name or a
    missing Go, PermanentFailure when Go is too old, the disk full or the build broken.
    """
    return built(name) or _build(module_of(name), report) / name


def built(name: str) -> Path | None:
    """A program's path when it needs no building, else None."""
    module = module_of(name)
    assets = os.environ.get(ASSETS_VARIABLE)
    if assets and name in ASSETS:
        return _asset(Path(assets), name)
    path = _place(module) / name
    return path if path.exists() else None


def _asset(folder: Path, name: str) -> Path:
    path = folder / name
    if not os.access(path, os.X_OK):
        raise NotFound(
            f"{ASSETS_VARIABLE} names {folder}, and there is no program {name} in it; "
            f"run setup-envtest again, or unset {ASSETS_VARIABLE} to build it"
        )
    return path


def _place(module: Module) -> Path:
    return cache.folder() / "programs" / module.key


def _build(module: Module, report: cache.Report) -> Path:
    compiler = go_toolchain.toolchain(module.go_version, module.name)

    def build(half: Path) -> None:
        _refuse_full_disk(half, module)
        began = time.monotonic()
        report(f"{module.name}: building {', '.join(module.programs)}")
        arguments = ("build", "-v", *module.flags, "-o", f"{half}{os.sep}", module.package)
        go_toolchain.run(compiler, arguments, module.folder, report, module.name)
        _name(half, module)
        report(f"{module.name}: built in {time.monotonic() - began:.0f} s")

    return cache.made_once(_place(module), build, report)


def _name(folder: Path, module: Module) -> None:
    for name, left_as in module.renamed.items():
        (folder / left_as).rename(folder / name)
    missing = [name for name in module.programs if not (folder / name).exists()]
    if missing:
        raise PermanentFailure(
            f"{module.name}: Go built no {', '.join(missing)}; add it to the tool lines of "
            f"{module.folder / 'go.mod'}"
        )


def _refuse_full_disk(folder: Path, module: Module) -> None:
    free = shutil.disk_usage(folder).free
    if free < module.space_bytes:
        raise PermanentFailure(
            f"{module.name}: a build needs {module.space_bytes / 1e9:.0f} GB, and the disk of "
            f"{folder.parent} has {free / 1e9:.1f}; free some, or name another folder by "
            f"{cache.CACHE_VARIABLE}"
        )


def main(names: list[str]) -> int:
    """Build the programs named (else all, and manifests); 2 with one line when one cannot be."""
    began = time.monotonic()
    # As Ctrl-C: what compiles is ended, nothing half-built is kept.
    signal.signal(signal.SIGTERM, signal.default_int_handler)

    def report(line: str) -> None:
        sys.stderr.write(f"{time.monotonic() - began:6.1f} s  {line}\n")

    try:
        for name in names or [name for module in ALL for name in module.programs]:
            sys.stdout.write(f"{program(name, report)}\n")
            sys.stdout.flush()
        manifests.fetch()
    except ReleaseError as problem:
        sys.stderr.write(f"programs: {problem}\n")
        return _FAILED
    except KeyboardInterrupt:
        sys.stderr.write("programs: stopped; nothing half-built is kept\n")
        return _FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
