"""The ten goals of the judge beside what was measured, each with its Monte Carlo error."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from statistics import fmean, median

from benchmarks.judge import rollouts, watch
from benchmarks.judge.alarms import Alarms, oracle, proportion_error
from benchmarks.judge.bounds import kl_bound, robust_bound
from benchmarks.judge.goal import Goal
from benchmarks.judge.grid import FULL, GAP_CELL, Results
from benchmarks.judge.rollouts import End
from benchmarks.judge.streams import IID, LONG_FAULT, Service

FEASIBLE = 0.99
SLACK = 3.0
KL_FLOOR = 130.0


def goals(results: Results) -> list[Goal]:
    """Every row, in the order of the goals."""
    return [
        *_false_rollbacks(results),
        *_beside_bounds(results),
        *_beside_argo(results),
        *_beside_kayenta(results),
        *_whole_rollouts(results),
        *_false_promotions(results),
        _per_pod(),
        *_with_gaps(results),
        *_quiet_services(results),
    ]


def feasible(results: Results, rule: str) -> list[tuple[Service, Alarms]]:
    """The cells whose regression the rule found in more than 99 % of the runs."""
    cells = results.alarms["worse"].items()
    return [(service, alarms) for service, alarms in cells if alarms.found(rule) > FEASIBLE]


def _slack(results: Results, share: float, runs: int) -> float:
    """Three standard errors at the promised share; none once the runs are as many as promised."""
    return 0.0 if runs >= FULL.null else 100 * SLACK * math.sqrt(share * (1 - share) / runs)


def _false_rollbacks(results: Results) -> Iterator[Goal]:
    sizes = results.sizes
    guaranteed = {s: a for s, a in results.alarms["null"].items() if s.scenario != LONG_FAULT}
    broken = {s: a for s, a in results.alarms["null"].items() if s.scenario == LONG_FAULT}
    for rule in (watch.OURS, watch.TOLERANT, watch.OURS_MINUTE, watch.TOLERANT_MINUTE):
        share, cell = _worst(guaranteed, rule)
        yield Goal(
            f"false rollback, worst of {len(guaranteed)} cells, {_short(rule)}",
            100 * share, "%", 1.0, f"faults of one pod over blocks; worst: {cell.named()}",
            row="1", error=100 * proportion_error(share, sizes.null),
            slack=_slack(results, 0.01, sizes.null),
        )  # fmt: skip
        shares = [alarms.found(rule) for alarms in guaranteed.values()]
        runs = sizes.null * len(shares)
        yield Goal(
            f"  mean of these cells, {_short(rule)}", 100 * fmean(shares), "%", 1.0, "",
            row="1", error=100 * proportion_error(fmean(shares), runs),
        )  # fmt: skip
    for rule in (watch.OURS, watch.TOLERANT, watch.OURS_MINUTE, watch.TOLERANT_MINUTE):
        share, cell = _worst(broken, rule)
        yield Goal(
            f"  long fault, worst of {len(broken)}, {_short(rule)}", 100 * share, "%", None,
            f"outside the guarantee; worst: {cell.named()}",
            row="1", error=100 * proportion_error(share, sizes.null),
        )  # fmt: skip


def _worst(cells: dict[Service, Alarms], rule: str) -> tuple[float, Service]:
    return max(
        ((alarms.found(rule), service) for service, alarms in cells.items()),
        key=lambda pair: pair[0],
    )


def _beside_bounds(results: Results) -> Iterator[Goal]:
    for rule in (watch.OURS, watch.TOLERANT):
        cells = feasible(results, rule)
        robust = [(a.delay(rule) / robust_bound(s), s, a) for s, a in cells]
        worst, cell, alarms = max(robust, key=lambda one: one[0])
        promised = rule == watch.OURS
        yield Goal(
            f"mean delay / burst-proof bound, {len(cells)} cells, {_short(rule)}",
            fmean(ratio for ratio, _, _ in robust), "x", 1.40 if promised else None,
            "warm-up; bound by enumeration; the goal is for 1.0", row="2",
            error=_mean_error(
                ratio * a.delay_error(rule) / a.delay(rule) for ratio, _, a in robust
            ),
        )  # fmt: skip
        yield Goal(
            f"  worst of them, {_short(rule)}", worst, "x", 1.60 if promised else None,
            cell.named(), row="2",
            error=worst * alarms.delay_error(rule) / alarms.delay(rule),
        )  # fmt: skip
        informed = [
            (a.delay(rule) / kl_bound(s), s, a) for s, a in cells if kl_bound(s) >= KL_FLOOR
        ]
        worst, cell, alarms = max(informed, key=lambda one: one[0])
        yield Goal(
            f"worst delay / (log(1/alpha)/KL), {len(informed)} cells, {_short(rule)}", worst, "x",
            1.9 if promised else None, f"cells with a bound < 13 blocks; worst: {cell.named()}",
            row="3", error=worst * alarms.delay_error(rule) / alarms.delay(rule),
        )  # fmt: skip


def argo_tuned(results: Results, service: Service) -> float:
    """Mean seconds (horizon where never) of Argo's best setting for this very regression."""
    null = results.alarms["null"][Service(IID, service.rate, service.bad_rate)]
    worse = results.alarms["worse"][service]
    setting = oracle(null, worse)
    return worse.argo_restricted(*setting) if setting else math.inf


