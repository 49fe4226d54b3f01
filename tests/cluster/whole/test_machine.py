"""Machines that cannot carry a bed are told why, with the remedy."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.errors import NotFound, PermanentFailure
from tests.cluster.cache import CACHE_VARIABLE
from tests.cluster.whole import debian
from tests.cluster.whole.machine import refuse_unfit
from tests.cluster.whole.namespaces import Namespace

pytestmark = pytest.mark.usefixtures("fit")


@contextlib.contextmanager
def somebody() -> Iterator[None]:
    """Not root for a while."""
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    mount = ("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path))
    subprocess.run(mount, check=True)
    yield tmp_path
    subprocess.run(("umount", str(tmp_path)), check=True)


def test_who_is_not_root_is_told_to_be() -> None:
    with somebody(), pytest.raises(PermanentFailure, match="run it as root"):
        refuse_unfit()


def test_a_missing_program_is_named_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotFound, match="no program ip; install the package iproute2"):
        refuse_unfit()


def test_a_full_disk_is_named_with_how_to_use_another(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(small_disk))
    with pytest.raises(PermanentFailure, match=f"name another folder by {CACHE_VARIABLE}"):
        refuse_unfit()


def test_a_machine_without_apt_is_told_where_packages_come_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotFound, match="run it on Debian or Ubuntu"):
        debian.unpacked(debian.NODE)
    assert not debian.NODE.place.exists()


def test_a_namespace_that_is_not_there_cannot_be_entered() -> None:
    absent = Namespace("tidegate-absent")
    with pytest.raises(NotFound, match="start the clusters first"), absent.entered():
        raise AssertionError("it was entered")
