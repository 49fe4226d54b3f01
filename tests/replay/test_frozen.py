"""Histories are only ever added to: none is changed, none disappears, none comes in by the way."""

from __future__ import annotations

import subprocess
from hashlib import sha1
from pathlib import Path

import pytest
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistory

from domain.errors import PermanentFailure
from tests.replay import archive, record
from tests.replay.archive import FOLDER, LISTED, Address
from tests.replay.stories import STORIES
from tests.support.git import Worktree

ROOT = Path(__file__).parents[2]
# Renames count as removals; a content that came later differs from the one that came first.
ADDED = ["git", "log", "--no-renames", "--diff-filter=A", "--raw", "--no-abbrev", "--format=", "--"]


def found_in(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {archive.relative(path): archive.digest(path.read_bytes()) for path in files}


def test_every_listed_history_is_there_unchanged_and_every_one_that_is_there_is_listed() -> None:
    assert found_in(FOLDER) == archive.listed()


def test_no_history_is_listed_twice() -> None:
    paths = [line.split("  ", 1)[1] for line in LISTED.read_text().splitlines()]
    assert len(paths) == len(set(paths))


def test_every_history_that_was_ever_committed_is_as_it_was() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("no git repository: what was committed is not known here")
    assert not_as_committed(ROOT, FOLDER) == []


@pytest.mark.parametrize("committed", [True, False])
@pytest.mark.parametrize("done", ["changed", "removed"])
def test_a_change_of_what_was_committed_is_seen(
    tmp_path: Path, done: str, *, committed: bool
) -> None:
    work = Worktree(tmp_path)
    for name in ("old", "kept"):
        work.write(f"histories/{name}", name)
        work.commit("record")
    folder = tmp_path / "histories"
    assert not_as_committed(tmp_path, folder) == []
    if done == "changed":
        work.write("histories/old", "new")
    else:
        (folder / "old").unlink()
    if committed:
        work.commit("lose history")
    assert not_as_committed(tmp_path, folder) == ["histories/old"]


def not_as_committed(root: Path, folder: Path) -> list[str]:
    """Files that some commit added and that are gone or different now."""
    log = subprocess.run(
        [*ADDED, str(folder.relative_to(root))],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    added = [line.split("\t") for line in log.splitlines()]
    return [path for meta, path in added if blob(root / path) != meta.split()[3]]


def blob(path: Path) -> str | None:
    """The name git gives a file's content."""
    if not path.exists():
        return None
    content = path.read_bytes()
    return sha1(b"blob %d\0%b" % (len(content), content), usedforsecurity=False).hexdigest()


class TestRecorder:
    """It adds, and never replaces."""

    @pytest.fixture(autouse=True)
    def _elsewhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(archive, "FOLDER", tmp_path / "histories")
        monkeypatch.setattr(record, "FOLDER", tmp_path / "histories")
        monkeypatch.setattr(archive, "LISTED", tmp_path / "histories.sha256")

    address = Address("2026-01-01", "promoted", "release-1")

    def history(self, event_id: int = 1) -> WorkflowHistory:
        return WorkflowHistory("release-1", [HistoryEvent(event_id=event_id)])

    def test_what_it_writes_is_listed_and_reads_back(self) -> None:
        archive.write(self.address, self.history())
        assert found_in(archive.FOLDER) == archive.listed()
        assert archive.recorded() == [self.address]
        assert archive.read(self.address) == self.history()

    def test_it_refuses_to_overwrite(self) -> None:
        archive.write(self.address, self.history())
        before = found_in(archive.FOLDER)
        with pytest.raises(PermanentFailure, match="2026-01-01/promoted/release-1 is recorded"):
            archive.write(self.address, self.history(event_id=2))
        assert found_in(archive.FOLDER) == archive.listed() == before

    def test_it_refuses_a_story_of_a_day_that_has_it(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        archive.write(self.address, self.history())
        assert record.main(["promoted", "--day", self.address.day]) == 2
        assert "2026-01-01 has promoted already; histories are frozen" in capsys.readouterr().err

    def test_of_all_it_takes_only_the_stories_that_the_day_does_not_have(self) -> None:
        archive.write(self.address, self.history())
        missing = record.wanted([], self.address.day, everything=True)
        assert missing == [name for name in STORIES if name != "promoted"]

    def test_an_unknown_story_is_named(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert record.main(["promted"]) == 2
        assert "no story promted; stories are promoted, " in capsys.readouterr().err
