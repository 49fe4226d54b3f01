"""Goals 1 to 5: false rollbacks and delays, beside bounds and incumbents."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from statistics import fmean
from typing import NamedTuple

from benchmarks.judge import watch
from benchmarks.judge.alarms import Alarms, oracle, proportion_error
from benchmarks.judge.bounds import kl_bound, robust_bound
from benchmarks.judge.goal import Goal
from benchmarks.judge.grid import FULL, Results
from benchmarks.judge.streams import BLOCK, IID, LONG_FAULT, WEIGHT, Service

FEASIBLE = 0.99
SLACK = 3.0
KL_FLOOR = 130.0
OWN = (
    watch.OURS, watch.TOLERANT, watch.MERGED, watch.OURS_MINUTE, watch.TOLERANT_MINUTE,
)  # fmt: skip


def watch_goals(results: Results) -> list[Goal]:
    """Rows 1 to 5: alarms of two hours' watching."""
    return [
        *_false_rollbacks(results),
        *_beside_bounds(results),
        *_beside_argo(results),
        *_beside_kayenta(results),
    ]


def feasible(results: Results, rule: str) -> list[tuple[Service, Alarms]]:
    """The cells whose regression the rule found in more than 99 % of the runs."""
    cells = results.alarms["worse"].items()
    return [(service, alarms) for service, alarms in cells if alarms.found(rule) > FEASIBLE]


def slack(results: Results, share: float, runs: int) -> float:
    """Three standard errors at the promised share; none once the runs are as many as promised."""
    return 0.0 if runs >= FULL.null else 100 * SLACK * math.sqrt(share * (1 - share) / runs)


def _false_rollbacks(results: Results) -> Iterator[Goal]:
    sizes = results.sizes
    guaranteed = {s: a for s, a in results.alarms["null"].items() if s.scenario != LONG_FAULT}
    broken = {s: a for s, a in results.alarms["null"].items() if s.scenario == LONG_FAULT}
    for rule in OWN:
        share, cell = worst(guaranteed, rule)
        yield Goal(
            f"false rollback, worst of {len(guaranteed)} cells, {short(rule)}",
            100 * share, "%", 1.0, f"faults of one pod over blocks; worst: {cell.named()}",
            row="1", error=100 * proportion_error(share, sizes.null),
            slack=slack(results, 0.01, sizes.null),
        )  # fmt: skip
        shares = [alarms.found(rule) for alarms in guaranteed.values()]
        runs = sizes.null * len(shares)
        yield Goal(
            f"  mean of these cells, {short(rule)}", 100 * fmean(shares), "%", 1.0, "",
            row="1", error=100 * proportion_error(fmean(shares), runs),
        )  # fmt: skip
    for rule in OWN:
        share, cell = worst(broken, rule)
        yield Goal(
            f"  long fault, worst of {len(broken)}, {short(rule)}", 100 * share, "%", None,
            f"outside the guarantee; worst: {cell.named()}",
            row="1", error=100 * proportion_error(share, sizes.long_fault),
        )  # fmt: skip


def worst(cells: dict[Service, Alarms], rule: str) -> tuple[float, Service]:
    """The largest share of runs in which the rule fired, and the cell that has it."""
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
            f"mean delay / burst-proof bound, {len(cells)} cells, {short(rule)}",
            fmean(ratio for ratio, _, _ in robust), "x", 1.40 if promised else None,
            "warm-up; bound by enumeration; the goal is for 1.0", row="2",
            error=_mean_error(
                ratio * a.delay_error(rule) / a.delay(rule) for ratio, _, a in robust
            ),
        )  # fmt: skip
        yield Goal(
            f"  worst of them, {short(rule)}", worst, "x", 1.60 if promised else None,
            cell.named(), row="2",
            error=worst * alarms.delay_error(rule) / alarms.delay(rule),
        )  # fmt: skip
        yield from _beside_information(cells, rule)


def _beside_information(cells: list[tuple[Service, Alarms]], rule: str) -> Iterator[Goal]:
    """As promised, and without the cells whose canary often has no request in a block."""
    informed = [(a.delay(rule) / kl_bound(s), s, a) for s, a in cells if kl_bound(s) >= KL_FLOOR]
    served = [one for one in informed if one[1].rate * BLOCK * WEIGHT > 1]
    for chosen, name, goal in (
        (informed, "worst delay / (log(1/alpha)/KL)", 1.9),
        (served, "  with > 1 canary request a block", None),
    ):
        worst, cell, alarms = max(chosen, key=lambda one: one[0])
        yield Goal(
            f"{name}, {len(chosen)} cells, {short(rule)}", worst, "x",
            goal if rule == watch.OURS else None,
            f"cells with a bound < 13 blocks; worst: {cell.named()}",
            row="3", error=worst * alarms.delay_error(rule) / alarms.delay(rule),
        )  # fmt: skip


