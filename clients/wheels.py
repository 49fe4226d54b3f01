"""Python wheels unpacked the way an installer does, into the files of an image layer.

Protocol: packaging.python.org, "Binary distribution format" and "Recording installed projects".
"""

from __future__ import annotations

import base64
import configparser
import csv
import hashlib
import re
import stat
import zipfile
from collections.abc import Iterable, Iterator
from email.parser import BytesParser
from pathlib import Path

from clients.layers import APPLICATION, Entry, image_path
from domain.errors import PermanentFailure

SITE_PACKAGES = f"{APPLICATION}/site-packages"
SCRIPTS = f"{APPLICATION}/bin"
_LARGEST_UNPACKED_BYTES = 2 * 1024**3
_INTERPRETER = b"#!/usr/bin/env python3\n"
_UNRECORDED = ("RECORD", "RECORD.jws", "RECORD.p7s")
_ENTRY_POINT = re.compile(r"(?P<module>[\w.]+)\s*:\s*(?P<attribute>[\w.]+)")
_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64", "386": "i686"}
_SCRIPT = """import sys

from {module} import {first}

if __name__ == "__main__":
    sys.exit({attribute}())
"""


def unpack_wheels(wheels: Iterable[Path], architecture: str) -> Iterator[Entry]:
    """Entries of every wheel: site-packages, scripts (also entry points') and data.

    `architecture` is the image's (`amd64`). Raises PermanentFailure naming the wheel: not a wheel,
    damaged, for another platform, or a distribution that is there twice.
    """
    names: dict[str, Path] = {}
    for wheel in sorted(wheels, key=lambda path: path.name):
        distribution = _distribution(wheel, architecture)
        if distribution in names:
            raise PermanentFailure(
                f"{wheel.name} and {names[distribution].name} are the same distribution; keep one"
            )
        names[distribution] = wheel
        yield from _unpack(wheel)


def _distribution(wheel: Path, architecture: str) -> str:
    if not wheel.is_file():
        raise PermanentFailure(f"there is no wheel {wheel}; build or download it first")
    parts = wheel.name.removesuffix(".whl").split("-")
    if not wheel.name.endswith(".whl") or len(parts) not in (5, 6):
        raise PermanentFailure(f"{wheel.name} is not named like a wheel")
    machine = _ARCHITECTURES.get(architecture, architecture)
    platforms = parts[-1].split(".")
    if not any(one == "any" or ("linux" in one and one.endswith(machine)) for one in platforms):
        raise PermanentFailure(
            f"{wheel.name} is for {parts[-1]} and cannot run in an image for linux/{architecture}"
        )
    return re.sub(r"[-_.]+", "-", parts[0]).lower()


def _unpack(wheel: Path) -> Iterator[Entry]:
    try:
        with zipfile.ZipFile(wheel) as archive:
            yield from _entries(_Wheel(wheel.name, archive))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError) as error:
        raise PermanentFailure(f"{wheel.name} is damaged: {error}; build it again") from error


