"""Files that people name: whole, never without end, and never waited for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clients.files import read_file
from domain.errors import PermanentFailure


def test_a_file_is_read_up_to_its_limit_and_not_beyond(tmp_path: Path) -> None:
    file = tmp_path / "record"
    file.write_bytes(b"x" * 2**20)
    assert len(read_file(file, 2**20)) == 2**20
    file.write_bytes(b"x" * (2**20 + 1))
    with pytest.raises(PermanentFailure, match="it is larger than 1 MiB"):
        read_file(file, 2**20)


def test_a_device_without_end_and_a_pipe_without_a_writer_are_refused_at_once(
    tmp_path: Path,
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for endless in (Path("/dev/zero"), pipe):
        with pytest.raises(PermanentFailure, match=f"{endless} is no regular file"):
            read_file(endless)


def test_a_folder_is_an_error_of_the_system_for_who_named_it(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        read_file(tmp_path)
