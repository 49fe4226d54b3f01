"""Goals 6 to 10 and table 3b: whole rollouts, promotions, gaps; and all rows in their order."""

from __future__ import annotations

import math
from collections.abc import Iterator

from benchmarks.judge import rollouts, watch
from benchmarks.judge.alarms import proportion_error
from benchmarks.judge.goal import Goal
from benchmarks.judge.grid import GAP_CELL, POD_CELL, Results
from benchmarks.judge.pods import CANARY, PODS, VOTED, VOTED_TOLERANT
from benchmarks.judge.rollouts import End
from benchmarks.judge.streams import IID, LONG_FAULT, Service
from benchmarks.judge.watch_goals import short, slack, watch_goals, worst

OWN = (rollouts.OURS, rollouts.TOLERANT, rollouts.WARMED)


def goals(results: Results) -> list[Goal]:
    """Every row, in the order of the goals."""
    return [
        *watch_goals(results),
        *_rollouts(results),
        *_false_promotions(results),
        *_per_pod(results),
        *_with_gaps(results),
        *_quiet_services(results),
    ]


def _rollouts(results: Results) -> Iterator[Goal]:
    cells = results.rollouts["rollouts"]
    busy = [service for service in cells if service.bad_per_second >= 1 - 1e-9]
    for rule in OWN:
        good = [cells[service][rule] for service in busy if service.ratio == 1]
        bad = [cells[service][rule] for service in busy if service.ratio == 5]
        false = max(good, key=lambda one: one.share(End.rolled_back))
        runs = len(false.ended)
        yield Goal(
            f"whole rollout, lambda >= 1: false rollback, {short(rule)}",
            100 * false.share(End.rolled_back), "%", 1.0, "drift+burst, p = 1 %, defaults", row="6",
            error=100 * false.error(End.rolled_back), slack=slack(results, 0.01, runs),
        )  # fmt: skip
        missed = max(bad, key=lambda one: one.share(End.promoted))
        yield Goal(
            f"  5x missed, {short(rule)}", 100 * missed.share(End.promoted), "%", 0.0, "",
            row="6", error=100 * missed.error(End.promoted),
        )  # fmt: skip
        slowest = max(bad, key=lambda one: one.seconds(End.rolled_back))
        yield Goal(
            f"  5x: median time to rollback, {short(rule)}", slowest.seconds(End.rolled_back), "s",
            60.0, "worse of lambda 1 and 10", row="6",
            error=slowest.seconds_error(End.rolled_back),
        )  # fmt: skip
        slowest = max(good, key=lambda one: one.seconds(End.promoted))
        yield Goal(
            f"  good canary through, median, {short(rule)}", slowest.seconds(End.promoted) / 60,
            "min", 6.0, "the watch after promotion", row="6",
            error=slowest.seconds_error(End.promoted) / 60,
        )  # fmt: skip
    five = next(s for s in busy if s.ratio == 5 and s.bad_per_second < 2)
    for rule in OWN:
        for peer in (rollouts.FLAGGER_DOCS, rollouts.ARGO_TWICE):
            own, other = cells[five][rule], cells[five][peer]
            share = own.bad() / other.bad()
            spread = math.hypot(own.bad_error() / own.bad(), other.bad_error() / other.bad())
            yield Goal(
                f"bad requests at 5x, {short(rule)} / {peer}", share, "x", 0.25,
                "lambda 1, drift+burst", row="7", error=share * spread,
            )  # fmt: skip


def _false_promotions(results: Results) -> Iterator[Goal]:
    cells, runs = results.alarms["margin"], results.sizes.margin
    share, cell = worst(cells, watch.PROMOTED)
    yield Goal(
        f"false promotion at exactly 2x, worst of {len(cells)}", 100 * share, "%", 5.0,
        f"rules 2 and 3 of promotion; worst: {cell.named()}", row="8",
        error=100 * proportion_error(share, runs), slack=slack(results, 0.05, runs),
    )  # fmt: skip


def _per_pod(results: Results) -> Iterator[Goal]:
    cells, runs = results.alarms["pods"], results.sizes.pods
    good = {s: a for s, a in cells.items() if s.ratio == 1 and s.scenario != LONG_FAULT}
    fault = cells[Service(LONG_FAULT, *POD_CELL)]
    five = cells[Service(IID, *POD_CELL, 5.0)]
    for rule in (VOTED, VOTED_TOLERANT):
        name = short(rule).removeprefix("ours by pods, ")
        yield Goal(
            f"per-pod votes, {CANARY} of {PODS} pods, lambda 10: 5x, {name}", five.delay(rule),
            "s", 20.0, "iid; two voted blocks at least", row="9", error=five.delay_error(rule),
        )  # fmt: skip
        share, cell = worst(good, rule)
        yield Goal(
            f"  false rollback, worst of {len(good)}, bursts of one pod too, {name}",
            100 * share, "%", 1.0, f"worst: {cell.named()}", row="9",
            error=100 * proportion_error(share, runs), slack=slack(results, 0.01, runs),
        )  # fmt: skip
        share = fault.found(rule)
        yield Goal(
            f"  long fault of one pod, {name}", 100 * share, "%", 3.5, "", row="9",
            error=100 * proportion_error(share, runs), slack=slack(results, 0.035, runs),
        )  # fmt: skip


def _with_gaps(results: Results) -> Iterator[Goal]:
    cells, runs = results.alarms["gaps"], results.sizes.null
    good = {service: alarms for service, alarms in cells.items() if service.ratio == 1}
    whole = results.alarms["worse"][Service(IID, *GAP_CELL)]
    for rule, plain in ((watch.OURS_GAPS, watch.OURS), (watch.TOLERANT_GAPS, watch.TOLERANT)):
        share, cell = worst(good, rule)
        yield Goal(
            f"false rollback, worst of {len(good)}, {short(rule)}", 100 * share, "%", 1.0,
            f"counter resets (tests of domain.samples); worst: {cell.named()}", row="10",
            error=100 * proportion_error(share, runs), slack=slack(results, 0.01, runs),
        )  # fmt: skip
        gaps = cells[Service(IID, *GAP_CELL)]
        ratio = gaps.delay(rule) / whole.delay(plain)
        spread = math.hypot(
            gaps.delay_error(rule) / gaps.delay(rule),
            whole.delay_error(plain) / whole.delay(plain),
        )
        yield Goal(
            f"  delay / delay without gaps, {short(rule)}", ratio, "x", 1.3, "lambda 1, 5x",
            row="10", error=ratio * spread,
        )  # fmt: skip


def _quiet_services(results: Results) -> Iterator[Goal]:
    cells = results.rollouts["quiet"]
    for rule in (rollouts.OURS, rollouts.TOLERANT):
        service = min(cells, key=lambda one: cells[one][rule].share(End.promoted))
        chosen = cells[service][rule]
        yield Goal(
            f"identical canary to 100 % without a person, worst of {len(cells)}, {short(rule)}",
            100 * chosen.share(End.promoted), "%", 95.0, f"worst: {service.named()}", row="3b",
            error=100 * chosen.error(End.promoted), at_least=True,
        )  # fmt: skip
        service = max(cells, key=lambda one: cells[one][rule].share(End.rolled_back))
        chosen = cells[service][rule]
        yield Goal(
            f"  of these rolled back, worst, {short(rule)}",
            100 * chosen.share(End.rolled_back), "%", 1.0, f"worst: {service.named()}", row="3b",
            error=100 * chosen.error(End.rolled_back),
            slack=slack(results, 0.01, len(chosen.ended)),
        )  # fmt: skip