def _beside_argo(results: Results) -> Iterator[Goal]:
    for rule in (watch.OURS, watch.TOLERANT):
        cells = feasible(results, rule)
        gains = {s: argo_tuned(results, s) / a.restricted_delay(rule) for s, a in cells}
        yield Goal(
            f"Argo oracle-tuned / ours, median of {len(gains)}, {_short(rule)}",
            median(gains.values()), "x", 2.0, "drift: the same settings fail there, see below",
            row="4", error=_median_error(list(gains.values())), at_least=True,
        )  # fmt: skip
        for place, ratio in ((0.1, 5.0), (1.0, 2.0)):
            named = {s: g for s, g in gains.items() if _at(s, place, ratio)}
            yield Goal(
                f"  at lambda {place:g}, {ratio:g}x: least of {len(named)}, {_short(rule)}",
                min(named.values(), default=math.nan), "x", 4.0, "", row="4",
                error=math.nan, at_least=True,
            )  # fmt: skip
        slower = [
            alarms.restricted_delay(rule) - argo_tuned(results, service)
            for service, alarms in cells
            if service.bad_per_second >= 0.01 - 1e-9
        ]
        yield Goal(
            f"  where Argo is faster, by at most, {_short(rule)}", max(*slower, 0.0), "s", 90.0,
            "lambda < 0.01; the oracle knows the regression", row="4", error=math.nan,
        )  # fmt: skip


def _beside_kayenta(results: Results) -> Iterator[Goal]:
    rule, worse = watch.OURS, results.alarms["worse"]
    for peer, promised in ((watch.KAYENTA, True), (watch.KAYENTA_EARLY, False)):
        gains = {
            service: alarms.restricted_delay(peer) / alarms.restricted_delay(rule)
            for service, alarms in worse.items()
            if service.bad_per_second >= 1 - 1e-9 and service.ratio >= 2
        }
        at_five = [gain for service, gain in gains.items() if service.ratio == 5]
        yield Goal(
            f"{peer} / ours, lambda >= 1, >= 2x, least", min(gains.values()), "x",
            2.5 if promised else None, "Kayenta has 60 s data", row="5", error=math.nan,
            at_least=True,
        )  # fmt: skip
        yield Goal(
            "  at 5x, least", min(at_five), "x", 10.0 if promised else None, "", row="5",
            error=math.nan, at_least=True,
        )  # fmt: skip
    sparse = {s: a for s, a in worse.items() if _at(s, 0.01, 5.0)}
    for name in (rule, watch.KAYENTA):
        share = fmean(alarms.found(name) for alarms in sparse.values())
        runs = sum(alarms.runs[name] for alarms in sparse.values())
        yield Goal(
            f"  sparse (lambda 0.01) 5x found by {name}", 100 * share, "%",
            95.0 if name == rule else None, "after two hours", row="5",
            error=100 * proportion_error(share, runs), at_least=True,
        )  # fmt: skip


def _whole_rollouts(results: Results) -> Iterator[Goal]:
    cells = results.rollouts["rollouts"]
    busy = [service for service in cells if service.bad_per_second >= 1 - 1e-9]
    for rule in (rollouts.OURS, rollouts.TOLERANT):
        good = [cells[service][rule] for service in busy if service.ratio == 1]
        bad = [cells[service][rule] for service in busy if service.ratio == 5]
        false = max(good, key=lambda one: one.share(End.rolled_back))
        runs = len(false.ended)
        yield Goal(
            f"whole rollout, lambda >= 1: false rollback, {_short(rule)}",
            100 * false.share(End.rolled_back), "%", 1.0, "drift+burst, p = 1 %, defaults", row="6",
            error=100 * false.error(End.rolled_back), slack=_slack(results, 0.01, runs),
        )  # fmt: skip
        missed = max(bad, key=lambda one: one.share(End.promoted))
        yield Goal(
            f"  5x missed, {_short(rule)}", 100 * missed.share(End.promoted), "%", 0.0, "",
            row="6", error=100 * missed.error(End.promoted),
        )  # fmt: skip
        yield Goal(
            f"  5x: median time to rollback, {_short(rule)}",
            max(one.seconds(End.rolled_back) for one in bad), "s", 60.0,
            "nothing: the warm-up block is in it", row="6", error=math.nan,
        )  # fmt: skip
        yield Goal(
            f"  good canary through, median, {_short(rule)}",
            max(one.seconds(End.promoted) for one in good) / 60, "min", 6.0, "", row="6",
            error=math.nan,
        )  # fmt: skip
    five = next(s for s in busy if s.ratio == 5 and s.bad_per_second < 2)
    for rule in (rollouts.OURS, rollouts.TOLERANT):
        for peer in (rollouts.FLAGGER_DOCS, rollouts.ARGO_TWICE):
            own, other = cells[five][rule], cells[five][peer]
            share = own.bad() / other.bad()
            spread = math.hypot(own.bad_error() / own.bad(), other.bad_error() / other.bad())
            yield Goal(
                f"bad requests at 5x, {_short(rule)} / {peer}", share, "x", 0.25,
                "lambda 1, drift+burst", row="7", error=share * spread,
            )  # fmt: skip


