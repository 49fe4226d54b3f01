"""Label and field selectors of list and watch requests, as predicates over objects."""

from __future__ import annotations

import re
from collections.abc import Callable

from sandbox.kubernetes.status import Manifest, StatusError, bad_request

Predicate = Callable[[Manifest], bool]
Labels = dict[str, str]
_SET = re.compile(r"(?P<key>[\w./-]+)\s+(?P<operator>in|notin)\s*\((?P<values>[^)]*)\)$")
_EQUAL = re.compile(r"(?P<key>[\w./-]+)\s*(?P<operator>==|=|!=)\s*(?P<value>[\w.-]*)$")
_EXISTS = re.compile(r"(?P<not>!?)\s*(?P<key>[\w./-]+)$")
_FIELDS = {
    "pods": ("status.phase", "spec.nodeName", "status.podIP", "spec.restartPolicy"),
    "events": (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "type",
    ),
    "namespaces": ("status.phase",),
    "replicasets": ("status.replicas",),
    "secrets": ("type",),
    "jobs": ("status.successful",),
}


def labels_of(manifest: Manifest) -> Labels:
    """The labels of an object; empty when it has none."""
    return manifest["metadata"].get("labels") or {}


def carries(labels: Labels, selector: Labels) -> bool:
    """Whether labels hold every pair of a Service's kind of selector; an empty one selects none."""
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def matches(labels: Labels, selector: Manifest) -> bool:
    """Whether labels satisfy a LabelSelector; an empty one takes all."""
    pairs = selector.get("matchLabels") or {}
    terms = [
        _term(e["key"], e["operator"].lower(), set(e.get("values") or ()))
        for e in selector.get("matchExpressions") or ()
    ]
    return all(labels.get(k) == v for k, v in pairs.items()) and all(t(labels) for t in terms)


def label_predicate(text: str) -> Predicate:
    """`app=album,tier in (web, api),!old` as a predicate; 400 for what cannot be read."""
    terms = [_parse_term(part.strip()) for part in re.split(r",(?![^(]*\))", text) if part.strip()]
    return lambda manifest: all(term(labels_of(manifest)) for term in terms)


def field_predicate(resource: str, text: str) -> Predicate:
    """`metadata.name=x,status.phase!=Running` as a predicate; 400 for a field not supported."""
    allowed = ("metadata.name", "metadata.namespace", *_FIELDS.get(resource, ()))
    terms: list[tuple[str, bool, str]] = []
    for part in filter(None, text.split(",")):
        match = re.fullmatch(r"\s*([\w.]+)\s*(==|=|!=)(.*)", part)
        if match is None:
            raise bad_request(f"invalid selector: {text!r}; can't understand {part!r}")
        if match[1] not in allowed:
            raise bad_request(f"field label not supported: {match[1]}")
        terms.append((match[1], match[2] != "!=", match[3].strip()))
    return lambda manifest: all((_field(manifest, f) == v) is equal for f, equal, v in terms)


def _field(manifest: Manifest, path: str) -> str:
    value: object = manifest
    for step in path.split("."):
        value = value.get(step, "") if isinstance(value, dict) else ""
    return str(value)


def _parse_term(part: str) -> Callable[[Labels], bool]:
    if match := _SET.match(part):
        values = {value.strip() for value in match["values"].split(",")}
        return _term(match["key"], match["operator"], values)
    if match := _EQUAL.match(part):
        operator = "notin" if match["operator"] == "!=" else "in"
        return _term(match["key"], operator, {match["value"]})
    if match := _EXISTS.match(part):
        return _term(match["key"], "doesnotexist" if match["not"] else "exists", set())
    raise _unreadable(part)


def _term(key: str, operator: str, values: set[str]) -> Callable[[Labels], bool]:
    if operator == "in":
        return lambda labels: labels.get(key) in values
    if operator == "notin":
        return lambda labels: key not in labels or labels[key] not in values
    if operator == "exists":
        return lambda labels: key in labels
    if operator == "doesnotexist":
        return lambda labels: key not in labels
    raise _unreadable(operator)


def _unreadable(part: str) -> StatusError:
    return bad_request(f"unable to parse requirement: {part!r} is not a valid label selector")