class _Wheel:
    """An open wheel: its content, every file checked against RECORD when it is read."""

    def __init__(self, name: str, archive: zipfile.ZipFile) -> None:
        self.name = name
        self._archive = archive
        self.members = [member for member in archive.infolist() if not member.is_dir()]
        if sum(member.file_size for member in self.members) > _LARGEST_UNPACKED_BYTES:
            raise self.failure(f"unpacks to more than {_LARGEST_UNPACKED_BYTES} bytes")
        paths = [member.filename for member in self.members]
        folders = {path.split("/")[0] for path in paths if "/" in path}
        information = [folder for folder in folders if folder.endswith(".dist-info")]
        if len(information) != 1:
            raise self.failure("does not have exactly one .dist-info directory")
        self.information = information[0]
        self.data = self.information.removesuffix(".dist-info") + ".data"
        self._recorded = self._record()

    def failure(self, problem: str) -> PermanentFailure:
        return PermanentFailure(f"{self.name} {problem}; build it again")

    def read(self, member: zipfile.ZipInfo) -> bytes:
        content = self._archive.read(member)
        path = member.filename
        if path not in {f"{self.information}/{name}" for name in _UNRECORDED}:
            algorithm, _, wanted = self._recorded.get(path, "").partition("=")
            if algorithm not in ("sha256", "sha384", "sha512"):
                raise self.failure(f"does not record the hash of {path}")
            hashed = hashlib.new(algorithm, content).digest()
            if base64.urlsafe_b64encode(hashed).decode().rstrip("=") != wanted.rstrip("="):
                raise self.failure(f"has another {path} than it records")
        return content

    def text(self, name: str) -> str:
        """A file of .dist-info; empty when it is not there."""
        path = f"{self.information}/{name}"
        found = [member for member in self.members if member.filename == path]
        return self.read(found[0]).decode(errors="replace") if found else ""

    def _record(self) -> dict[str, str]:
        try:
            lines = self._archive.read(f"{self.information}/RECORD").decode().splitlines()
        except (KeyError, UnicodeDecodeError) as error:
            raise self.failure("has no readable RECORD") from error
        return {row[0]: row[1] for row in csv.reader(lines) if len(row) >= 2}


def _entries(wheel: _Wheel) -> Iterator[Entry]:
    version = BytesParser().parsebytes(wheel.text("WHEEL").encode()).get("Wheel-Version", "")
    if version.split(".")[0] != "1":
        raise wheel.failure(f"is of wheel version {version or 'unknown'}; version 1 is understood")
    for member in wheel.members:
        mode = member.external_attr >> 16
        if stat.S_ISLNK(mode):
            raise wheel.failure(f"holds a symbolic link ({member.filename})")
        path, is_script = _installed_path(wheel, member.filename)
        content = wheel.read(member)
        if is_script and content.startswith((b"#!python", b"#!pythonw")):
            content = _INTERPRETER + content.partition(b"\n")[2]
        yield Entry(path, content, executable=is_script or bool(mode & stat.S_IXUSR))
    yield from _entry_points(wheel)


def _installed_path(wheel: _Wheel, path: str) -> tuple[str, bool]:
    if path.startswith("/"):
        raise wheel.failure(f"holds an absolute path ({path})")
    image_path(path)
    folder, _, rest = path.partition("/")
    if folder != wheel.data:
        return f"{SITE_PACKAGES}/{path}", False
    scheme, _, inner = rest.partition("/")
    places = {
        "purelib": SITE_PACKAGES,
        "platlib": SITE_PACKAGES,
        "scripts": SCRIPTS,
        "data": APPLICATION,
        "headers": f"{APPLICATION}/include/{wheel.name.partition('-')[0]}",
    }
    if scheme not in places or not inner:
        raise wheel.failure(f"holds data of an unknown kind ({path})")
    return f"{places[scheme]}/{inner}", scheme == "scripts"


class _EntryPoints(configparser.ConfigParser):
    """The format of entry_points.txt: names keep their case."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr


def _entry_points(wheel: _Wheel) -> Iterator[Entry]:
    parser = _EntryPoints(delimiters=("=",), interpolation=None)
    try:
        parser.read_string(wheel.text("entry_points.txt"))
    except configparser.Error as error:
        raise wheel.failure(f"has an entry_points.txt that cannot be read ({error})") from error
    for section in ("console_scripts", "gui_scripts"):
        for name, target in parser.items(section) if parser.has_section(section) else ():
            found = _ENTRY_POINT.match(target.strip())
            if found is None or "/" in name:
                raise wheel.failure(f"has an entry point that names no function ({name})")
            attribute = found["attribute"]
            script = _SCRIPT.format(
                module=found["module"], first=attribute.split(".")[0], attribute=attribute
            )
            yield Entry(f"{SCRIPTS}/{name}", _INTERPRETER + script.encode(), executable=True)
