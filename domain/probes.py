"""Synthetic requests that a plan declares, for a soak or a canary too quiet to be judged."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from domain.checks import HttpCheck
from domain.metrics.templates import PROBE_ROUTES

# Requests per second: they go by way of the API server, which others need as well.
FASTEST = 10.0
Rate = Annotated[float, Field(gt=0, le=FASTEST, description="requests per second, at most 10")]


class Probe(HttpCheck):
    """One GET that changes nothing, what must come back, and how often it is sent."""

    rate: Rate = 1.0

    @field_validator("rate", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise PydanticCustomError("rate", "must be a number of requests per second")
        return value

    @field_validator("path")
    @classmethod
    def _is_counted(cls, path: str) -> str:
        route = path.partition("?")[0].rstrip("/") or "/"
        if route in PROBE_ROUTES:
            raise PydanticCustomError(
                "probe_not_counted",
                "{route} is asked by kubelets and scrapes and is left out of all counts "
                "({routes}); name a route that users ask for, for example /api/v1/albums",
                {"route": route, "routes": ", ".join(sorted(PROBE_ROUTES))},
            )
        return path
