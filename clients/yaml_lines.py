"""YAML text with the line of every key: what the plan and the policy are read by.

YAML 1.2 core values only (`on`, `12:30` and `2026-01-01` are text), no key twice, no tags that
make objects; anchors, aliases and merge keys work.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

from domain.errors import PermanentFailure

Path = tuple[str | int, ...]

LARGEST_BYTES = 1 << 20
MOST_VALUES = 100_000
DEEPEST = 64
_CORE = "tag:yaml.org,2002:"


class Problem(NamedTuple):
    """One thing to correct in a file; lines count from 1."""

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}"


class FileProblems(PermanentFailure):
    """A file cannot be used; every problem found, one per line of the message."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = tuple(sorted(set(problems), key=lambda p: (p.file, p.line, p.what)))
        super().__init__("\n".join(map(str, self.problems)))


@dataclass
class Document:
    """Plain data, the line where each path of it begins, and what is wrong with the YAML."""

    file: str
    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line_of(self, path: Path) -> int:
        """Line of a path, or of the nearest part of it that the file has."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def complain(self, line: int, what: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(self.file, line, what))


def read_yaml(text: bytes, file: str) -> Document:
    """Read one YAML document; syntax errors leave `data` None and are in `problems`."""
    document = Document(file)
    if len(text) > LARGEST_BYTES:
        document.complain(1, f"is larger than {LARGEST_BYTES} bytes")
        return document
    try:
        node = yaml.compose(text.decode("utf-8-sig"), Loader=_Loader)
        document.data = None if node is None else _Construction(document).value(node, ())
    except UnicodeDecodeError as error:
        document.complain(text[: error.start].count(b"\n") + 1, "is not UTF-8 text")
    except yaml.reader.ReaderError as error:
        line = text.decode("utf-8-sig")[: error.position].count("\n") + 1
        document.complain(line, f"holds the control character {chr(error.character)!r}")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        document.complain(mark.line + 1 if mark else 1, _syntax(error))
    except RecursionError:
        document.complain(1, "is nested too deeply")
    return document


def _syntax(error: yaml.MarkedYAMLError) -> str:
    what = error.problem or error.context or "it cannot be read"
    if "'\\t'" in what:
        return "is not valid YAML: indent with spaces, not with tabs"
    context = f" ({error.context})" if error.context and error.problem else ""
    return f"is not valid YAML: {what}{context}"


class _Loader(yaml.SafeLoader):
    """Resolves plain scalars by the YAML 1.2 core schema, and `<<` as a merge."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 - the library's class attribute


_INTEGER = re.compile(r"[-+]?[0-9]+$|0o[0-7]+$|0x[0-9a-fA-F]+$")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$"
    r"|[-+]?\.(?:inf|Inf|INF)$|\.(?:nan|NaN|NAN)$"
)
for _kind, _pattern, _first in (
    ("bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)$"), "tTfF"),
    ("null", re.compile(r"(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    ("int", _INTEGER, "-+0123456789"),
    ("float", _FLOAT, "-+0123456789."),
    ("merge", re.compile(r"<<$"), "<"),
):
    _Loader.add_implicit_resolver(_CORE + _kind, _pattern, list(_first))


def _integer(text: str) -> int:
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    return int(text[2:] if base != 10 else text, base)


def _number(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


_SCALARS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "int": _integer,
    "float": _number,
    "bool": lambda text: text.lower() == "true",
    "null": lambda _: None,
}


class _Construction:
    """Turns nodes into plain data and notes lines; bounded, since aliases can unfold for ever."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._left = MOST_VALUES

    def value(self, node: yaml.Node, path: Path) -> Any:
        line = node.start_mark.line + 1
        self._document.lines.setdefault(path, line)
        self._left -= 1
        if self._left < 0 or len(path) > DEEPEST:
            raise yaml.MarkedYAMLError(
                problem="it unfolds into too many values", problem_mark=node.start_mark
            )
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_CORE}map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_CORE}seq":
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        return self._refuse(node)

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        construct = _SCALARS.get(node.tag.removeprefix(_CORE))
        if construct is None:
            return self._refuse(node)
        try:
            return construct(node.value)
        except ValueError:
            self._document.complain(
                node.start_mark.line + 1, f"{node.value[:40]!r} is not a number that can be used"
            )
            return None

    def _refuse(self, node: yaml.Node) -> None:
        tag = node.tag.replace(_CORE, "!!")
        self._document.complain(
            node.start_mark.line + 1, f"the tag {tag} is not allowed; write plain values"
        )

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        merges = [item for key, item in node.value if key.tag == f"{_CORE}merge"]
        merged: dict[str, Any] = {}
        for item in merges:
            merged = {**self._merged(item, path), **merged}
        own: dict[str, Any] = {}
        for key, item in node.value:
            if key.tag != f"{_CORE}merge" and self._usable(key, path, own):
                here = (*path, key.value)
                self._document.lines[here] = key.start_mark.line + 1
                own[key.value] = self.value(item, here)
        return {**merged, **own}

    def _usable(self, key: yaml.Node, path: Path, own: dict[str, Any]) -> bool:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode) or key.tag != f"{_CORE}str":
            self._document.complain(line, f"key {_shown(key)} is not text; put it in quotes")
            return False
        if key.value in own:
            first = self._document.lines[(*path, key.value)]
            self._document.complain(
                line, f"key `{key.value}` is there twice; it is also on line {first}"
            )
            return False
        return True

    def _merged(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        """What `<<` brings in: a mapping, or several of which the first counts."""
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        found: dict[str, Any] = {}
        for source in sources:
            if not isinstance(source, yaml.MappingNode):
                line = source.start_mark.line + 1
                self._document.complain(line, "`<<` merges mappings only")
                continue
            found = {**self.value(source, path), **found}
        return found


def _shown(node: yaml.Node) -> str:
    return repr(node.value) if isinstance(node, yaml.ScalarNode) else "of several values"
