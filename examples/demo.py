"""`make demo`: a real service released three times, a first version, a good one and a bad one.

Everything a person would type is run as the `tidegate` command; what the cluster really serves is
asked of the sandbox over HTTP afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import settings

HERE = Path(__file__).parent
TIDEGATE = (sys.executable, "-m", "starter.cli")
AUTHOR = {"user.name": "Dana Okafor", "user.email": "dana@isa.example"}
# 24 hours of soak in 6 s, and 30 minutes of watch in 7.5 s; the policy of the demo allows it.
CLOCK = "  rehearsal: {soak: 1h = 0.25s, canary: 4m = 1s}\n"
SPEED = "240"
TRAFFIC = "production=20,staging=20"
SERVICE = "album"


class Demo:
    """A folder with the service's repository, the policy's, a key, and the sandbox's state."""

    def __init__(self, folder: Path, wheelhouse: Path) -> None:
        self.folder = folder
        self.wheelhouse = wheelhouse.resolve()
        self.repository = folder / "isa_user"
        self.policy = folder / "policy"
        self.key = folder / "ben"
        self.state = folder / "state"
        self.releases: list[str] = []
        self._sandbox: subprocess.Popen[str] | None = None

    def prepare(self) -> None:
        """Make the two git repositories and the approver's key; an earlier run is ended first."""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        if self.state.exists():
            self.tidegate("sandbox", "down", "--state", str(self.state), may_fail=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        skipped = shutil.ignore_patterns("versions", "__pycache__", ".*")
        shutil.copytree(HERE / "isa_user", self.repository, ignore=skipped)
        plan = self.repository / "tidegate.yaml"
        plan.write_text(plan.read_text().replace("defaults:\n", f"defaults:\n{CLOCK}"))
        self._commit(self.repository, "album v1")
        self.policy.mkdir()
        policy = (HERE / "policy.yaml").read_text()
        public = _new_key(self.key)
        (self.policy / "policy.yaml").write_text(policy.replace("keys: []", f"keys: [{public}]"))
        self._commit(self.policy, "policy")

    def start(self) -> None:
        """Start Temporal, the sandbox and the workers, and wait until they serve."""
        command = (
            *TIDEGATE, "sandbox", "up", "--state", str(self.state), "--speed", SPEED,
            "--traffic", TRAFFIC, "--policy", str(self.policy),
            "--wheelhouse", str(self.wheelhouse),
        )  # fmt: skip
        self._sandbox = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._sandbox.stdout is not None
        words = []
        for line in self._sandbox.stdout:
            words.append(line)
            if "ready" in line:
                ui = settings.load(self.state / "tidegate.toml").temporal.ui
                print(f"The sandbox is ready; while it runs, Temporal's UI is at {ui}", flush=True)
                return
        print(*words, sep="")
        raise SystemExit("the sandbox did not start; its last words are above")

    def stop(self) -> None:
        """Stop what was started."""
        if self._sandbox is not None:
            self._sandbox.terminate()
            self._sandbox.wait(timeout=30)

    def change(self, version: int) -> None:
        """Commit the next version on top."""
        patch = HERE / "isa_user" / "versions" / f"v{version}.patch"
        subprocess.run(("git", "apply", str(patch.resolve())), cwd=self.repository, check=True)
        self._commit(self.repository, f"album v{version}")

    def release(self) -> str:
        """Release what is committed, approve when asked, and return how it ended."""
        report = str((HERE / "ci-scan-report.json").resolve())
        started = self.tidegate(
            "release", SERVICE, "--repository", str(self.repository), "--scan-report", report,
            "--output", "json",
        )  # fmt: skip
        release = str(json.loads(started)["release"])
        self.releases.append(release)
        watch = subprocess.Popen((*TIDEGATE, "watch", release), env=self._environment())
        self._approve_when_asked(release, watch)
        watch.wait()
        return str(self._status(release)["outcome"])

    def tidegate(self, *arguments: str, may_fail: bool = False) -> str:
        """Run a command as a person would, and return what it says."""
        run = subprocess.run(
            (*TIDEGATE, *arguments),
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode != 0 and not may_fail:
            raise SystemExit(f"tidegate {' '.join(arguments)}: {run.stderr}")
        return run.stdout

    def urls(self) -> dict[str, Any]:
        """The sandbox's addresses."""
        urls: dict[str, Any] = json.loads((self.state / "sandbox.json").read_text())["urls"]
        return urls

    def _approve_when_asked(self, release: str, watch: subprocess.Popen[bytes]) -> None:
        while watch.poll() is None:
            state = self._status(release)
            if state["phase"] == "approval" and state["evidence"]:
                self.tidegate("approve", release, "--key", str(self.key), "--as", "ben", "--yes")
                return
            time.sleep(0.2)

    def _status(self, release: str) -> dict[str, Any]:
        # Its exit code is the outcome's.
        told = self.tidegate("status", release, "--output", "json", may_fail=True)
        state: dict[str, Any] = json.loads(told)
        return state

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "TIDEGATE_CONFIG": str(self.state / "tidegate.toml")}

    def _commit(self, repository: Path, message: str) -> None:
        commands: list[tuple[str, ...]] = [("add", "-A"), ("commit", "-q", "-m", message)]
        if not (repository / ".git").exists():
            settings = [("config", name, value) for name, value in AUTHOR.items()]
            commands = [("init", "-q", "-b", "main"), *settings, *commands]
        for arguments in commands:
            subprocess.run(("git", *arguments), cwd=repository, check=True)


def _new_key(path: Path) -> str:
    key = Ed25519PrivateKey.generate()
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )
    )
    path.chmod(0o600)
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        .decode()
    )