class Measured(NamedTuple):
    """A figure and its Monte Carlo standard error."""

    value: float
    error: float

    def over(self, other: Measured) -> Measured:
        """The ratio of two independent figures."""
        ratio = self.value / other.value
        return Measured(
            ratio, ratio * math.hypot(self.error / self.value, other.error / other.value)
        )


def argo_tuned(results: Results, service: Service) -> Measured:
    """Mean seconds (horizon where never) of Argo's best setting for this very regression."""
    null = results.alarms["null"][Service(IID, service.rate, service.bad_rate)]
    worse = results.alarms["worse"][service]
    setting = oracle(null, worse)
    if setting is None:
        return Measured(math.inf, math.nan)
    return Measured(worse.argo_restricted(*setting), worse.argo_restricted_error(*setting))


def _restricted(alarms: Alarms, rule: str) -> Measured:
    return Measured(alarms.restricted_delay(rule), alarms.restricted_error(rule))


def _beside_argo(results: Results) -> Iterator[Goal]:
    for rule in (watch.OURS, watch.TOLERANT):
        cells = feasible(results, rule)
        gains = {s: argo_tuned(results, s).over(_restricted(a, rule)) for s, a in cells}
        middle = sorted(gains.values())[len(gains) // 2]
        yield Goal(
            f"Argo oracle-tuned / ours, median of {len(gains)}, {short(rule)}",
            middle.value, "x", 2.0, "drift: the same settings fail there, see below",
            row="4", error=middle.error, at_least=True,
        )  # fmt: skip
        for place, ratio in ((0.1, 5.0), (1.0, 2.0)):
            named = [gain for service, gain in gains.items() if _at(service, place, ratio)]
            least = min(named, default=Measured(math.nan, math.nan))
            yield Goal(
                f"  at lambda {place:g}, {ratio:g}x: least of {len(named)}, {short(rule)}",
                least.value, "x", 4.0, "", row="4", error=least.error, at_least=True,
            )  # fmt: skip
        yield _where_slower(results, rule, cells)


def _where_slower(results: Results, rule: str, cells: list[tuple[Service, Alarms]]) -> Goal:
    slower = [Measured(0.0, math.nan)]
    for service, alarms in cells:
        if service.bad_per_second >= 0.01 - 1e-9:
            own, tuned = _restricted(alarms, rule), argo_tuned(results, service)
            slower.append(Measured(own.value - tuned.value, math.hypot(own.error, tuned.error)))
    most = max(slower)
    return Goal(
        f"  where Argo is faster, by at most, {short(rule)}", most.value, "s", 90.0,
        "lambda < 0.01; the oracle knows the regression", row="4", error=most.error,
    )  # fmt: skip


def _beside_kayenta(results: Results) -> Iterator[Goal]:
    rule, worse = watch.OURS, results.alarms["worse"]
    for peer, promised in ((watch.KAYENTA, True), (watch.KAYENTA_EARLY, False)):
        gains = {
            service: _restricted(alarms, peer).over(_restricted(alarms, rule))
            for service, alarms in worse.items()
            if service.bad_per_second >= 1 - 1e-9 and service.ratio >= 2
        }
        least = min(gains.values())
        at_five = min(gain for service, gain in gains.items() if service.ratio == 5)
        yield Goal(
            f"{peer} / ours, lambda >= 1, >= 2x, least", least.value, "x",
            2.5 if promised else None, "Kayenta has 60 s data", row="5", error=least.error,
            at_least=True,
        )  # fmt: skip
        yield Goal(
            "  at 5x, least", at_five.value, "x", 10.0 if promised else None, "", row="5",
            error=at_five.error, at_least=True,
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


def _at(service: Service, place: float, ratio: float) -> bool:
    return math.isclose(service.bad_per_second, place) and service.ratio == ratio


def short(rule: str) -> str:
    """A rule of ours by its settings alone."""
    return rule.removeprefix("ours, ")


def _mean_error(errors: Iterable[float]) -> float:
    squares = [error * error for error in errors]
    return math.sqrt(sum(squares)) / len(squares)
