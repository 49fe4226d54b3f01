"""What a model refuses in a file, in plain words: where, what is wrong, the nearest valid name.

Used for plans and the policy alike; pydantic's own messages speak of Python.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from inspect import isclass
from types import NoneType
from typing import Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from clients.yaml_lines import Path
from domain.plan import NAME

_LONGEST_VALUE = 60
_OF_A_KEY = "[key]"

# Rules about a whole mapping are shown at the key that breaks them.
RULES_OF_WHOLES = {
    "steps_rise": "steps",
    "base_by_digest": "builder",
    "unique_people": "people",
    "deadline_too_short": "deadline",
    "pace": "rehearsal",
}
_FORMS = {
    NAME: "must be small letters, digits and dashes, at most 40, beginning with a letter",
    "^/": "must begin with /",
    r"^[^@\s]+$": "must be an image's name without digest and spaces",
}
_WORDS = {
    "string_type": "must be text{not_input}; put it in quotes",
    "string_too_short": "must not be empty",
    "int_type": "must be a whole number{not_input}",
    "int_parsing": "must be a whole number{not_input}",
    "int_parsing_size": "is a number too large",
    "int_from_float": "must be a whole number{not_input}",
    "float_type": "must be a number{not_input}",
    "float_parsing": "must be a number{not_input}",
    "bool_type": "must be true or false{not_input}",
    "bool_parsing": "must be true or false{not_input}",
    "tuple_type": "must be a list{not_input}",
    "list_type": "must be a list{not_input}",
    "model_type": "must hold keys{not_input}",
    "model_attributes_type": "must hold keys{not_input}",
    "dict_type": "must hold keys{not_input}",
    "greater_than_equal": "must be at least {ge}{not_input}",
    "greater_than": "must be above {gt}{not_input}",
    "less_than_equal": "must be at most {le}{not_input}",
    "less_than": "must be below {lt}{not_input}",
    "missing": "`{key}` is missing",
}


class Fault(NamedTuple):
    """One refusal: the path it is shown at, and what is wrong there."""

    path: Path
    what: str


def faults(errors: Iterable[ErrorDetails], model: type[BaseModel]) -> list[Fault]:
    """Translate a ValidationError's details about data for `model`."""
    return [_fault(error, model) for error in errors]


def dotted(path: Path) -> str:
    """`services.album.tests.smoke[0].path`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def nearest(name: object, names: Iterable[str]) -> str:
    """`; did you mean x?`, else the names there are."""
    known = list(names)
    found = difflib.get_close_matches(str(name), known, n=1)
    if found:
        return f"; did you mean `{found[0]}`?"
    return f"; there is {', '.join(known)}" if known else ""


def valid_keys(model: type[BaseModel], path: Path) -> list[str]:
    """The keys that a model takes at a path of its data; empty where any may stand."""
    annotation: Any = model
    for part in path:
        annotation = _inside(_plain(annotation), part)
    annotation = _plain(annotation)
    return list(annotation.model_fields) if _is_model(annotation) else []


def _fault(error: ErrorDetails, model: type[BaseModel]) -> Fault:
    path = tuple(part for part in error["loc"] if part != _OF_A_KEY)
    special = _SPECIAL.get(error["type"])
    if special is not None:
        return Fault(path, special(error, path, model))
    if error["type"] in RULES_OF_WHOLES:
        path = (*path, RULES_OF_WHOLES[error["type"]])
    if error["type"] not in _WORDS:
        return Fault(path, error["msg"].removeprefix("Value error, "))
    shown = _shown(error["input"])
    what = _WORDS[error["type"]].format(
        **(error.get("ctx") or {}), key=path[-1] if path else "", not_input=f", not {shown}"
    )
    return Fault(path[:-1] if error["type"] == "missing" else path, what)


def _unknown_key(_: ErrorDetails, path: Path, model: type[BaseModel]) -> str:
    return f"unknown key{nearest(path[-1], valid_keys(model, path[:-1]))}"


def _unknown_value(error: ErrorDetails, _: Path, __: type[BaseModel]) -> str:
    expected = str((error.get("ctx") or {}).get("expected", ""))
    options = re.findall(r"'([^']*)'", expected)
    found = difflib.get_close_matches(str(error["input"]), options, n=1)
    guess = f"; did you mean `{found[0]}`?" if found else ""
    wanted = ", ".join(options) or expected
    return f"must be one of {wanted}, not {_shown(error['input'])}{guess}"


def _wrong_form(error: ErrorDetails, _: Path, __: type[BaseModel]) -> str:
    pattern = str((error.get("ctx") or {}).get("pattern"))
    words = _FORMS.get(pattern, f"must have the form {pattern}")
    return f"{words}, not {_shown(error['input'])}"


_SPECIAL: Mapping[str, Callable[[ErrorDetails, Path, type[BaseModel]], str]] = {
    "extra_forbidden": _unknown_key,
    "literal_error": _unknown_value,
    "enum": _unknown_value,
    "string_pattern_mismatch": _wrong_form,
}


def _inside(annotation: Any, part: str | int) -> Any:
    if _is_model(annotation):
        field = annotation.model_fields.get(part)
        return field.annotation if field else None
    arguments = get_args(annotation)
    if get_origin(annotation) is dict:
        return arguments[1]
    return arguments[0] if get_origin(annotation) in (tuple, list) else None


def _plain(annotation: Any) -> Any:
    """Without `Annotated[...]` and `... | None`."""
    if hasattr(annotation, "__metadata__"):
        return _plain(annotation.__origin__)
    arguments = get_args(annotation)
    if NoneType in arguments:
        return _plain(next(one for one in arguments if one is not NoneType))
    return annotation


def _is_model(annotation: Any) -> bool:
    return isclass(annotation) and issubclass(annotation, BaseModel)


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list | tuple):
        return "a list" if not isinstance(value, dict) else "a mapping"
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "..."
