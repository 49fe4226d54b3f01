"""The documented protocol of a source of kind http-json is the one that is spoken."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from domain.metrics.http_json import HttpJsonAnswer, schema
from domain.metrics.plan import MetricsPlan
from domain.metrics.templates import TEMPLATES
from domain.quantities import format_duration
from tests.sources.servers import WRITTEN_LAG

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "metrics.md").read_text()


def test_the_schema_of_the_answer_is_current() -> None:
    assert json.loads((DOCS / "metrics-source.schema.json").read_text()) == schema()


def test_the_documented_answer_is_one() -> None:
    (example,) = re.findall(r'^    (\{"version".*?\]\}\}\})$', TEXT, re.DOTALL | re.MULTILINE)
    answer = HttpJsonAnswer.model_validate_json(example)
    assert answer.pods["album-a"].intervals[0].under == {"0.25": 90, "0.5": 97}


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_template_is_documented_with_its_metric(name: str) -> None:
    (row,) = [line for line in TEXT.splitlines() if line.startswith(f"| `{name}` |")]
    counted = TEMPLATES[name].counted.removesuffix("_bucket")
    assert counted in row or name == "envoy-gateway"


@pytest.mark.parametrize("server", ["VictoriaMetrics, single", "Mimir"])
def test_the_documented_lag_is_the_one_that_a_real_server_kept(server: str) -> None:
    (row,) = [line for line in TEXT.splitlines() if line.startswith(f"| {server} |")]
    assert f'`lag = "{format_duration(WRITTEN_LAG)}"`' in row


def test_the_documented_own_counters_are_understood() -> None:
    block = TEXT.split("## In the plan: own counters")[1].split("\n\n")[1]
    plan = MetricsPlan.model_validate(yaml.safe_load(block)["metrics"])
    assert plan.measure.counted == "shop_requests_total"
