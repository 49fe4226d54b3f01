"""The plan's word `metrics` and the connection file's table: what they mean, what they refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from domain.errors import PermanentFailure
from domain.metrics.places import DATADOG_LAG, DatadogPlace, PrometheusPlace
from domain.metrics.plan import MetricsPlan
from domain.metrics.templates import ISTIO, OTEL_HTTP, TEMPLATES
from settings import load


def plan(**words: Any) -> MetricsPlan:
    return MetricsPlan.model_validate(words)


def test_nothing_said_is_the_http_convention_of_opentelemetry() -> None:
    assert plan().measure == OTEL_HTTP == plan(template="otel-http").measure


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_by_name_says_it_all(name: str) -> None:
    made = plan(template=name)
    assert made.measure == TEMPLATES[name]
    assert MetricsPlan.model_validate_json(made.model_dump_json()) == made


@pytest.mark.parametrize("name", [["istio"], {"a": 1}, 5, True, "Istio"])
def test_what_is_no_name_of_a_template_is_refused_with_the_known_ones(name: object) -> None:
    with pytest.raises(ValidationError, match="is no template; there are otel-http"):
        plan(template=name)


def test_a_template_may_be_amended() -> None:
    made = plan(template="istio", where={"reporter": "waypoint"}, unit="s").measure
    assert made == ISTIO.with_(where={"reporter": "waypoint"}, unit="s")


def test_own_counters_are_said_in_a_few_words() -> None:
    measure = plan(
        requests="shop_requests_total",
        bad={"code": ["5*", 0]},
        latency="shop_request_seconds",
        probes={"path": "/up"},
    ).measure
    assert measure.counted == "shop_requests_total"
    assert [measure.is_bad({"code": code}) for code in ("503", "0", "200", "")] == [
        True,
        True,
        False,
        False,
    ]
    assert measure.is_probe({"path": "/up"})
    assert not measure.is_probe({"path": "/upload"})
    assert measure.edge({"le": "0.5"}) == 0.5
    assert measure.edge({}) is None


def test_milliseconds_are_read_as_seconds() -> None:
    assert plan(template="istio").measure.edge({"le": "500"}) == 0.5


def test_any_value_and_no_value_can_be_meant() -> None:
    measure = plan(requests="r", bad=[{"error": "*", "status": ""}]).measure
    assert measure.is_bad({"error": "timeout"})
    assert not measure.is_bad({"error": "timeout", "status": "200"})
    assert not measure.is_bad({})


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"template": "opentelemetry"}, "opentelemetry is no template; there are otel-http, "),
        ({"template": "istio", "requests": "r"}, "says template istio and counters of its own"),
        ({"bad": {"code": "5*"}, "requests": "r", "failures": "f"}, "both `bad` and `failures`"),
        ({"requests": "r"}, "does not say what is bad"),
        ({"latency": "l"}, "does not say what is bad"),
        ({"requests": "sum(rate(r[5m]))", "bad": {"c": "5*"}}, "requests"),
        ({"requests": "r", "bad": {"c-d": "5*"}}, "bad"),
        ({"requests": "r", "bad": {}}, "bad"),
        ({"requests": "r", "bad": {"code": []}}, "bad"),
        ({"requests": "r", "bad": {"code": True}}, "bad"),
        ({"unit": "us"}, "unit"),
        ({"query": "r"}, "query"),
        ({"template": 3}, "template"),
    ],
)
def test_words_that_mean_nothing_are_refused(words: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError) as refused:
        plan(**words)
    assert why in str(refused.value)


# --- the connection file -------------------------------------------------------------------------

HEAD = '[environments.production]\nnamespace = "production"\n'


def written(folder: Path, text: str) -> Path:
    file = folder / "tidegate.toml"
    file.write_text(HEAD + text)
    return file


def test_the_short_form_is_a_prometheus(tmp_path: Path) -> None:
    settings = load(written(tmp_path, 'prometheus = "http://prometheus:9090/"\n'))
    assert settings.cluster("production").source == PrometheusPlace(url="http://prometheus:9090")  # type: ignore[arg-type]


def test_a_table_says_more(tmp_path: Path) -> None:
    text = """
[environments.production.metrics]
kind = "prometheus"
url = "https://mimir.example/prometheus"
tenant = "team-a"
bearer_token_file = "/run/secrets/token"
matchers = { cluster = "prod" }
lag = "30s"
"""
    place = load(written(tmp_path, text)).cluster("production").source  # type: ignore[arg-type]
    assert isinstance(place, PrometheusPlace)
    assert (place.tenant, place.matchers) == ("team-a", {"cluster": "prod"})
    assert place.lag.total_seconds() == 30


def test_datadog_is_asked_a_minute_late(tmp_path: Path) -> None:
    text = '[environments.production.metrics]\nkind = "datadog"\napi_key_file = "a"\n'
    place = load(written(tmp_path, text + 'app_key_file = "b"\n')).cluster("production").source  # type: ignore[arg-type]
    assert isinstance(place, DatadogPlace)
    assert (place.url, place.lag) == ("https://api.datadoghq.com", DATADOG_LAG)


METRICS = "[environments.production.metrics]\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "say where the metrics are"),
        (f'prometheus = "http://a"\n{METRICS}kind = "prometheus"\nurl = "http://b"\n', "either"),
        ('prometheus = "prometheus:9090"\n', "is no http:// or https:// address"),
        ('prometheus = "http://me:secret@a"\n', "an address holds no password"),
        (f'{METRICS}kind = "graphite"\nurl = "http://b"\n', "graphite"),
        (f'{METRICS}kind = "prometheus"\n', "url"),
        (f'{METRICS}kind = "prometheus"\nurl = "http://b"\nbearer = "x"\n', "bearer"),
        (f'{METRICS}kind = "datadog"\napi_key_file = "a"\n', "app_key_file"),
        (f'{METRICS}kind = "http-json"\nurl = "http://b"\nlag = "-5s"\n', "lag"),
        (
            f'{METRICS}kind = "http-json"\nurl = "http://b"\nheaders = {{Authorization = "x"}}\n',
            "a header holds no secret",
        ),
        (f'{METRICS}kind = "http-json"\nurl = "http://b"\nclient_key = "k"\n', "client_key needs"),
        (
            f'{METRICS}kind = "http-json"\nurl = "http://b"\nbearer_token_file = "k"\n'
            'basic_auth_file = "b"\n',
            "leave one of them out",
        ),
    ],
)
def test_a_connection_file_that_makes_no_sense_is_refused_with_one_message(
    tmp_path: Path, text: str, why: str
) -> None:
    with pytest.raises(PermanentFailure) as refused:
        load(written(tmp_path, text))
    assert why in str(refused.value)
    assert "secret@" not in str(refused.value)
