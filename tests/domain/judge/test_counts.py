"""Counts that no source has counted are no counts: a record with them is none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from domain.judge.counts import MOST, Block, Counts
from domain.soak_windows import Counted, SoakStretch

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HUGE = 10**400


def block(**words: Any) -> Block:
    return Block.model_validate({"start": NOON, "end": NOON + timedelta(seconds=10), **words})


PODS = {
    "canary_requests": [1],
    "canary_bad": {"errors": [0]},
    "stable_pods": 1,
    "stable_least": 1,
    "stable_most": 1,
}
EDGES = {"edges": [0.5], "canary_above": [1], "stable_above": [1]}


@pytest.mark.parametrize("number", [MOST + 1, HUGE, -1])
def test_numbers_that_no_float_counts_by_are_refused_wherever_a_block_has_them(number: int) -> None:
    assert block(
        counts={"errors": {"canary_requests": MOST}}, pods=PODS, histograms={"slow": EDGES}
    )
    refused: tuple[dict[str, Any], ...] = (
        *({"counts": {"errors": {name: number}}} for name in Counts.model_fields),
        *({"histograms": {"slow": EDGES | {name: [number]}}} for name in list(EDGES)[1:]),
        *({"pods": PODS | {name: number}} for name in list(PODS)[2:]),
        {"pods": PODS | {"canary_requests": [number]}},
        {"pods": PODS | {"canary_bad": {"errors": [number]}}},
    )
    for words in refused:
        with pytest.raises(ValidationError, match="than or equal to"):
            block(**words)
    told = {"since": NOON, "length": 60, "finding": "healthy", "earned": 60}
    with pytest.raises(ValidationError, match="than or equal to"):
        SoakStretch.model_validate(told | {"counts": {"errors": [number, 0]}})


def test_a_sum_of_many_such_counts_is_still_one() -> None:
    most = Counts(canary_requests=MOST, canary_bad=1, stable_requests=2, stable_bad=MOST)
    total = most + most
    assert total == Counts(canary_requests=MOST, canary_bad=2, stable_requests=4, stable_bad=MOST)
    assert Counted(total.canary_requests, total.canary_bad) == (MOST, 2)
