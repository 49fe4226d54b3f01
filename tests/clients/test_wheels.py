import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from clients.layers import Entry, write_layer
from clients.wheels import unpack_wheels
from domain.errors import PermanentFailure
from tests.support.wheel import write_wheel

COMMIT_TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
GREETING = b"def text():\n    return 'from the wheel'\n"


def greeting_wheel(folder: Path) -> Path:
    return write_wheel(
        folder,
        "greeting",
        {
            "greeting.py": GREETING,
            "greeting-1.0.data/scripts/greet": b"#!python\nimport greeting\n",
            "greeting-1.0.data/data/share/greeting.txt": b"hello",
            "greeting-1.0.data/purelib/extra.py": b"",
        },
        entry_points="[console_scripts]\nSay = greeting:text\n",
    )


def unpacked(*wheels: Path) -> dict[str, Entry]:
    return {entry.path: entry for entry in unpack_wheels(wheels, "amd64")}


def test_modules_scripts_and_data_go_where_an_installer_puts_them(tmp_path: Path) -> None:
    assert set(unpacked(greeting_wheel(tmp_path))) == {
        "app/site-packages/greeting.py",
        "app/site-packages/extra.py",
        "app/site-packages/greeting-1.0.dist-info/METADATA",
        "app/site-packages/greeting-1.0.dist-info/RECORD",
        "app/site-packages/greeting-1.0.dist-info/WHEEL",
        "app/site-packages/greeting-1.0.dist-info/entry_points.txt",
        "app/bin/greet",
        "app/bin/Say",
        "app/share/greeting.txt",
    }


def test_scripts_are_executable_and_run_by_the_images_python(tmp_path: Path) -> None:
    entries = unpacked(greeting_wheel(tmp_path))
    for path in ("app/bin/greet", "app/bin/Say"):
        content = entries[path].content
        assert entries[path].executable
        assert isinstance(content, bytes)
        assert content.startswith(b"#!/usr/bin/env python3\n")


def test_an_entry_points_script_runs_its_function(tmp_path: Path) -> None:
    entries = unpacked(greeting_wheel(tmp_path / "wheels"))
    for path in ("app/bin/Say", "app/site-packages/greeting.py"):
        content = entries[path].content
        assert isinstance(content, bytes)
        (tmp_path / Path(path).name).write_bytes(content)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "Say")], capture_output=True, text=True, check=False
    )
    assert done.stderr == "from the wheel\n"


@pytest.mark.parametrize(
    ("name", "wheel", "reason"),
    [
        ("x", {"tag": "cp311-cp311-macosx_11_0_arm64"}, "cannot run in an image for linux/amd64"),
        ("x", {"tag": "cp311-cp311-manylinux_2_17_aarch64"}, "cannot run in an image"),
        ("x", {"wheel_version": "2.0"}, r"wheel version 2\.0"),
        ("x", {"spoilt": {"x.py": b"forged"}}, r"has another x\.py than it records"),
        ("x", {"spoilt": {"y.py": b"added"}}, "does not record the hash of y"),
        ("x", {"files": {"../evil.py": b""}}, "not a path inside an image"),
        ("x", {"files": {"/evil.py": b""}}, "absolute path"),
        ("x", {"files": {"x-1.0.data/secrets/a": b""}}, "data of an unknown kind"),
        ("x", {"entry_points": "[console_scripts]\na = not a function\n"}, "names no function"),
        ("greeting", {"files": {}, "tag": "py2.py3-none-any"}, "same distribution"),
        ("x", {"files": {"greeting.py": b"other"}}, "two places with different content"),
    ],
)
def test_a_wheel_that_cannot_be_installed_is_refused_by_name(
    tmp_path: Path, name: str, wheel: dict[str, Any], reason: str
) -> None:
    details = {"files": {"x.py": b""}, **wheel}
    wheels = [greeting_wheel(tmp_path), write_wheel(tmp_path, name, **details)]
    with pytest.raises(PermanentFailure, match=reason):
        write_layer(unpack_wheels(wheels, "amd64"), tmp_path / "layer", COMMIT_TIME)


def test_an_absent_or_wrongly_named_wheel_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(PermanentFailure, match=r"no wheel .*absent-1"):
        unpacked(tmp_path / "absent-1.0-py3-none-any.whl")
    (tmp_path / "odd.zip").write_bytes(b"")
    with pytest.raises(PermanentFailure, match=r"odd\.zip is not named like a wheel"):
        unpacked(tmp_path / "odd.zip")


def test_a_damaged_wheel_is_refused_by_name(tmp_path: Path) -> None:
    wheel = greeting_wheel(tmp_path)
    wheel.write_bytes(wheel.read_bytes()[:200])
    with pytest.raises(PermanentFailure, match=r"greeting-1\.0-py3-none-any\.whl is damaged"):
        unpacked(wheel)
