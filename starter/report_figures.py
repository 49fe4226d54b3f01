"""Which figures a report has: evidence against its thresholds, bad shares, weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from domain.judge.counts import Counts
from domain.judge.sentences import BAD_WORDS
from domain.report import Report
from domain.trace import MetricPoint
from starter.figures import Curve, Dot, Figure, Look, Table, Threshold, decades
from starter.report_moments import TABLE_ROWS, Frame, Moment, Value, chosen, frame, place

NOTHING = Threshold(1.0, "1: says nothing either way", decides=False)
# A block's share is cut off where it would press everything else flat.
ROOM = 3.0
SHARE_TITLES = {
    "errors": "Errors: share of requests that failed",
    "slow": "Slow: share of requests slower than the limit",
    "restarts": "Restarts per pod and scrape",
}
Drawn = tuple[str, Look, Value]


def figures(report: Report) -> tuple[Figure, ...]:
    """Every figure that has something to show, in reading order."""
    if not report.steps:
        return ()
    common = frame(report)
    found = [_against(common), *_proofs(common), *_shares(common)] if common.moments else []
    return (*found, _weights(report, common))


def without_events(report: Report) -> tuple[str, ...]:
    """Metrics of which neither arm had a bad event: their figure would be empty."""
    if not report.steps:
        return ()
    common = frame(report)
    return tuple(name for name in common.metrics if not _has_events(common, name))


def number(value: float) -> str:
    """Evidence for people: `0.042`, `37.5`, `1,900`, `1.2e-07`."""
    return f"{value:,.0f}" if 1000 <= value < 1e6 else f"{value:.3g}"


def _weights(report: Report, common: Frame) -> Figure:
    weights, panels = report.weights, common.panels
    ends = [*(later.at for later in weights[1:]), panels[-1].end]
    dots = [Dot(place(weights[0].at, panels), 0.0, joined=False)] if weights else []
    for weight, end in zip(weights, ends, strict=False):
        level = weight.percent / 100
        dots += [Dot(place(weight.at, panels), level), Dot(place(end, panels), level)]
    rows = tuple((common.clock_time(one.at), f"{one.percent} %") for one in weights)
    return Figure(
        key="weight",
        title="Weight: share of production sent to the new revision",
        told="what the router was told, step by step",
        panels=panels,
        curves=(Curve("new revision", Look.WEIGHT, tuple(dots)),),
        thresholds=(),
        bands=common.bands,
        low=0.0,
        high=1.0,
        percent=True,
        table=Table(("since (UTC)", "weight"), rows, len(rows)),
    )


def _against(common: Frame) -> Figure:
    levels = sorted({moment.trace.thresholds.roll_back for moment in common.moments})
    drawn: list[Drawn] = [("all metrics", Look.MERGED, lambda moment: moment.point.evidence)]
    if len(common.metrics) > 1:
        drawn += [(n, look_of(n), _of(n, lambda one: one.worse)) for n in common.metrics]
    return _evidence_figure(
        common,
        ("against", "Evidence against the canary", "how much speaks for a canary that is worse"),
        drawn,
        [Threshold(level, f"roll back at {level:g}") for level in levels],
    )


def _proofs(common: Frame) -> Iterator[Figure]:
    levels = sorted({moment.trace.thresholds.promote for moment in common.moments})
    thresholds = [Threshold(level, f"promote at {level:g}") for level in levels]
    margins = {m.step.title: m.trace.margin for m in common.moments if m.trace.compared}
    spoken = ", ".join(f"{margin:g}x at {title}" for title, margin in margins.items())
    relative = (
        "relative",
        "Proof by comparison with stable",
        f"how much speaks for a canary that is not worse by the step's margin ({spoken})",
    )
    limit = (
        "limit",
        "Proof by the plan's limits",
        "how much speaks for a canary within the limit, of each step by itself",
    )
    for words, part in ((relative, _not_worse), (limit, _under_limit)):
        drawn = [(name, look_of(name), _of(name, part)) for name in common.metrics]
        if any(value(moment) for _, _, value in drawn for moment in common.moments):
            yield _evidence_figure(common, words, drawn, thresholds)


def _evidence_figure(
    common: Frame, words: tuple[str, str, str], drawn: Sequence[Drawn], levels: Sequence[Threshold]
) -> Figure:
    key, title, told = words
    curves = [(one, common.curve(*one)) for one in drawn]
    shown = [(one, curve) for one, curve in curves if curve.dots]
    values = [dot.y for _, curve in shown for dot in curve.dots]
    low, high = decades([*values, *(level.value * 5 for level in levels)])
    return Figure(
        key=key,
        title=title,
        told=told,
        panels=common.panels,
        curves=tuple(curve for _, curve in shown),
        thresholds=(*levels, NOTHING),
        bands=common.bands,
        low=low,
        high=high,
        percent=False,
        table=_evidence_table(common, [one for one, _ in shown], levels),
    )


def _evidence_table(common: Frame, drawn: Sequence[Drawn], levels: Sequence[Threshold]) -> Table:
    """Values by block; where there are too many, those at extremes and crossings stay."""
    important: list[Moment] = []
    for _, _, value in drawn:
        told = [(found, m) for m in common.moments if (found := value(m)) is not None]
        important.append(max(told, key=lambda one: one[0])[1])
        for level in levels:
            crossed = [
                later
                for (was, _), (now, later) in pairwise(told)
                if (was >= level.value) != (now >= level.value)
            ]
            important += crossed[:2]
    rows = tuple(
        (
            common.clock_time(moment.point.at),
            moment.step.title,
            *("-" if (v := value(moment)) is None else number(v) for _, _, value in drawn),
        )
        for moment in chosen(common.moments, important)
    )
    names = [name for name, _, _ in drawn]
    return Table(("block until (UTC)", "step", *names), rows, len(common.moments))


def _shares(common: Frame) -> Iterator[Figure]:
    for name in common.metrics:
        if not _has_events(common, name):
            continue
        drawn = (
            ("canary, each block", Look.CANARY_BLOCKS, _block_share(name, "canary")),
            ("stable, each block", Look.STABLE_BLOCKS, _block_share(name, "stable")),
            ("canary, step so far", Look.CANARY, _step_share(name, "canary")),
            ("stable, step so far", Look.STABLE, _step_share(name, "stable")),
        )
        curves = tuple(curve for one in drawn if (curve := common.curve(*one)).dots)
        limits = {m.trace.limits[name] for m in common.moments if name in m.trace.limits}
        yield Figure(
            key=f"share-{name}",
            title=SHARE_TITLES.get(name, f"{name}: share that was bad"),
            told="of each arm, block by block and over the step so far",
            panels=common.panels,
            curves=curves,
            thresholds=tuple(Threshold(v, f"the plan's limit: {100 * v:g} %") for v in limits),
            bands=common.bands,
            low=0.0,
            high=_top(curves, limits),
            percent=True,
            table=_share_table(common, name),
        )


def _top(curves: Sequence[Curve], limits: set[float]) -> float:
    blocks = [d.y for curve in curves if curve.look.is_dotted for d in curve.dots]
    lines = [d.y for curve in curves if not curve.look.is_dotted for d in curve.dots]
    needed = max([*(1.5 * limit for limit in limits), *(1.15 * value for value in lines), 0.001])
    return min(max(needed, min(1.05 * max(blocks, default=0.0), ROOM * needed)), 1.0)


def _share_table(common: Frame, name: str) -> Table:
    word = BAD_WORDS.get(name, name)
    arms = (f"canary {word}", f"stable {word}")
    header = ("block until (UTC)", "step", *arms, *(f"{arm}, step so far" for arm in arms))
    told = [moment for moment in common.moments if name in moment.point.metrics]
    worst = sorted(told, key=lambda moment: -moment.counts(name).canary_bad)[: TABLE_ROWS // 4]
    rows = []
    for moment in chosen(told, worst):
        both = (moment.counts(name), moment.point.metrics[name].step)
        shares = [_told(counts, arm) for counts in both for arm in ("canary", "stable")]
        rows.append((common.clock_time(moment.point.at), moment.step.title, *shares))
    return Table(header, tuple(rows), len(told))


def look_of(name: str) -> Look:
    """How a metric's own curve is drawn."""
    return Look(name) if name in ("errors", "slow", "restarts") else Look.OTHER


