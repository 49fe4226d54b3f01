from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from domain.errors import PermanentFailure
from tests.cluster import cache


def test_it_is_made_once(tmp_path: Path) -> None:
    made: list[Path] = []
    for _ in range(2):
        cache.made_once(tmp_path / "etcd", made.append)
    assert len(made) == 1


def test_it_appears_under_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    place = tmp_path / "programs" / "etcd"

    def make(half: Path) -> None:
        (half / "etcd").write_text("a program")
        assert not place.exists()

    cache.made_once(place, make)
    assert (place / "etcd").read_text() == "a program"


def test_what_failed_half_way_is_not_kept_and_made_again(tmp_path: Path) -> None:
    place = tmp_path / "etcd"

    def fail(half: Path) -> None:
        (half / "etcd").write_text("half a prog")
        raise PermanentFailure("the compiler ended")

    with pytest.raises(PermanentFailure, match="the compiler ended"):
        cache.made_once(place, fail)
    assert not place.exists()
    cache.made_once(place, lambda half: (half / "etcd").touch())
    assert place.exists()


def test_what_a_killed_builder_left_is_thrown_away(tmp_path: Path) -> None:
    left = tmp_path / "etcd.half"
    left.mkdir()
    (left / "rest-of-a-killed-build").touch()
    place = cache.made_once(tmp_path / "etcd", lambda half: (half / "etcd").touch())
    assert [file.name for file in place.iterdir()] == ["etcd"]
    assert not left.exists()


def test_two_builders_at_once_build_once(tmp_path: Path) -> None:
    first_builds, second_waits = threading.Event(), threading.Event()
    made: list[str] = []

    def first(_: Path) -> None:
        first_builds.set()
        assert second_waits.wait(10)
        made.append("first")

    place = tmp_path / "etcd"
    builder = threading.Thread(target=cache.made_once, args=(place, first))
    builder.start()
    assert first_builds.wait(10)
    said: list[str] = []

    def report(line: str) -> None:
        said.append(line)
        second_waits.set()

    cache.made_once(place, lambda _: made.append("second"), report)
    builder.join(10)
    assert made == ["first"]
    assert said == ["another process holds etcd.lock; waiting for it"]


def test_a_full_disk_is_one_message_with_the_remedy(tmp_path: Path) -> None:
    def fill(_: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(PermanentFailure, match=r"No space left.*free some.*TIDEGATE_CACHE"):
        cache.made_once(tmp_path / "etcd", fill)


def test_a_cache_that_cannot_be_made_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "file" / "cache"))
    with pytest.raises(PermanentFailure, match=r"file/cache cannot be made.*TIDEGATE_CACHE"):
        cache.folder()


def test_without_a_wish_it_is_where_the_machine_keeps_caches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(cache.CACHE_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder() == tmp_path / "tidegate"
