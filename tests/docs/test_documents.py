"""What the documents say exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))
    if ".venv" not in path.parts and ".cache" not in path.parts
)
TEST = re.compile(r"\btest_\w+\b(?!\.py)")
PATH = re.compile(r"`((?:[a-z_]+/)+[a-z_]*(?:\.\w+)?)`")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")


@pytest.fixture(scope="module")
def tests() -> set[str]:
    return {
        name
        for path in ROOT.glob("tests/**/test_*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text())
    }


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_test_that_a_document_names_exists(document: Path, tests: set[str]) -> None:
    assert sorted(set(TEST.findall(document.read_text())) - tests) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_a_document_names_exists(document: Path) -> None:
    text = document.read_text()
    named = [(ROOT, name) for name in PATH.findall(text) if (ROOT / name.split("/")[0]).is_dir()]
    linked = [(document.parent, name) for name in LINK.findall(text)]
    assert [name for folder, name in named + linked if not (folder / name).exists()] == []
