"""Shares of traffic, and the pods that can carry them."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.traffic import Backend, TrafficSplit, pods_behind, pods_needed, pods_to_carry

weights = st.integers(1, 100)


@given(weights, st.none() | st.just("album-0"))
def test_a_step_gives_everybody_to_somebody(weight: int, stable: str | None) -> None:
    split = TrafficSplit.step(weight, "album-1", stable)
    assert sum(backend.weight for backend in split.backends) == 100
    assert split.weight_of("album-1") == (weight if stable else 100)
    assert split.weight_of("album-0") == (100 - weight if stable else 0)


@given(st.lists(st.integers(0, 100), min_size=1, max_size=4))
def test_a_split_that_does_not_sum_to_100_cannot_be_made(shares: list[int]) -> None:
    backends = tuple(Backend(revision=f"album-{i}", weight=w) for i, w in enumerate(shares))
    if sum(shares) == 100:
        assert TrafficSplit(backends=backends).backends == backends
    else:
        with pytest.raises(ValidationError, match="weights must sum to 100"):
            TrafficSplit(backends=backends)


def test_nobody_is_an_empty_split() -> None:
    assert TrafficSplit.all_to(None) == TrafficSplit()
    assert str(TrafficSplit.all_to(None)) == "nobody"


def test_a_split_reads_as_people_say_it() -> None:
    assert str(TrafficSplit.step(10, "album-1", "album-0")) == "album-0 90 %, album-1 10 %"


@given(weights, st.integers(1, 500), st.integers(0, 50))
def test_pods_carry_their_weight_with_a_fifth_to_spare_and_not_a_whole_pod_more(
    weight: int, stable_ready: int, declared: int
) -> None:
    load = Fraction(weight * stable_ready, 100) * Fraction(6, 5)
    pods = pods_needed(weight, stable_ready, declared)
    assert pods >= load
    assert pods == 1 or pods - 1 < load


@given(weights, st.integers(0, 50))
def test_without_a_stable_the_manifest_says_how_many_pods_but_never_none(
    weight: int, declared: int
) -> None:
    assert pods_needed(weight, 0, declared) == max(1, declared)


@given(st.integers(1, 500))
def test_the_pods_that_a_promoted_revision_replaced_are_enough_to_take_its_traffic_back(
    replaced: int,
) -> None:
    assert pods_behind(pods_needed(100, replaced, 1)) == replaced


@given(weights, st.integers(1, 1000), st.integers(0, 1000))
def test_what_serves_may_lack_its_headroom_and_no_more(weight: int, asked: int, going: int) -> None:
    needed = pods_to_carry(weight, asked, going)
    assert 1 <= needed <= max(1, asked)
    without_headroom = Fraction(asked) / Fraction(12, 10)
    assert needed == 1 or needed < without_headroom + 1
    if going >= asked and weight == 100:
        assert needed >= without_headroom


def test_one_ready_pod_of_twelve_carries_nobody_and_two_may_be_missing() -> None:
    assert pods_to_carry(100, 12, 12) == 10
    assert pods_to_carry(100, 15, 12) == 13
    assert pods_to_carry(100, 1, 12) == 1
    assert pods_to_carry(100, 12, 2) == 3  # as many as a small canary that goes would need
