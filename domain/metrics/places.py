"""Where an environment's metrics are and how to speak to their source: the connection file's words.

Secrets are named by file; they are read when they are used and told to nobody.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from domain.metrics.measure import LabelName, MetricName
from domain.quantities import Duration
from domain.records import Record

NO_LAG = timedelta(0)
# Datadog's own advice for monitors is to look no closer at what agents still have on their way.
DATADOG_LAG = timedelta(seconds=60)
DATADOG_URL = "https://api.datadoghq.com"


def _http(url: str) -> str:
    if "@" in url:
        raise ValueError("an address holds no password: name a file by basic_auth_file")
    try:
        parts = urlsplit(url)
        bad = parts.scheme not in {"http", "https"} or not parts.hostname
    except ValueError:
        bad = True
    if bad:
        raise ValueError(f"{url!r} is no http:// or https:// address")
    return url.rstrip("/")


Url = Annotated[str, AfterValidator(_http)]


class Reached(Record):
    """What every source by HTTP has: its address, TLS, further headers."""

    url: Url
    headers: dict[str, str] = Field(default_factory=dict)
    ca_file: Path | None = Field(default=None, description="PEM; default: the machine's roots")
    client_certificate: Path | None = None
    client_key: Path | None = None
    bearer_token_file: Path | None = Field(default=None, description="read anew for each request")
    basic_auth_file: Path | None = Field(default=None, description="user:password, read anew")
    lag: Duration = Field(
        default=NO_LAG, description="how late its answers may be; what is younger is not judged"
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> Reached:
        if self.lag < NO_LAG:
            raise ValueError("lag is shorter than nothing")
        if self.client_key and not self.client_certificate:
            raise ValueError("client_key needs client_certificate")
        if self.bearer_token_file and self.basic_auth_file:
            raise ValueError("bearer_token_file and basic_auth_file: leave one of them out")
        if any(name.lower() == "authorization" for name in self.headers):
            raise ValueError("a header holds no secret: name a file by bearer_token_file")
        return self


class PrometheusPlace(Reached):
    """Prometheus, or what speaks as it does: Thanos, Mimir, VictoriaMetrics."""

    kind: Literal["prometheus"] = "prometheus"
    tenant: str | None = Field(default=None, description="sent as X-Scope-OrgID")
    matchers: dict[LabelName, str] = Field(
        default_factory=dict, description='labels that every series must have: cluster = "prod"'
    )
    pod_label: LabelName = "pod"
    namespace_label: LabelName = "namespace"


class DatadogPlace(Reached):
    """Datadog, or what speaks as its query API does."""

    kind: Literal["datadog"]
    url: Url = DATADOG_URL
    api_key_file: Path
    app_key_file: Path
    matchers: dict[str, str] = Field(default_factory=dict, description="tags of every series")
    pod_tag: str = "pod_name"
    namespace_tag: str = "kube_namespace"
    restarts: MetricName = Field(
        default="kubernetes.containers.restarts",
        description="gauge that every running pod has: it tells a quiet pod from an unknown one",
    )
    lag: Duration = DATADOG_LAG


class HttpJsonPlace(Reached):
    """Anything that answers our own small protocol (docs/metrics-source.schema.json)."""

    kind: Literal["http-json"]


SourcePlace = Annotated[PrometheusPlace | DatadogPlace | HttpJsonPlace, Field(discriminator="kind")]
