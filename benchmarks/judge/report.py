"""The tables behind the goals, for people and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.judge import rollouts, watch
from benchmarks.judge.alarms import Alarms, oracle
from benchmarks.judge.bounds import kl_bound, robust_bound
from benchmarks.judge.goal import Goal
from benchmarks.judge.grid import QUIET_BAD_RATES, QUIET_RATES, Results
from benchmarks.judge.rollouts import End
from benchmarks.judge.streams import GUARANTEED, IID, LONG_FAULT, Scenario, Service
from benchmarks.judge.watch_goals import argo_tuned

FALSE_RULES = (
    watch.OURS, watch.TOLERANT, watch.MERGED, watch.OURS_MINUTE, watch.TOLERANT_MINUTE,
    *watch.PEERS,
)  # fmt: skip


def show(results: Results, figures: list[Goal], target: Path) -> None:
    """Print everything and write the same as JSON."""
    sizes = ", ".join(f"{name} {runs}" for name, runs in vars(results.sizes).items())
    print(f"Runs a cell: {sizes}. {results.seconds:.0f} s on {results.processes} processes.")
    print("Figures carry their Monte Carlo standard error (+-). `in error`: a worst of many cells")
    print("that is over its goal by less than three of them; --full decides.\n")
    for figure in figures:
        print(figure)
    for table in (_false_table, _delay_table, _rollout_table, _quiet_table, _limit_table):
        print()
        for line in table(results):
            print(line)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(_document(results, figures), indent=2) + "\n")
    print(f"\nwritten to {target}")


def _false_table(results: Results) -> Iterator[str]:
    null, sizes = results.alarms["null"], results.sizes
    scenarios = (*GUARANTEED, LONG_FAULT)
    yield (
        "False rollback %, worst of 12 traffic cells (mean), two hours watched at every value; "
        f"s.e. of 1 % is {100 * math.sqrt(0.0099 / sizes.null):.2f} (ours),"
        f" {100 * math.sqrt(0.0099 / sizes.null_peers):.2f} (incumbents)"
    )
    yield f"{'':<30}" + "".join(f"{scenario.name:>15}" for scenario in scenarios)
    for rule in FALSE_RULES:
        yield f"{rule:<30}" + "".join(f"{_false_cell(null, one, rule):>15}" for one in scenarios)
    yield f"{'Argo oracle-tuned for 2x':<30}" + "".join(
        f"{_oracle_cell(results, scenario):>15}" for scenario in scenarios
    )


def _false_cell(null: dict[Service, Alarms], scenario: Scenario, rule: str) -> str:
    shares = [100 * alarms.found(rule) for s, alarms in null.items() if s.scenario == scenario]
    return f"{max(shares):.2f} ({sum(shares) / len(shares):.2f})"


def _oracle_cell(results: Results, scenario: Scenario) -> str:
    """What the setting that was quiet on iid does on this scenario."""
    shares = []
    for service, alarms in results.alarms["null"].items():
        if service.scenario != scenario:
            continue
        calm = Service(IID, service.rate, service.bad_rate)
        worse = results.alarms["worse"][Service(IID, service.rate, service.bad_rate, 2.0)]
        setting = oracle(results.alarms["null"][calm], worse)
        if setting:
            shares.append(100 * alarms.argo_false(*setting))
    return f"{max(shares):.1f} ({sum(shares) / len(shares):.1f})" if shares else "none"


def _delay_table(results: Results) -> Iterator[str]:
    yield (
        "Mean delay in s (found %, s.e.), iid, canary 10 %; bounds: KL, burst-proof;"
        " incumbents: horizon 7200 s where never"
    )
    yield (
        f"{'lambda':>7} {'req/s':>6} {'bad %':>6} {'ratio':>6} {'KL':>7} {'proof':>7}"
        f" {'rho0=1.0':>18} {'rho0=1.1':>18} {'1.1, 3 metrics':>18} {'bad req':>8}"
        f" {'Argo tuned':>10} {'Kayenta':>8} {'Flagger2x':>9}"
    )
    cells = sorted(
        results.alarms["worse"].items(),
        key=lambda cell: (cell[0].bad_per_second, cell[0].rate, cell[0].ratio),
    )
    for service, alarms in cells:
        own = " ".join(
            f"{_delay_cell(alarms, rule):>18}"
            for rule in (watch.OURS, watch.TOLERANT, watch.MERGED)
        )
        yield (
            f"{service.bad_per_second:>7g} {service.rate:>6g} {100 * service.bad_rate:>6g}"
            f" {service.ratio:>6g} {kl_bound(service):>7.3g} {robust_bound(service):>7.4g}"
            f" {own} {alarms.bad_requests(watch.OURS):>8.4g}"
            f" {argo_tuned(results, service).value:>10.0f}"
            f" {alarms.restricted_delay(watch.KAYENTA):>8.0f}"
            f" {alarms.restricted_delay(watch.FLAGGER_TWICE):>9.0f}"
        )


def _delay_cell(alarms: Alarms, rule: str) -> str:
    found = 100 * alarms.found(rule)
    if not found:
        return "never"
    return f"{alarms.delay(rule):.0f} ({found:.0f} %, {alarms.delay_error(rule):.0f})"


def _rollout_table(results: Results) -> Iterator[str]:
    yield (
        "Whole rollouts, drift+burst, p = 1 %: false rollback % | median s of a good promotion |"
        " per ratio: promoted % / median s to rollback / mean bad requests"
    )
    cells = results.rollouts["rollouts"]
    ratios = sorted({service.ratio for service in cells} - {1.0})
    for rate in sorted({service.rate for service in cells}):
        by_ratio = {service.ratio: cells[service] for service in cells if service.rate == rate}
        for rule, good in by_ratio[1.0].items():
            line = (
                f"lambda {rate / 100:<4g} {rule:<28} {100 * good.share(End.rolled_back):>6.2f}"
                f" +- {100 * good.error(End.rolled_back):<5.2f} {good.seconds(End.promoted):>6.0f}"
            )
            for ratio in ratios:
                bad = by_ratio[ratio][rule]
                line += (
                    f" | {ratio:g}x {100 * bad.share(End.promoted):>5.1f} /"
                    f" {bad.seconds(End.rolled_back):>5.0f} / {bad.bad():>7.0f}"
                )
            yield line


def _quiet_table(results: Results) -> Iterator[str]:
    yield (
        "Identical canary, limit 1 %, 10 -> 25 -> 50 -> 100 %, rho0 = 1.1 (1.0): reached 100 %"
        " without a person %, median min; first step by rule 1 / 2 / 3 %"
    )
    yield f"{'req/s':>6}" + "".join(f"{f'p = {rate:.2%}':>38}" for rate in QUIET_BAD_RATES)
    for rate in QUIET_RATES:
        cells = (results.rollouts["quiet"][Service(IID, rate, bad)] for bad in QUIET_BAD_RATES)
        yield f"{rate:>6}" + "".join(f"{_quiet_cell(cell):>38}" for cell in cells)


def _quiet_cell(cell: dict[str, rollouts.Rollouts]) -> str:
    tolerant, strict = cell[rollouts.TOLERANT], cell[rollouts.OURS]
    reasons = tolerant.first_reasons()
    first = "/".join(
        f"{100 * reasons.get(name, 0):.0f}" for name in ("relative", "within_limit", "quiet")
    )
    promoted = f"{100 * tolerant.share(End.promoted):.1f} ({100 * strict.share(End.promoted):.1f})"
    return f"{promoted}, {tolerant.seconds(End.promoted) / 60:.1f}; {first}"


def _limit_table(results: Results) -> Iterator[str]:
    yield (
        "Bad canaries in the same setting, stable 0.1 %: rolled back / promoted / a person %,"
        " median s to rollback, by tolerance"
    )
    for service, cell in results.rollouts["limit"].items():
        ends = " | ".join(
            f"{rule}: {_percents(ended)}, {ended.seconds(End.rolled_back):.0f} s"
            for rule, ended in cell.items()
        )
        canary = service.bad_rate * service.ratio
        yield f"{service.scenario.name:<6} {service.rate:>4g} req/s -> {canary:>6.1%}  {ends}"


def _percents(ended: rollouts.Rollouts) -> str:
    return " / ".join(
        f"{100 * ended.share(end):.1f}" for end in (End.rolled_back, End.promoted, End.person)
    )


def _document(results: Results, figures: list[Goal]) -> dict[str, Any]:
    return {
        "runs_per_cell": vars(results.sizes),
        "seconds": results.seconds,
        "processes": results.processes,
        "goals": [_plain({**asdict(one), "met": one.is_met, "mark": one.mark}) for one in figures],
        "false_rollback": [
            {**_cell(service), "rules": {rule: _share(alarms, rule) for rule in alarms.runs}}
            for service, alarms in results.alarms["null"].items()
        ],
        "delay": [_delay_row(results, service) for service in results.alarms["worse"]],
        "rollouts": [
            {**_cell(service), "experiment": kind, "rules": _ends(cell)}
            for kind, cells in results.rollouts.items()
            for service, cell in cells.items()
        ],
    }


def _cell(service: Service) -> dict[str, Any]:
    return {
        "scenario": service.scenario.name,
        "requests_per_second": service.rate,
        "bad_rate": service.bad_rate,
        "ratio": service.ratio,
    }


def _share(alarms: Alarms, rule: str) -> dict[str, float]:
    return {
        "share": alarms.found(rule), "error": alarms.found_error(rule), "runs": alarms.runs[rule],
    }  # fmt: skip


def _delay_row(results: Results, service: Service) -> dict[str, Any]:
    alarms = results.alarms["worse"][service]
    rules = {
        rule: _plain(
            {
                **_share(alarms, rule),
                "delay_seconds": alarms.delay(rule),
                "delay_error": alarms.delay_error(rule),
                "delay_seconds_with_horizon": alarms.restricted_delay(rule),
                "bad_requests": alarms.bad_requests(rule),
            }
        )
        for rule in alarms.runs
    }
    bounds = {"kl_bound": kl_bound(service), "burst_proof_bound": robust_bound(service)}
    tuned = {"argo_tuned_seconds": argo_tuned(results, service).value}
    return _plain({**_cell(service), **bounds, **tuned, "rules": rules})


def _ends(cell: dict[str, rollouts.Rollouts]) -> dict[str, Any]:
    return {
        rule: _plain(
            {
                "runs": len(ended.ended),
                **{str(end): ended.share(end) for end in End},
                "promoted_error": ended.error(End.promoted),
                "promoted_seconds": ended.seconds(End.promoted),
                "rolled_back_seconds": ended.seconds(End.rolled_back),
                "bad_requests": ended.bad(),
                "first_step": ended.first_reasons(),
            }
        )
        for rule, ended in cell.items()
    }


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """JSON knows neither NaN nor infinity: both become null."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in row.items()
    }