def _not_worse(metric: MetricPoint) -> float:
    return metric.not_worse


def _under_limit(metric: MetricPoint) -> float:
    return metric.under_limit


def _of(name: str, part: Callable[[MetricPoint], float]) -> Value:
    """A metric's evidence; nothing where it was not judged, or where there is no such proof."""

    def value(moment: Moment) -> float | None:
        metric = moment.point.metrics.get(name)
        return (part(metric) or None) if metric is not None else None

    return value


def _block_share(name: str, arm: str) -> Value:
    return lambda moment: _part(moment.counts(name), arm)


def _step_share(name: str, arm: str) -> Value:
    def value(moment: Moment) -> float | None:
        metric = moment.point.metrics.get(name)
        return _part(metric.step, arm) if metric is not None else None

    return value


def _part(counts: Counts, arm: str) -> float | None:
    requests, bad = _arm(counts, arm)
    return bad / requests if requests else None


def _told(counts: Counts, arm: str) -> str:
    requests, bad = _arm(counts, arm)
    return f"{bad} of {requests}" if requests else "-"


def _arm(counts: Counts, arm: str) -> tuple[int, int]:
    if arm == "canary":
        return counts.canary_requests, counts.canary_bad
    return counts.stable_requests, counts.stable_bad


def _has_events(common: Frame, name: str) -> bool:
    return any(moment.counts(name).bad for moment in common.moments)
