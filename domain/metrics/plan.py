"""The plan's word `metrics`: a template by name, or a service's own counters."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from domain.metrics.measure import ArmLabel, LabelName, LabelValues, Measure, MetricName, Values
from domain.metrics.templates import OTEL_HTTP, TEMPLATES
from domain.records import Record

OWN = "own"


def _entries(value: object) -> object:
    return (value,) if isinstance(value, dict) else value


def _known(name: object) -> object:
    if not isinstance(name, str) or name not in TEMPLATES:
        raise PydanticCustomError(
            "template",
            "{name} is no template; there are {known}",
            {"name": str(name), "known": ", ".join(TEMPLATES)},
        )
    return name


TemplateName = Annotated[
    str, BeforeValidator(_known), Field(json_schema_extra={"enum": list(TEMPLATES)})
]


class MetricsPlan(Record):
    """What is measured: `template` says it all, or the other words do, or they amend it."""

    template: TemplateName | None = Field(
        default=None,
        description=f"a common convention by name; {OTEL_HTTP.name} when nothing is said",
    )
    requests: MetricName | None = Field(
        default=None, description="counter of requests; left out: the histogram's own count"
    )
    bad: Annotated[tuple[LabelValues, ...], BeforeValidator(_entries)] = Field(
        default=(),
        description="labels of bad requests, all of one entry; several entries: any of them",
    )
    failures: MetricName | None = Field(default=None, description="counter of the bad ones")
    failures_counted: Literal["apart", "within"] = Field(
        default="apart", description="beside the requests, or among them"
    )
    latency: MetricName | None = Field(
        default=None, description="histogram, without _bucket; left out: nothing is judged slow"
    )
    unit: Literal["s", "ms"] | None = Field(default=None, description="of the histogram's edges")
    slow: bool = Field(
        default=True, description="false: nothing is judged slow; some sources keep no histograms"
    )
    probes: dict[LabelName, Values] | None = Field(
        default=None, description="values of labels that are no traffic"
    )
    where: dict[LabelName, str] | None = Field(
        default=None, description="further labels that every series must have"
    )
    arm: ArmLabel | None = Field(
        default=None, description="the label by which a proxy's series tell the arms apart"
    )

    @model_validator(mode="after")
    def _makes_a_measure(self) -> MetricsPlan:
        if self._own and self.template and (self.requests or self.latency):
            raise PydanticCustomError(
                "metrics_twice",
                "says template {template} and counters of its own: leave one of them out",
                {"template": self.template},
            )
        measure = self.measure
        if measure.requests is None and measure.latency is None:
            raise _lacking("what counts requests: add `requests` (a counter) or `latency`")
        if not measure.bad and measure.failures is None:
            raise _lacking("what is bad: add `bad` (labels) or `failures` (a counter)")
        if measure.bad and measure.failures:
            raise PydanticCustomError(
                "metrics_bad_twice",
                "says both `bad` and `failures`: a request would be counted twice",
            )
        return self

    @property
    def _own(self) -> dict[str, object]:
        words = {name: getattr(self, name) for name in Measure.model_fields if name != "name"}
        return {
            name: value
            for name, value in words.items()
            if value != type(self).model_fields[name].default
        }

    @property
    def measure(self) -> Measure:
        """The convention that the plan means."""
        own = self._own
        if self.template is None and not (self.requests or self.latency):
            return OTEL_HTTP.with_(**own)
        if self.template is not None:
            return TEMPLATES[self.template].with_(**own)
        return Measure(name=OWN, **own)


def _lacking(what: str) -> PydanticCustomError:
    return PydanticCustomError("metrics_lacks", "does not say {what}", {"what": what})
