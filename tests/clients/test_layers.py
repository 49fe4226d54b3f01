import gzip
import os
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from clients.layers import Entry, files_under, image_path, write_layer
from domain.errors import PermanentFailure
from domain.records import digest_of

COMMIT_TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_links_stay_links_and_may_not_lead_out(tmp_path: Path) -> None:
    service = tmp_path / "service"
    (service / "folder").mkdir(parents=True)
    (service / "main.py").write_text("")
    (service / "alias.py").symlink_to("main.py")
    (service / "linked").symlink_to("folder")
    entries = {entry.path: entry.link for entry in files_under(service, "/app/service")}
    assert entries == {
        "app/service/main.py": None,
        "app/service/alias.py": "main.py",
        "app/service/linked": "folder",
    }
    for target in ("/etc/passwd", "../../secret"):
        (service / "out").unlink(missing_ok=True)
        (service / "out").symlink_to(target)
        with pytest.raises(PermanentFailure, match="leads out of"):
            list(files_under(service, "/app/service"))


def test_what_is_neither_file_nor_link_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PermanentFailure, match="neither a file nor a link"):
        list(files_under(tmp_path, "/app"))
    with pytest.raises(PermanentFailure, match="is not a file or directory"):
        list(files_under(tmp_path / "absent", "/app"))


def test_directories_of_the_base_are_not_replaced(tmp_path: Path) -> None:
    entries = [Entry("etc/album.conf", b""), Entry("app/a/b.py", b"")]
    layer = write_layer(entries, tmp_path / "layer", COMMIT_TIME)
    with tarfile.open(layer.file) as archive:
        assert archive.getnames() == ["app", "app/a", "app/a/b.py", "etc/album.conf"]


def test_a_layer_knows_its_own_digests(tmp_path: Path) -> None:
    layer = write_layer([Entry("app/a", b"content")], tmp_path / "layer", COMMIT_TIME)
    packed = layer.file.read_bytes()
    assert layer.digest == digest_of(packed)
    assert layer.size_bytes == len(packed)
    assert layer.diff_id == digest_of(gzip.decompress(packed))


@pytest.mark.parametrize("path", ["../x", "/app/../x", "", "/", ".", "a\\b", "a\0b"])
def test_a_path_that_leaves_the_image_is_refused(path: str) -> None:
    with pytest.raises(PermanentFailure, match="not a path inside an image"):
        image_path(path)


def test_a_file_where_a_directory_is_needed_is_refused(tmp_path: Path) -> None:
    entries = [Entry("app/a", b""), Entry("app/a/b", b"")]
    with pytest.raises(PermanentFailure, match="both a file and a directory"):
        write_layer(entries, tmp_path / "layer", COMMIT_TIME)
