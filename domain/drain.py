"""When a revision that nobody is sent to may be taken away: what its counters must say first.

How a revision counts its requests is noted on its Deployment when it is created, from the plan of
its verified bundle: who retires it later needs neither the registry nor anybody's word.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import ValidationError

from domain import labels
from domain.arm_readings import Arm, seen_pods
from domain.metrics.measure import Measure
from domain.metrics.plan import MetricsPlan
from domain.metrics.templates import OTEL_HTTP
from domain.revision import Manifest
from domain.samples import Span, sample

SCRAPES_OF_SILENCE = 2


def note_of(metrics: MetricsPlan) -> str:
    """How a revision's requests are counted, as its annotation says it."""
    return metrics.model_dump_json(exclude_defaults=True)


def noted_measure(deployment: Manifest) -> Measure | None:
    """How a live revision's requests are counted; None where its note cannot be read.

    Without a note (created before there was one) it is what a plan means that says nothing.
    """
    note = (deployment["metadata"].get("annotations") or {}).get(labels.METRICS)
    if note is None:
        return OTEL_HTTP
    try:
        return MetricsPlan.model_validate_json(note).measure
    except ValidationError:
        return None


def is_silent(arm: Arm, span: Span) -> bool:
    """Whether nobody asked since `span.since`, seen in two scrapes at least; unknown is not silent.

    Known is what every pod (every proxy, where proxies count) tells by a counter of all requests.
    A pod may lack it while another of the same revision has it: then it had no request yet.
    """
    if not _counts_everything(arm) or not _all_heard(arm, span.since) or _began(arm, span.since):
        return False
    samples = sample(arm, None, span)
    counts = [block.counts["errors"] for block in samples.blocks if "errors" in block.counts]
    return len(counts) >= SCRAPES_OF_SILENCE and not any(c.canary_requests for c in counts)


def _counts_everything(arm: Arm) -> bool:
    """A counter of successes alone, or of failures alone, keeps quiet while others are asked."""
    measure = arm.measure
    counted = arm.counts if measure.requests else arm.whole_buckets
    apart = arm.failures if measure.failures and measure.failures_counted == "apart" else counted
    return all(any(one.points for one in series) for series in (counted, apart))


def _all_heard(arm: Arm, since: datetime) -> bool:
    """Whether each pod, or proxy that ever counted for it, was scraped often enough since then."""
    (seen,) = seen_pods([arm])
    least = since.timestamp()
    silent = SCRAPES_OF_SILENCE
    told = all(
        sum(time > least for time in times) >= silent
        for targets in seen.values()
        for times in targets.values()
    )
    return told and (arm.measure.arm is not None or arm.started.keys() <= seen.keys())


def _began(arm: Arm, since: datetime) -> bool:
    """Whether a counter was first seen since then and is above 0: by how much it rose, nobody saw.

    Proxies, and pods without `up`, do not tell that they were scraped before it was there.
    """
    least = since.timestamp()
    return any(
        one.points[0][0] > least and one.points[-1][1] > 0
        for one in arm.requests
        if one.points and not arm.measure.is_probe(one.labels)
    )
