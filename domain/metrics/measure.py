"""How requests are counted by one convention: metric names, labels, units, and what is bad.

Labels and names are written as the source shows them (dots are Datadog's). `domain.samples` judges
every convention by this one description.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from domain.records import Record

METRIC = r"^[a-zA-Z_:][a-zA-Z0-9_:.]*$"
LABEL = r"^[a-zA-Z_][a-zA-Z0-9_.]*$"
SECONDS_OF = {"s": 1.0, "ms": 1000.0}

MetricName = Annotated[str, Field(pattern=METRIC, max_length=200)]
LabelName = Annotated[str, Field(pattern=LABEL, max_length=200)]


def _several(value: object) -> object:
    """One value where a list is allowed; numbers as the text that a label has."""
    if isinstance(value, bool):
        return value
    if isinstance(value, (str, int)):
        return (str(value),)
    if isinstance(value, (list, tuple)):
        return tuple(
            str(one) if isinstance(one, int) and not isinstance(one, bool) else one for one in value
        )
    return value


Values = Annotated[
    tuple[Annotated[str, Field(max_length=200)], ...],
    BeforeValidator(_several),
    Field(
        min_length=1,
        description='values of a label; `5*` is what begins so, `*` is any, `""` is none',
    ),
]
LabelValues = Annotated[dict[LabelName, Values], Field(min_length=1)]


class ArmLabel(Record):
    """A proxy's series are told by a label of the arm's own Service, not by the arm's pods.

    `pattern` is an anchored regular expression in which `{namespace}` and `{arm}` (the revision,
    which is also the name of its Service) are replaced. `namespace` is the label of the Service's
    namespace, for a proxy whose `label` does not carry it: a revision has one name in staging and
    in production.
    """

    label: LabelName
    pattern: str = "{arm}"
    namespace: LabelName | None = None

    def expression(self, namespace: str, arm: str) -> str:
        """The expression for one arm, its names taken literally."""
        return self._inside(namespace, re.escape(arm))

    def of_any(self, namespace: str) -> str:
        """The expression for whatever Service of a namespace."""
        return self._inside(namespace, ".+")

    def _inside(self, namespace: str, arm: str) -> str:
        return self.pattern.replace("{namespace}", re.escape(namespace)).replace("{arm}", arm)


class Measure(Record):
    """What counts as a request, a bad one and a slow one.

    `requests` is a counter; without it the histogram `latency` counts them (its bucket
    `le="+Inf"`). Bad is what matches all labels of one entry of `bad`, or what the counter
    `failures` counts: beside `requests` (`apart`) or among them (`within`). `probes` are values of
    labels that are no traffic. `where` narrows every series. `arm` is given for a proxy's series.
    Without `slow` nothing is judged slow: some sources keep no histograms.
    """

    name: str
    requests: MetricName | None = None
    bad: tuple[LabelValues, ...] = ()
    failures: MetricName | None = None
    failures_counted: Literal["apart", "within"] = "apart"
    latency: MetricName | None = None
    unit: Literal["s", "ms"] = "s"
    slow: bool = True
    probes: dict[LabelName, Values] = Field(default_factory=dict)
    where: dict[LabelName, str] = Field(default_factory=dict)
    arm: ArmLabel | None = None

    @property
    def counted(self) -> str:
        """The metric by which requests are counted, for messages and for who looks for series."""
        return self.requests or f"{self.latency}_bucket"

    @property
    def tells_slow(self) -> bool:
        """Whether requests are judged by their durations too."""
        return self.slow and self.latency is not None

    def is_bad(self, labels: Mapping[str, str]) -> bool:
        """Whether a series of these labels counts bad requests; a missing label is empty."""
        return any(
            all(_fits(values, labels.get(name, "")) for name, values in entry.items())
            for entry in self.bad
        )

    def is_probe(self, labels: Mapping[str, str]) -> bool:
        """Whether a series counts probes and scrapes: they follow pods, not weights."""
        return any(_fits(values, labels.get(name, "")) for name, values in self.probes.items())

    def edge(self, labels: Mapping[str, str]) -> float | None:
        """The upper edge of a bucket in seconds; None when the series is no bucket."""
        return _edge(labels.get("le", ""), self.unit)


def _fits(values: tuple[str, ...], found: str) -> bool:
    return any(_fits_one(value, found) for value in values)


def _fits_one(value: str, found: str) -> bool:
    if value == "*":
        return bool(found)
    if value.endswith("*"):
        return found.startswith(value[:-1])
    return found == value


@lru_cache
def _edge(text: str, unit: str) -> float | None:
    try:
        return float(text) / SECONDS_OF[unit]
    except ValueError:
        return None