def _false_promotions(results: Results) -> Iterator[Goal]:
    cells, runs = results.alarms["margin"], results.sizes.margin
    share, cell = _worst(cells, watch.PROMOTED)
    yield Goal(
        f"false promotion at exactly 2x, worst of {len(cells)}", 100 * share, "%", 5.0,
        f"rules 2 and 3 of promotion; worst: {cell.named()}", row="8",
        error=100 * proportion_error(share, runs), slack=_slack(results, 0.05, runs),
    )  # fmt: skip


def _per_pod() -> Goal:
    return Goal(
        "per-pod votes, 3 canary pods, lambda 10: 5x", math.inf, "s", 20.0,
        "the shipped judge sees arms, not pods: nothing to measure", row="9", error=math.nan,
    )  # fmt: skip


def _with_gaps(results: Results) -> Iterator[Goal]:
    cells, runs = results.alarms["gaps"], results.sizes.null
    good = {service: alarms for service, alarms in cells.items() if service.ratio == 1}
    whole = results.alarms["worse"][Service(IID, *GAP_CELL)]
    for rule, plain in ((watch.OURS_GAPS, watch.OURS), (watch.TOLERANT_GAPS, watch.TOLERANT)):
        share, cell = _worst(good, rule)
        yield Goal(
            f"false rollback, worst of {len(good)}, {_short(rule)}", 100 * share, "%", 1.0,
            f"counter resets (tests of domain.samples); worst: {cell.named()}", row="10",
            error=100 * proportion_error(share, runs), slack=_slack(results, 0.01, runs),
        )  # fmt: skip
        gaps = cells[Service(IID, *GAP_CELL)]
        ratio = gaps.delay(rule) / whole.delay(plain)
        spread = math.hypot(
            gaps.delay_error(rule) / gaps.delay(rule),
            whole.delay_error(plain) / whole.delay(plain),
        )
        yield Goal(
            f"  delay / delay without gaps, {_short(rule)}", ratio, "x", 1.3, "lambda 1, 5x",
            row="10", error=ratio * spread,
        )  # fmt: skip


def _quiet_services(results: Results) -> Iterator[Goal]:
    cells = results.rollouts["quiet"]
    for rule in (rollouts.OURS, rollouts.TOLERANT):
        service = min(cells, key=lambda one: cells[one][rule].share(End.promoted))
        worst = cells[service][rule]
        yield Goal(
            f"identical canary to 100 % without a person, worst of {len(cells)}, {_short(rule)}",
            100 * worst.share(End.promoted), "%", 95.0, f"worst: {service.named()}", row="3b",
            error=100 * worst.error(End.promoted), at_least=True,
        )  # fmt: skip
        service = max(cells, key=lambda one: cells[one][rule].share(End.rolled_back))
        worst = cells[service][rule]
        yield Goal(
            f"  of these rolled back, worst, {_short(rule)}",
            100 * worst.share(End.rolled_back), "%", 1.0, f"worst: {service.named()}", row="3b",
            error=100 * worst.error(End.rolled_back),
            slack=_slack(results, 0.01, len(worst.ended)),
        )  # fmt: skip


def _at(service: Service, place: float, ratio: float) -> bool:
    return math.isclose(service.bad_per_second, place) and service.ratio == ratio


def _short(rule: str) -> str:
    return rule.removeprefix("ours, ")


def _mean_error(errors: Iterable[float]) -> float:
    squares = [error * error for error in errors]
    return math.sqrt(sum(squares)) / len(squares)


def _median_error(values: list[float]) -> float:
    """Half the width between the order statistics one standard deviation around the median."""
    ordered, reach = sorted(values), math.sqrt(len(values)) / 2
    middle = (len(ordered) - 1) / 2
    low, high = (
        ordered[max(round(middle - reach), 0)],
        ordered[min(round(middle + reach), len(ordered) - 1)],
    )
    return (high - low) / 2 if math.isfinite(high) else math.nan
