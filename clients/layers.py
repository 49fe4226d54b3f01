"""Image layers whose bytes depend on nothing but names, contents and executable bits."""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO, RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from domain.errors import PermanentFailure

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

APPLICATION = "app"
_COMPRESSION = 6
# Made by running or checking the code, different on every machine, and never part of a commit.
_LEFT_OUT = frozenset({"__pycache__", ".git", ".mypy_cache", ".pytest_cache", ".ruff_cache"})


@dataclass(frozen=True)
class Entry:
    """One file (or symbolic link) of a layer; `path` is relative to the image's root."""

    path: str
    content: bytes | Path = b""
    executable: bool = False
    link: str | None = None


@dataclass(frozen=True)
class Layer:
    """A finished layer in a local file: digest of its bytes, and of the tar before compression."""

    file: Path
    digest: str
    diff_id: str
    size_bytes: int


def image_path(target: str) -> str:
    """Path in the image, relative to its root; PermanentFailure for one that leaves it."""
    parts = [part for part in target.split("/") if part not in ("", ".")]
    if not parts or ".." in parts or "\\" in target or "\0" in target:
        raise PermanentFailure(f"{target!r} is not a path inside an image")
    return "/".join(parts)


def files_under(source: Path, target: str) -> Iterator[Entry]:
    """Entries for a file, or for all files of a directory, at `target` in the image.

    Links are kept as links and may not leave the directory; anything else is refused by name.
    """
    if source.is_symlink() or not source.exists():
        raise PermanentFailure(f"{source} is not a file or directory; check the plan's paths")
    if not source.is_dir():
        yield _entry(source, image_path(target), source.parent)
        return
    # The root itself may be meant; a file there gets its own name.
    place = image_path(target) + "/" if target.strip("/.") else ""
    for directory, subdirectories, files in os.walk(source):
        here = Path(directory)
        linked = [name for name in subdirectories if (here / name).is_symlink()]
        subdirectories[:] = [
            name for name in subdirectories if name not in _LEFT_OUT and name not in linked
        ]
        for name in (*files, *linked):
            if not name.endswith(".pyc"):
                path = here / name
                yield _entry(path, place + path.relative_to(source).as_posix(), source)


def _entry(path: Path, target: str, root: Path) -> Entry:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        link = path.readlink()
        if link.is_absolute() or not path.resolve().is_relative_to(root.resolve()):
            raise PermanentFailure(
                f"link {path} leads out of {root} (to {link}); copy what it points to"
            )
        return Entry(target, link=link.as_posix())
    if not stat.S_ISREG(mode):
        raise PermanentFailure(f"{path} is neither a file nor a link; leave it out of the image")
    return Entry(target, path, executable=bool(mode & stat.S_IXUSR))


def write_layer(entries: Iterable[Entry], file: Path, modified: datetime) -> Layer:
    """Write a gzip-compressed tar: sorted, owned by root, every time `modified`, modes normalised.

    Raises PermanentFailure when two entries of one path differ.
    """
    by_path = _by_path(entries)
    with file.open("wb") as output:
        compressed = _Hashing(output)
        # No name and no time in gzip's header: they would differ between machines.
        with gzip.GzipFile("", "wb", _COMPRESSION, compressed, mtime=0) as packed:
            plain = _Hashing(packed)
            with tarfile.TarFile("", "w", plain, format=tarfile.PAX_FORMAT) as archive:
                seconds = int(modified.timestamp())
                for path, entry in sorted((_directories(by_path) | by_path).items()):
                    _add(archive, path, entry, seconds)
    return Layer(file, compressed.digest, plain.digest, file.stat().st_size)


def _by_path(entries: Iterable[Entry]) -> dict[str, Entry | None]:
    by_path: dict[str, Entry | None] = {}
    for entry in entries:
        path = image_path(entry.path)
        known = by_path.setdefault(path, entry)
        if known is not entry and known != entry and _content(known) != _content(entry):
            raise PermanentFailure(f"/{path} would come from two places with different content")
    for path in by_path:
        for parent in _parents(path):
            if parent in by_path:
                raise PermanentFailure(f"/{parent} would be both a file and a directory")
    return by_path


def _directories(by_path: dict[str, Entry | None]) -> dict[str, Entry | None]:
    """Parents inside the application's own directory only.

    Elsewhere an entry would replace the base's directory, with its mode, or a link of that name.
    """
    parents = {parent for path in by_path for parent in _parents(path)}
    return {path: None for path in parents if path.split("/")[0] == APPLICATION}


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _content(entry: Entry | None) -> tuple[bytes, bool, str | None]:
    if entry is None:
        return b"", False, None
    content = entry.content if isinstance(entry.content, bytes) else entry.content.read_bytes()
    return content, entry.executable, entry.link


def _add(archive: tarfile.TarFile, path: str, entry: Entry | None, seconds: int) -> None:
    header = tarfile.TarInfo(path)
    header.mtime = seconds
    if entry is None:
        header.type, header.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(header)
    elif entry.link is not None:
        header.type, header.mode, header.linkname = tarfile.SYMTYPE, 0o777, entry.link
        archive.addfile(header)
    else:
        header.mode = 0o755 if entry.executable else 0o644
        if isinstance(entry.content, bytes):
            header.size = len(entry.content)
            archive.addfile(header, BytesIO(entry.content))
            return
        with entry.content.open("rb") as content:
            header.size = os.fstat(content.fileno()).st_size
            archive.addfile(header, content)


class _Hashing(RawIOBase):
    """A file that is only written to, and digests what passes."""

    def __init__(self, output: BinaryIO | gzip.GzipFile) -> None:
        self._output = output
        self._hashed = hashlib.sha256()
        self._position = 0

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer) -> int:
        self._hashed.update(data)
        self._position += memoryview(data).nbytes
        return self._output.write(data)

    def tell(self) -> int:
        return self._position

    @property
    def digest(self) -> str:
        return f"sha256:{self._hashed.hexdigest()}"
