"""The scenarios have the moments they claim, and the same seed is the same stream."""

from __future__ import annotations

import math
from random import Random
from statistics import fmean, pvariance, stdev

import pytest

from benchmarks.judge import streams
from benchmarks.judge.streams import (
    BLOCK,
    BURST,
    GUARANTEED,
    HORIZON,
    IID,
    LONG_FAULT,
    RAMP,
    Conditions,
    Scenario,
    Service,
    Tally,
    Traffic,
    geometric,
    merged,
    poisson,
)
from benchmarks.judge.watch import with_gaps

DRIFT = GUARANTEED[1]


def _stream(scenario: Scenario, runs: int = 3, ratio: float = 1.0) -> list[Tally]:
    service = Service(scenario, 100, 0.01, ratio)
    return [tally for run in range(runs) for tally in Traffic(service, f"test {run}").blocks()]


@pytest.mark.parametrize("mean", [0.02, 3.0, 13.9, 14.1, 60.0, 2000.0])
def test_poisson_numbers_have_their_mean_variance_and_skew(mean: float) -> None:
    draw, count = Random(1), 20_000  # noqa: S311
    numbers = [poisson(draw, mean) for _ in range(count)]
    assert fmean(numbers) == pytest.approx(mean, abs=4 * math.sqrt(mean / count))
    assert pvariance(numbers) == pytest.approx(mean, rel=4 * math.sqrt((2 + 1 / mean) / count))
    skew = fmean((one - mean) ** 3 for one in numbers) / mean**1.5
    assert skew == pytest.approx(mean**-0.5, abs=0.07 + 0.2 * mean**-0.5)


def test_geometric_numbers_have_their_mean() -> None:
    draw = Random(1)  # noqa: S311
    numbers = [geometric(draw, 20.0) for _ in range(20_000)]
    assert min(numbers) == 1
    assert fmean(numbers) == pytest.approx(20, rel=0.03)


@pytest.mark.parametrize("scenario", [IID, BURST], ids=lambda one: str(one.name))
def test_arms_have_their_share_of_requests_and_bad_ones(scenario: Scenario) -> None:
    whole = merged(_stream(scenario, ratio=5.0))
    assert whole.canary / (whole.canary + whole.stable) == pytest.approx(0.1, rel=0.02)
    assert whole.stable_bad / whole.stable == pytest.approx(0.01, rel=0.08)
    assert whole.canary_bad / whole.canary == pytest.approx(0.05, rel=0.12)


def test_half_of_the_errors_come_in_bursts_of_twenty() -> None:
    """Variance per mean: .5 x 1 + .5 x E[N^2] / E[N], for geometric bursts 2 x 20 - 1."""
    plain = [tally.stable_bad for tally in _stream(IID)]
    bursty = [tally.stable_bad for tally in _stream(BURST, runs=6)]
    assert pvariance(plain) / fmean(plain) == pytest.approx(1, rel=0.1)
    assert pvariance(bursty) / fmean(bursty) == pytest.approx(20, rel=0.15)


def test_drift_moves_both_arms_alike_with_its_spread() -> None:
    moments = [Conditions(DRIFT, f"test {run}", HORIZON).at(0) for run in range(400)]
    levels = [math.log(level) for level, _ in moments if level < 6]
    assert fmean(levels) == pytest.approx(0, abs=0.1)
    assert stdev(levels) == pytest.approx(streams.LEVEL_SD, rel=0.15)
    assert stdev(math.log(traffic) for _, traffic in moments) == pytest.approx(0.3, rel=0.15)


def test_drift_remembers_for_ten_minutes() -> None:
    conditions, logs = Conditions(DRIFT, "test", 40_000), []
    for index in range(40_000):
        conditions.at(index)
        logs.append(conditions.log_level)
    together = fmean(one * other for one, other in zip(logs, logs[60:], strict=False))
    assert together / pvariance(logs) == pytest.approx(math.exp(-1), abs=0.12)


def test_one_shock_an_hour_multiplies_both_arms_by_ten_for_a_minute() -> None:
    shocked, hours = [], 250
    for run in range(hours):
        conditions = Conditions(DRIFT, f"test {run}", HORIZON)
        for index in range(360):
            level = conditions.at(index)[0] / math.exp(conditions.log_level)
            shocked += [level] if level > 1.001 else []
    assert all(level == pytest.approx(10) for level in shocked)
    # A shock of 60 s on average covers 6.5 blocks, the one it starts in as a whole.
    assert len(shocked) / hours == pytest.approx(6.5, rel=0.25)


def test_a_shock_that_saturates_keeps_the_ratio() -> None:
    service = Service(streams.RAMP, 1000, 0.05, 2.0)
    blocks = [t for run in range(6) for t in Traffic(service, f"test {run}").blocks()]
    saturated = merged([t for t in blocks if t.stable_bad / t.stable > 0.45])
    ratio = (saturated.canary_bad / saturated.canary) / (saturated.stable_bad / saturated.stable)
    assert ratio == pytest.approx(2, rel=0.01)


def test_the_ramp_raises_weight_and_rate() -> None:
    weights = [RAMP.weight(part) for part in (0.0, 0.34, 0.99)]
    assert weights == [0.1, 0.25, 0.5]
    first, last = [], []
    for run in range(40):
        blocks = list(Traffic(Service(RAMP, 100, 0.01), f"test {run}").blocks())
        first.append(merged(blocks[:72]))
        last.append(merged(blocks[-72:]))
    growth = merged(last).stable_bad / merged(last).stable
    growth /= merged(first).stable_bad / merged(first).stable
    assert growth == pytest.approx(3**0.9, rel=0.5)


def test_a_long_fault_hits_one_pod_in_ten_for_a_minute() -> None:
    service = Service(LONG_FAULT, 1000, 0.0)
    hit = {"canary": 0.0, "stable": 0.0}
    rates = []
    for run in range(60):
        for tally in Traffic(service, f"test {run}").blocks():
            hit["canary"] += BLOCK * (tally.canary_bad > 0)
            hit["stable"] += BLOCK * (tally.stable_bad > 0)
            if tally.canary_bad:
                rates.append(tally.canary_bad / tally.canary)
    faults = 60 * 2 * streams.FAULTS_PER_HOUR
    # A fault of 60 s touches 7 blocks of 10 s on average.
    assert (hit["canary"] + hit["stable"]) / faults == pytest.approx(70, rel=0.35)
    assert hit["stable"] > 3 * hit["canary"]
    assert max(rates, default=0.3) == pytest.approx(0.3, abs=0.06)


def test_a_seed_names_its_stream() -> None:
    service = Service(streams.DRIFT_BURST, 100, 0.01)
    one, same, other = (list(Traffic(service, seed).blocks(50)) for seed in ("a", "a", "b"))
    assert one == same != other


def test_two_rules_live_through_the_same_day_at_different_weights() -> None:
    service = Service(DRIFT, 100, 0.01)
    slow, fast = Traffic(service, "a"), Traffic(service, "a")
    for _ in range(20):
        slow.block(0.1)
        fast.block(0.5)
    assert slow.conditions.log_level == fast.conditions.log_level


def test_gaps_lose_votes_but_no_counts() -> None:
    service = Service(IID, 100, 0.01)
    whole = list(Traffic(service, "a").blocks())
    gapped = list(with_gaps(service, "a"))
    assert 0.75 < len(gapped) / len(whole) < 0.85
    assert merged([tally for _, tally in gapped]) == merged(whole[: gapped[-1][0] + 1])