def _get(url: str, host: str | None = None) -> Any:
    request = urllib.request.Request(url, headers={"Host": host} if host else {})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


def show_what_serves(demo: Demo) -> bool:
    """Ask the sandbox, not Tidegate: who serves, with which configuration, who saw errors."""
    urls = demo.urls()
    users = _get(f"{urls['control']}/sandbox/users/production/{SERVICE}")
    answer = _get(f"{urls['gateway']['production']}/api/v1/albums", "album.isa.example")
    split = _kubectl(demo, "httproute", SERVICE)["spec"]["rules"][0]["backendRefs"]
    print("\nwhat the cluster says (asked over HTTP):")
    print("  route:", ", ".join(f"{ref['name']} {ref['weight']} %" for ref in split))
    page_size, shards = (answer["config"].get(k) for k in ("ALBUM_PAGE_SIZE", "ALBUM_CACHE_SHARDS"))
    print(f"  configuration that serves: ALBUM_PAGE_SIZE={page_size} (v2's),", end=" ")
    print(f"ALBUM_CACHE_SHARDS={shards} (v3's would be 20)")
    for revision, counted in users["by_revision"].items():
        failed, requests = counted["failed"], counted["requests"]
        print(f"  {revision}: {failed} of {requests} user requests failed")
    print(f"  in total {users['failed']} of {users['requests']} user requests failed")
    return (
        len(split) == 1
        and split[0]["weight"] == 100
        and answer["revision"] == split[0]["name"].rpartition("-")[2]
        and page_size == "50"
        and shards is None
    )


def _kubectl(demo: Demo, kind: str, name: str) -> Any:
    command = (
        str(Path(sys.executable).parent / "kubectl"), "--kubeconfig",
        str(demo.state / "kubeconfig"), "--context", "production", "get", kind, name, "-o", "json",
    )  # fmt: skip
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> int:
    """Run the demo; exit code 0 only if every release ended as it should."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--wheelhouse", type=Path, required=True)
    options.add_argument("--folder", type=Path, default=Path(".cache/demo"))
    options.add_argument("--keep", action="store_true", help="leave everything running")
    wishes = options.parse_args()
    demo, began = Demo(wishes.folder.resolve(), wishes.wheelhouse), time.monotonic()
    demo.prepare()
    try:
        demo.start()
        endings = []
        for version, title in ((1, "a first release"), (2, "a good one"), (3, "a bad one")):
            if version > 1:
                demo.change(version)
            print(f"\n== album v{version}: {title}", flush=True)
            endings.append(demo.release())
        as_it_should_be = show_what_serves(demo)
        good = endings == ["RELEASED", "RELEASED", "ROLLED_BACK"] and as_it_should_be
        print(f"\n{' '.join(endings)} in {time.monotonic() - began:.0f} s:", end=" ")
        print("as it should be" if good else "NOT as it should be")
        print(
            f"Every step is kept: `tidegate sandbox up --state {wishes.folder / 'state'}` brings "
            "Temporal's UI back (tidegate is in .venv/bin)"
        )
        if wishes.keep:
            input("everything is still running; press Enter to stop it")
        return 0 if good else 1
    finally:
        demo.stop()


if __name__ == "__main__":
    sys.exit(main())
