"""Kubernetes objects from YAML text, read the way `kubectl` reads it; used by renderers."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Iterable, Iterator
from typing import Any

import yaml

from domain.errors import PermanentFailure

Manifest = dict[str, Any]

_MOST_VALUES = 1_000_000
_INTEGER = re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)$")
_FLOAT = re.compile(
    r"[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?$"
    r"|[-+]?\.(?:inf|Inf|INF)$|\.(?:nan|NaN|NAN)$"
)
_REPLACED = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


class _Loader(yaml.SafeLoader):
    """YAML 1.1 as Kubernetes reads it: no dates, no base-60 numbers (`80:80`), no key twice."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - the library's class attribute
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in _REPLACED]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"key {key.value!r} is there twice", problem_mark=key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INTEGER, list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))


def read_manifests(text: bytes, origin: str) -> list[Manifest]:
    """Every object in the text, lists flattened, in order; `origin` names it in messages.

    Raises PermanentFailure with the origin, the line where known, and the reason.
    """
    try:
        documents = list(yaml.load_all(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise PermanentFailure(f"{origin}{line}: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise PermanentFailure(f"{origin}: not readable as YAML: {error}") from error
    budget = _Budget(origin)
    objects: list[Manifest] = []
    for number, document in enumerate(documents, start=1):
        if document is not None:
            objects += _objects_in(budget.copied(document), f"{origin}, document {number}")
    return objects


def check_unique(manifests: Iterable[tuple[str, Manifest]]) -> None:
    """Refuse two objects of one API group, kind, namespace and name; both origins are named."""
    origins: dict[tuple[str, ...], str] = {}
    for origin, manifest in manifests:
        metadata = manifest["metadata"]
        group = manifest["apiVersion"].rpartition("/")[0]
        identity = (group, manifest["kind"], metadata.get("namespace", ""), metadata["name"])
        if identity in origins:
            places = " and ".join(dict.fromkeys((origins[identity], origin)))
            raise PermanentFailure(
                f"{manifest['kind']} {metadata['name']} is there twice (in {places}); remove one"
            )
        origins[identity] = origin


def _objects_in(document: Any, origin: str) -> Iterator[Manifest]:
    if not isinstance(document, dict):
        raise PermanentFailure(
            f"{origin}: a Kubernetes object is a mapping, this is a {type(document).__name__}"
        )
    kind = _text(document, "kind", origin)
    _text(document, "apiVersion", f"{origin} ({kind})")
    if kind.endswith("List") and isinstance(document.get("items"), list):
        for number, item in enumerate(document["items"], start=1):
            yield from _objects_in(item, f"{origin}, item {number}")
        return
    metadata = document.get("metadata")
    _text(metadata if isinstance(metadata, dict) else {}, "name", f"{origin} ({kind})", "metadata.")
    yield document


def _text(mapping: Manifest, key: str, origin: str, prefix: str = "") -> str:
    value = mapping.get(key)
    if not isinstance(value, str) or not value:
        raise PermanentFailure(f"{origin}: {prefix}{key} is missing or not a text")
    return value


class _Budget:
    """Copies values into plain JSON ones, so many at most: aliases can unfold without end."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._left = _MOST_VALUES

    def copied(self, value: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            raise PermanentFailure(f"{self._origin}: more than {_MOST_VALUES} values; split it")
        if isinstance(value, dict):
            return {self._key(key): self.copied(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.copied(item) for item in value]
        if isinstance(value, float) and math.isfinite(value):
            return int(value) if value.is_integer() else value
        if value is None or isinstance(value, str | bool | int):
            return value
        raise PermanentFailure(f"{self._origin}: {value!r} cannot be written as JSON; quote it")

    def _key(self, key: object) -> str:
        if isinstance(key, str):
            return key
        if isinstance(key, int) and not isinstance(key, bool):
            return str(key)
        raise PermanentFailure(f"{self._origin}: key {key!r} is not a text; quote it")
