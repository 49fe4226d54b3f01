"""What is wrong with what the observer sees: empty, overlapping, all pods, stale, and why.

A query that matches nothing, both arms or every pod gives a verdict about the wrong pods: each
finding names the pods and what to correct.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta

from domain.arm_readings import CLOCK_SLACK
from domain.observer import CANARY, ArmSummary, ArmView, Fault, Finding, Inspection, Surroundings
from domain.quantities import format_duration
from domain.samples import SILENT_INTERVALS, common_edges, nearest_edge
from domain.scrapes import SCRAPER_LABELS, Series, is_count, moment

# A pod that is up for so many scrapes has had its chance to show a series.
SETTLED_SCRAPES = 3
# An edge further away than this factor says nothing about the limit.
NEAR_EDGE = 2.0
TOLD_PODS = 3
Identity = tuple[str, frozenset[tuple[str, str]]]
Rule = Callable[[Sequence[ArmView], Surroundings], Iterator[Finding]]


def inspect(arms: Sequence[ArmView], around: Surroundings, slow_above: timedelta) -> Inspection:
    """Everything that is wrong with what the observer sees of the canary, then of stable."""
    edge = nearest_edge(common_edges([view.arm for view in arms]), slow_above)
    findings = [finding for rule in RULES for finding in rule(arms, around)]
    findings += _edges(arms, edge, slow_above)
    return Inspection(
        arms=tuple(map(_summary, arms)), edge=edge, findings=tuple(dict.fromkeys(findings))
    )


def needs_survey(arms: Sequence[ArmView]) -> bool:
    """Whether an arm has ready pods without series: why, only the rest of the source tells."""
    return any(view.unseen for view in arms)


def _summary(view: ArmView) -> ArmSummary:
    last = [item.points[-1][0] for item in view.requests]
    return ArmSummary(
        name=view.name,
        selector=view.selector,
        pods=len(view.pods),
        pods_with_series=view.with_series,
        series=len(view.requests),
        latest=moment(max(last)) if last else None,
    )


def _without_pods(arms: Sequence[ArmView], around: Surroundings) -> Iterator[Finding]:
    for view in arms:
        if not view.pods:
            yield Finding(
                fault=Fault.no_pods,
                arm=view.name,
                what=f"no ready pod in {around.namespace} carries {view.selector}",
                remedy=f"correct {view.name}'s labels, or wait until its pods are ready",
            )


def _overlapping(arms: Sequence[ArmView], _: Surroundings) -> Iterator[Finding]:
    for view, other in _pairs(arms):
        if view.is_of_proxies:
            yield from _counted_for_both(view, other)
            continue
        both = view.arm.started.keys() & other.arm.started.keys()
        theirs = view.seen & (other.arm.started.keys() - view.arm.started.keys())
        if both and view is arms[0]:
            yield Finding(
                fault=Fault.overlapping,
                arm=view.name,
                what=f"{_named(both)} carries the labels of both arms ({view.selector} and"
                f" {other.selector})",
                remedy="name each arm by a label that the other's pods do not have",
            )
        if theirs:
            yield Finding(
                fault=Fault.overlapping,
                arm=view.name,
                what=f"{view.name}'s query gives series of {other.name}'s {_named(theirs)}",
                remedy="let the query select by the label pod",
            )


def _counted_for_both(view: ArmView, other: ArmView) -> Iterator[Finding]:
    """Proxies tell arms apart by a label: a series that both arms are given is of neither."""
    own, theirs = ({_identity(item) for item in one.requests} for one in (view, other))
    if own & theirs and view.name == CANARY:
        yield Finding(
            fault=Fault.overlapping,
            arm=view.name,
            what=f"{len(own & theirs)} series are given for {view.name} and for {other.name}",
            remedy="correct the plan's metrics.arm: its pattern must name one Service",
        )


def _all_pods(arms: Sequence[ArmView], around: Surroundings) -> Iterator[Finding]:
    known = {pod for view in arms for pod in view.arm.started}
    for view in arms:
        if view.is_of_proxies:
            continue
        # A pod that is gone may have series yet; of one that is still scraped it is not so.
        fresh = {item.pod for item in view.requests if item.pod and not _is_old(item, around)}
        if strangers := fresh - known:
            yield Finding(
                fault=Fault.all_pods,
                arm=view.name,
                what=f"{view.name}'s query gives series of {_named(strangers)}, which is no arm's",
                remedy="the query ignores which pods it is asked for: let it select by the labels"
                " namespace and pod",
            )


def _unlabelled(arms: Sequence[ArmView], around: Surroundings) -> Iterator[Finding]:
    for view in arms:
        if nameless := [item for item in view.requests if not item.pod]:
            yield Finding(
                fault=Fault.no_pod_label,
                arm=view.name,
                what=f"{len(nameless)} series of {view.name} have no label pod",
                remedy="add it by relabelling where the pods are scraped: counters are compared"
                " pod by pod",
            )
        told = {item.labels.get("namespace", around.namespace) for item in view.requests}
        elsewhere = set() if view.is_of_proxies else told - {around.namespace}
        if elsewhere:
            yield _in_another_namespace(view, elsewhere, around)


def _empty(arms: Sequence[ArmView], around: Surroundings) -> Iterator[Finding]:
    for view in arms:
        if not view.unseen:
            continue
        elsewhere = {around.survey.elsewhere.get(pod, "") for pod in view.unseen} - {""}
        scraped = _scraped(view, arms)
        unscraped = [pod for pod in view.unseen if pod not in scraped]
        if elsewhere:
            yield _in_another_namespace(view, elsewhere, around)
        elif unscraped:
            yield _not_scraped(view, unscraped, around)
        else:
            yield from _without_requests(view, around)


def _without_requests(view: ArmView, around: Surroundings) -> Iterator[Finding]:
    """Every pod is scraped: those without a series had no request yet, or count them otherwise."""
    settled = SETTLED_SCRAPES * around.scrape
    old = [pod for pod in view.unseen if around.now - view.pods[pod] > settled]
    if view.name == CANARY or not old:
        return
    if view.seen or around.quiet_allowed:
        yield Finding(
            fault=Fault.quiet_pods,
            arm=view.name,
            what=f"{view.name}'s {_named(old)} shows no {around.metric}",
            remedy="it has had no request yet",
        )
        return
    others = around.survey.pods
    known = f"{len(others)} other pods have it" if others else "nor does any other pod there"
    yield Finding(
        fault=Fault.empty,
        arm=view.name,
        what=f"{view.name}'s {_named(old)} is scraped and shows no {around.metric} ({known})",
        remedy="correct the plan's metrics template, or send the service a request if it never"
        " had one",
    )


def _not_scraped(view: ArmView, pods: Sequence[str], around: Surroundings) -> Finding:
    others = around.survey.pods
    seen = f"; {around.metric} is known of {_named(others)}" if others else ""
    return Finding(
        fault=Fault.empty if not view.seen else Fault.not_scraped,
        arm=view.name,
        what=f"there is no series of {view.name}'s {_named(pods)}{seen}",
        remedy="let the metrics source scrape it, with the labels namespace and pod as Kubernetes"
        " names them",
    )


def _in_another_namespace(view: ArmView, found: Iterable[str], around: Surroundings) -> Finding:
    names = ", ".join(name or "(none)" for name in sorted(found))
    return Finding(
        fault=Fault.wrong_namespace,
        arm=view.name,
        what=f"series of {view.name}'s pods carry namespace {names}, not {around.namespace}",
        remedy="correct the namespace of the environment, or honor_labels where it is scraped",
    )


def _scraped(view: ArmView, arms: Sequence[ArmView]) -> frozenset[str]:
    """Pods that are known to be scraped; where the source tells it of no arm, restarts must do."""
    if view.is_of_proxies:
        return frozenset(view.pods)
    if any(item.points for one in arms for item in one.arm.up):
        return view.up
    return frozenset(item.pod for item in view.arm.restarts if item.points)


def _twice(arms: Sequence[ArmView], _: Surroundings) -> Iterator[Finding]:
    for view in arms:
        twice: set[str] = set()
        for metric in (view.arm.counts, view.arm.failures, view.arm.buckets):
            met: set[Identity] = set()
            for item in metric:
                identity = _identity(item, _ignored(view))
                twice |= {item.pod} if identity in met else set()
                met.add(identity)
        if twice:
            yield Finding(
                fault=Fault.twice,
                arm=view.name,
                what=f"{view.name}'s {_named(twice)} has the same series twice",
                remedy="two jobs scrape it: keep one",
            )


def _no_counts(arms: Sequence[ArmView], around: Surroundings) -> Iterator[Finding]:
    """One value that is no count spoils the block it is in, for both arms."""
    for view in arms:
        found = [
            item
            for item in (*view.requests, *view.arm.restarts)
            if item.points and not is_count(item.points[-1][1]) and not _is_old(item, around)
        ]
        if found:
            values = sorted({f"{item.points[-1][1]:g}" for item in found})
            yield Finding(
                fault=Fault.no_count,
                arm=view.name,
                what=f"{view.name}'s {_named({item.pod for item in found})} shows"
                f" {' and '.join(values[:TOLD_PODS])} in {len(found)} series: no count",
                remedy="correct what exposes the counter, or the plan's metrics if it is none",
            )


def _stale(arms: Sequence[ArmView], around: Surroundings) -> Iterator[Finding]:
    found = [item for view in arms for item in view.requests]
    if found and all(_is_old(item, around) for item in found):
        last = moment(max(item.points[-1][0] for item in found))
        age = format_duration(timedelta(seconds=round((around.now - last).total_seconds())))
        yield Finding(
            fault=Fault.stale_source,
            arm="",
            what=f"the metrics source answers stale data, the latest {age} old",
            remedy="look whether it still scrapes",
        )
        return
    for view in arms:
        fresh = {item.pod for item in view.requests if not _is_old(item, around)}
        if stale := view.seen & view.pods.keys() - fresh:
            yield Finding(
                fault=Fault.stale,
                arm=view.name,
                what=f"{view.name}'s {_named(stale)} is ready and no longer scraped",
                remedy=f"look at its target in the metrics source (a scrape is expected every"
                f" {format_duration(around.scrape)})",
            )


def _clocks(arms: Sequence[ArmView], around: Surroundings) -> Iterator[Finding]:
    last = max((item.points[-1][0] for view in arms for item in view.requests), default=0.0)
    ahead = last - around.now.timestamp()
    if ahead > CLOCK_SLACK:
        yield Finding(
            fault=Fault.clocks,
            arm="",
            what=f"the latest scrape is {ahead:.0f} s from now",
            remedy="the clocks of this machine and of the metrics source differ",
        )


def _restarts(arms: Sequence[ArmView], _: Surroundings) -> Iterator[Finding]:
    if any(view.pods for view in arms) and not any(view.arm.restarts for view in arms):
        yield Finding(
            fault=Fault.no_restarts,
            arm="",
            what="no container restarts are counted",
            remedy="kube-state-metrics would tell them; without it a crashing canary is judged by"
            " its requests alone",
        )


def _edges(arms: Sequence[ArmView], edge: float | None, limit: timedelta) -> list[Finding]:
    with_buckets = [one for one in arms if one.arm.buckets and one.arm.measure.tells_slow]
    wanted = limit.total_seconds()
    if not with_buckets or (edge is not None and wanted / NEAR_EDGE <= edge <= wanted * NEAR_EDGE):
        return []
    nearest = f"the nearest that all arms have is {edge:g} s" if edge else "the arms share none"
    return [
        Finding(
            fault=Fault.no_edge,
            arm="",
            what=f"no bucket edge near the latency limit of {format_duration(limit)}: {nearest}",
            remedy="add a bucket at the limit, or set limits.p95 to an edge there is",
        )
    ]


RULES: tuple[Rule, ...] = (
    _without_pods,
    _overlapping,
    _all_pods,
    _unlabelled,
    _empty,
    _twice,
    _no_counts,
    _stale,
    _clocks,
    _restarts,
)


def _pairs(arms: Sequence[ArmView]) -> Iterator[tuple[ArmView, ArmView]]:
    yield from ((view, other) for view in arms for other in arms if other is not view)


def _identity(item: Series, ignored: frozenset[str] = frozenset()) -> Identity:
    return item.pod, frozenset(pair for pair in item.labels.items() if pair[0] not in ignored)


def _ignored(view: ArmView) -> frozenset[str]:
    """Labels that tell who scraped; that by which a proxy names an arm is none of them."""
    proxied = view.arm.measure.arm
    return SCRAPER_LABELS - {proxied.label} if proxied else SCRAPER_LABELS


def _is_old(item: Series, around: Surroundings) -> bool:
    age = around.now.timestamp() - item.points[-1][0]
    return age > SILENT_INTERVALS * around.scrape.total_seconds() + CLOCK_SLACK


def _named(pods: Iterable[str]) -> str:
    """Some pods by name, and how many more."""
    ordered = sorted(pods)
    more = f" and {len(ordered) - TOLD_PODS} more" if len(ordered) > TOLD_PODS else ""
    return f"pod {', '.join(ordered[:TOLD_PODS])}{more}"
