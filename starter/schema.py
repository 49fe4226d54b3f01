"""`tidegate schema`: what an editor needs to check `tidegate.yaml` while it is written."""

from __future__ import annotations

from clients.plan_schema import schema as plan_schema
from starter.exit_codes import ExitCode
from starter.output import say_json


def schema() -> ExitCode:
    """Print the JSON Schema."""
    say_json(plan_schema())
    return ExitCode.OK
