"""One stream watched by every rule at once for two hours: when each of them raises its alarm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from random import Random

from benchmarks.judge.alarms import Alarms
from benchmarks.judge.kayenta import Kayenta
from benchmarks.judge.peers import Argo, ArgoGrid, Flagger
from benchmarks.judge.streams import BLOCK, HORIZON, Service, Tally, Traffic, merged
from benchmarks.judge.twin import NotWorse, Worse
from domain.judge import Stakes

ALPHA, BETA, MIN_BLOCKS = 0.01, 0.05, 3
MINUTE, FIVE_MINUTES = 6, 30

OURS, TOLERANT = "ours, rho0=1.0", "ours, rho0=1.1"
OURS_MINUTE, TOLERANT_MINUTE = "ours, rho0=1.0, 60 s", "ours, rho0=1.1, 60 s"
OURS_GAPS, TOLERANT_GAPS = "ours, rho0=1.0, 20 % missing", "ours, rho0=1.1, 20 % missing"
MERGED = "ours, rho0=1.1, 3 metrics"
PROMOTED = "ours, promoted at margin 2"
KAYENTA, KAYENTA_EARLY = "Kayenta, from 10 points", "Kayenta, from 5 points"
ARGO_DOCS, FLAGGER_DOCS, FLAGGER_TWICE = "Argo docs", "Flagger docs", "Flagger 2x base"
PEERS = (ARGO_DOCS, FLAGGER_DOCS, FLAGGER_TWICE, KAYENTA)

Detector = Callable[[Tally], bool]


class Panel:
    """Rules that get one value every so many blocks; each is asked until it fires."""

    def __init__(self, every: int, rules: dict[str, Detector], alarms: Alarms) -> None:
        self._every, self._alarms = every, alarms
        self._open = list(rules.items())
        self._pending: list[Tally] = []
        for name in rules:
            alarms.runs[name] = 1

    @property
    def done(self) -> bool:
        """Whether every rule has fired."""
        return not self._open

    def observe(self, tally: Tally, now: float, canary_bad: int) -> None:
        """One block that ended at `now`; `canary_bad` counts the canary's bad requests so far."""
        if self._every > 1:
            self._pending.append(tally)
            if len(self._pending) < self._every:
                return
            tally, self._pending = merged(self._pending), []
        fired = [name for name, detects in self._open if detects(tally)]
        if fired:
            self._open = [rule for rule in self._open if rule[0] not in fired]
            for name in fired:
                self._alarms.fire(name, now, canary_bad)


def watch(service: Service, seed: str, *, peers: bool) -> Alarms:
    """One run over the horizon at the scenario's weights.

    A rule that has fired is asked no more, but Argo's grid goes on: only then is it known which
    of its settings would have been the best.
    """
    alarms = Alarms()
    own = regression(1.0, {OURS: 1}) | regression(1.1, {TOLERANT: 1, MERGED: 3})
    slow = regression(1.0, {OURS_MINUTE: 1}) | regression(1.1, {TOLERANT_MINUTE: 1})
    panels = [Panel(1, own, alarms), Panel(MINUTE, slow, alarms)]
    if peers:
        panels += _incumbents(service, alarms)
    grid, bad = ArgoGrid(service.bad_rate), 0
    for index, tally in enumerate(Traffic(service, seed).blocks()):
        bad += tally.canary_bad
        for panel in panels:
            panel.observe(tally, (index + 1) * BLOCK, bad)
        grid.measure(index, tally)
    alarms.add_grid(grid)
    return alarms


def watch_gaps(service: Service, seed: str) -> Alarms:
    """One run of ours where a fifth of the scrapes is missing."""
    alarms = Alarms()
    rules = regression(1.0, {OURS_GAPS: 1}) | regression(1.1, {TOLERANT_GAPS: 1})
    panel = Panel(1, rules, alarms)
    bad = 0
    for index, tally in with_gaps(service, seed):
        bad += tally.canary_bad
        panel.observe(tally, (index + 1) * BLOCK, bad)
        if panel.done:
            break
    return alarms


def watch_promotion(service: Service, seed: str, margin: float) -> Alarms:
    """One run of the relative rule that promotes, on a canary exactly at its margin."""
    alarms = Alarms()
    proof, blocks = NotWorse(margin), 0

    def proven(tally: Tally) -> bool:
        nonlocal blocks
        blocks += 1
        return proof.observe(*tally) >= 1 / BETA and blocks >= MIN_BLOCKS

    panel, bad = Panel(1, {PROMOTED: proven}, alarms), 0
    for index, tally in enumerate(Traffic(service, seed).blocks()):
        bad += tally.canary_bad
        panel.observe(tally, (index + 1) * BLOCK, bad)
        if panel.done:
            break
    return alarms


def with_gaps(service: Service, seed: str, missing: float = 0.2) -> Iterator[tuple[int, Tally]]:
    """Blocks whose scrape came, with their index: a difference covers the ones that did not.

    Never over a change of the weight: what was pending then is lost, as in the data rules.
    """
    lost, traffic = Random(f"{seed} gaps"), Traffic(service, seed)  # noqa: S311 - simulation
    pending: list[Tally] = []
    weight = service.scenario.weight(0)
    for index in range(HORIZON):
        now = service.scenario.weight(index / HORIZON)
        if now != weight:
            pending, weight = [], now
        pending.append(traffic.block(weight))
        if lost.random() >= missing:
            yield index, merged(pending)
            pending = []


def regression(rho0: float, metrics: dict[str, int]) -> dict[str, Detector]:
    """Our rollback by one evidence: at 1 / alpha, not before the third block.

    Each name is a rule that judges so many metrics. Of several the evidence is the mean; the
    others have no event, so their E stays 1.
    """
    worse, blocks, last = Worse(rho0, Stakes.counted), 0, None

    def fires(needed: float, tally: Tally) -> bool:
        nonlocal blocks, last
        if tally is not last:
            last, blocks = tally, blocks + 1
            worse.observe(*tally)
        return worse.evidence >= needed and blocks >= MIN_BLOCKS

    return {name: partial(fires, many / ALPHA - (many - 1)) for name, many in metrics.items()}


def _incumbents(service: Service, alarms: Alarms) -> list[Panel]:
    argo = Argo(0.05, failure_limit=3)
    flagger = {FLAGGER_DOCS: Flagger(0.01), FLAGGER_TWICE: Flagger(2 * service.bad_rate)}
    by_minute = {name: _flagger(rule) for name, rule in flagger.items()}
    by_minute[KAYENTA] = _kayenta(first_look=10)
    if service.ratio > 1:
        by_minute[KAYENTA_EARLY] = _kayenta(first_look=5)
    docs: dict[str, Detector] = {
        ARGO_DOCS: lambda tally: argo.measure(tally.canary, tally.canary_bad)
    }
    return [Panel(MINUTE, by_minute, alarms), Panel(FIVE_MINUTES, docs, alarms)]


def _flagger(rule: Flagger) -> Detector:
    return lambda tally: rule.check(tally.canary, tally.canary_bad)[1]


def _kayenta(first_look: int) -> Detector:
    kayenta = Kayenta(first_look)

    def fires(tally: Tally) -> bool:
        canary = tally.canary_bad / tally.canary if tally.canary else None
        stable = tally.stable_bad / tally.stable if tally.stable else None
        return kayenta.add(canary, stable)

    return fires
