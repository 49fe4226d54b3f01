"""The JSON Schema of `tidegate.yaml`, for editors and `tidegate schema`."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from pydantic import BaseModel

from clients.plan_file import STAND_INS
from domain.checks import HttpCheck
from domain.plan import PlanFile, ServicePlan

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


def schema() -> Schema:
    """The file's schema; `defaults` takes a service's keys, and supplies those it requires."""
    found = PlanFile.model_json_schema()
    definitions = found["$defs"]
    _show_defaults(definitions, ServicePlan.model_validate(STAND_INS))
    _show_defaults(definitions, HttpCheck(path="/"))
    service = definitions["ServicePlan"]
    required = service.pop("required")
    shared = deepcopy(service)
    shared["description"] = "Keys of every service, where the service does not set them itself."
    definitions["SharedDefaults"] = shared
    only_path = {"type": "string", "pattern": "^/", "description": "only the path"}
    definitions["HttpCheck"] = {"anyOf": [only_path, definitions["HttpCheck"]]}
    found["properties"]["defaults"] = {"$ref": "#/$defs/SharedDefaults"}
    found["properties"]["services"]["minProperties"] = 1
    rules = [_required_unless_default(key) for key in required]
    return {"$schema": DIALECT, **found, "allOf": rules}


def _show_defaults(definitions: Schema, example: BaseModel) -> None:
    """Write defaults as people write the values (`24h`), which pydantic's schema does not."""
    written = example.model_dump(mode="json")
    for name, shape in definitions[type(example).__name__]["properties"].items():
        if "default" in shape:
            shape["default"] = written[name]
        inner = getattr(example, name)
        if isinstance(inner, BaseModel) and type(inner).__name__ in definitions:
            _show_defaults(definitions, inner)


def _required_unless_default(key: str) -> Schema:
    each = {"additionalProperties": {"required": [key]}}
    return {
        "if": {"required": ["defaults"], "properties": {"defaults": {"required": [key]}}},
        "else": {"properties": {"services": each}},
    }
