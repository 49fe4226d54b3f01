"""From what is known of a release to its report: its state, its bundle's records, or both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from domain.bundle import Bundle, BundleReference
from domain.canary import ERRORS, SLOW
from domain.commands import AcceptedCommand
from domain.evidence import Evidence
from domain.judge.counts import Counts
from domain.phases import Phase
from domain.plan import Factor, ServicePlan
from domain.release import ReleaseState
from domain.report import Report, SoakClock, Step, Usage, Voice, Weight
from domain.trace import Trace

LAST_STEP = 100


@dataclass(frozen=True)
class Sources:
    """What a report is made of; at least a state, a trace or evidence is there.

    `now` is when a running release was asked, `notes` tell what could not be read. `commands` are
    those that the records prove: approvals, and promotions by hand.
    """

    reference: BundleReference | None
    state: ReleaseState | None = None
    bundle: Bundle | None = None
    evidence: tuple[tuple[str, Evidence], ...] = ()
    traces: tuple[Trace, ...] = ()
    notes: tuple[str, ...] = ()
    commands: tuple[AcceptedCommand, ...] = ()
    now: datetime | None = None


def release_of(sources: Sources) -> str:
    """Whose report it is: the state's release, else the last whose records the bundle has."""
    if sources.state is not None:
        return sources.state.request.release_id
    seen = [(trace.since, trace.release_id) for trace in sources.traces]
    seen += [(one.opened_at, one.release_id) for _, one in sources.evidence]
    return max(seen)[1] if seen else ""


def compile_report(sources: Sources) -> Report:
    """Put everything in order; equal sources give equal reports."""
    release, state = release_of(sources), sources.state
    steps = _steps([trace for trace in sources.traces if trace.release_id == release])
    digest, evidence = _evidence(sources, release)
    plan = _plan(sources)
    said = _of_state(state, sources.now) if state is not None else _of_records(sources, steps)
    known: dict[str, object] = {
        "release_id": release,
        "service": _service(sources),
        "bundle": sources.reference,
        "from_records_only": state is None,
        "evidence": digest,
        "people": _people(sources),
        "soak_clock": _clock(plan.rehearsal.soak) if plan else "",
        "canary_clock": _clock(plan.rehearsal.canary) if plan else "",
        "soak": _soak(state, evidence, plan),
        "weights": _weights(state, steps),
        "steps": steps,
        "usage": _usage(steps),
        "notes": (*sources.notes, *_missing(sources, release, steps)),
    }
    if evidence is not None:
        known |= {
            "config_diff": evidence.config_diff,
            "replaces": evidence.stable.revision if evidence.stable else "",
            "authors": evidence.change.authors,
            "started_by": evidence.change.started_by,
            "image": evidence.image,
            "records": evidence.records,
            "rehearsal": evidence.rehearsal.sentence,
        }
    return Report.model_validate(known | said)


def _of_state(state: ReleaseState, now: datetime | None) -> dict[str, object]:
    request, running = state.request, not state.is_over
    known: dict[str, object] = {
        "commit": request.commit,
        "started_by": request.started_by,
        "revision": state.revision if state.bundle else "",
        "outcome": state.outcome or f"RUNNING: {state.phase}",
        "sentence": state.sentence,
        "as_of": now if running else None,
        "started_at": state.started_at,
        "ended_at": state.ended_at,
        "waiting_for": state.waiting_for or "",
        "stages": state.stages,
        "rollback": state.rollback or "",
    }
    if state.image:
        known["image"] = state.image
    if state.change is not None:
        known["authors"] = state.change.authors
    if state.records:
        known["records"] = state.records
    if state.rehearsal is not None:
        known["rehearsal"] = state.rehearsal.sentence
    return known


def _of_records(sources: Sources, steps: Sequence[Step]) -> dict[str, object]:
    """How it ended is not among the records: the last verdict is the most they can say."""
    commit = {"commit": sources.bundle.commit} if sources.bundle else {}
    last = [trace for step in steps for trace in step.traces][-1:]
    unknown = "how the release ended is not in the records"
    if not last:
        return {
            **commit,
            "outcome": "UNKNOWN",
            "sentence": f"never judged in production; {unknown}",
        }
    (trace,) = last
    return {
        **commit,
        "revision": trace.revision,
        "outcome": f"LAST VERDICT {trace.verdict} at {trace.weight} %",
        "sentence": unknown,
    }


def _steps(traces: Sequence[Trace]) -> tuple[Step, ...]:
    ordered = sorted(traces, key=lambda one: one.order)
    steps: list[Step] = []
    for (since, weight), group in groupby(ordered, key=lambda one: (one.since, one.weight)):
        found = tuple(group)
        again = weight == LAST_STEP and any(step.weight == LAST_STEP for step in steps)
        steps.append(
            Step(
                title="watch" if again else f"{weight} %",
                weight=weight,
                start=since,
                end=max(one.judged_at for one in found),
                traces=found,
            )
        )
    return tuple(steps)


def _weights(state: ReleaseState | None, steps: Sequence[Step]) -> tuple[Weight, ...]:
    """When each weight took effect; the way back only where the state knows when it was done."""
    found = [Weight(at=step.start, percent=step.weight) for step in steps if step.title != "watch"]
    back = [
        stage
        for stage in (state.stages if state else ())
        if stage.phase is Phase.ROLLBACK and stage.ended_at is not None
    ]
    if found and state is not None and state.weight == 0 and back:
        at = back[-1].ended_at or back[-1].started_at
        found.append(Weight(at=max(at, found[-1].at), percent=0))
    return tuple(found)


def _usage(steps: Sequence[Step]) -> Usage | None:
    errors = slow = Counts()
    told_slow = False
    points = [p for step in steps for trace in step.traces for p in trace.points]
    for point in points:
        for name, metric in point.metrics.items():
            if metric.counts is not None and name == ERRORS:
                errors += metric.counts
            if metric.counts is not None and name == SLOW:
                slow, told_slow = slow + metric.counts, True
    return Usage(errors=errors, slow=slow if told_slow else None) if points else None


def _evidence(sources: Sources, release: str) -> tuple[str, Evidence | None]:
    """The frozen evidence that counted, else the last one."""
    frozen = {digest: one for digest, one in sources.evidence if one.release_id == release}
    state = sources.state
    if state is not None and state.evidence is not None:
        return state.evidence.digest, frozen.get(state.evidence.digest)
    named = [a.command.statement.evidence or "" for a in sources.commands]
    for digest in reversed(named):
        if digest in frozen:
            return digest, frozen[digest]
    last = sorted(frozen.items(), key=lambda item: (item[1].opened_at, item[0]))[-1:]
    return last[0] if last else ("", None)


def _people(sources: Sources) -> tuple[Voice, ...]:
    state = sources.state
    accepted = state.commands if state is not None else sources.commands
    voices = [
        Voice(
            at=one.at,
            who=one.principal,
            said=one.command.name,
            reason=one.command.statement.reason,
            signed=one.verified,
            counted=True,
            evidence=one.command.statement.evidence,
            held=one.command.statement.held,
        )
        for one in accepted
    ]
    refused = state.refusals if state is not None else ()
    voices += [
        Voice(at=one.at, who=one.actor, said=one.name, reason=one.why, signed=False, counted=False)
        for one in refused
    ]
    return tuple(sorted(voices, key=lambda voice: voice.at))


def _soak(
    state: ReleaseState | None, evidence: Evidence | None, plan: ServicePlan | None
) -> SoakClock | None:
    """The frozen record, else what the running release says."""
    record = evidence.soak if evidence else None
    progress = (state.soak if state else None) or (record.progress if record else None)
    rules = record.plan if record else (plan.soak if plan else None)
    if progress is None or rules is None:
        return None
    skipped = f"{record.skipped_by}: {record.skip_reason}" if record and record.skipped_by else ""
    return SoakClock(
        goal=progress.goal,
        earned=progress.earned,
        elapsed=progress.elapsed,
        planned=rules.duration,
        windows=progress.windows,
        unhealthy=progress.unhealthy,
        resets=progress.resets,
        on_unhealthy=rules.on_unhealthy,
        last=progress.last,
        sentence=progress.sentence,
        unknown=progress.unknown,
        drift=progress.drift,
        skipped=skipped,
        stretches=progress.stretches,
    )


def _plan(sources: Sources) -> ServicePlan | None:
    if sources.state is not None:
        return sources.state.request.plan
    return sources.bundle.plan if sources.bundle else None


def _service(sources: Sources) -> str:
    if sources.state is not None:
        return sources.state.request.service
    if sources.bundle is not None:
        return sources.bundle.service
    named = [one.service for _, one in sources.evidence]
    named += [trace.service for trace in sources.traces]
    return named[0] if named else ""


def _clock(clock: Factor) -> str:
    return "" if clock.planned == clock.real else f"rehearsal clock {clock}"


def _missing(sources: Sources, release: str, steps: Sequence[Step]) -> list[str]:
    """What a reader would look for and not find, in words."""
    notes = []
    others = {trace.release_id for trace in sources.traces} | {
        one.release_id for _, one in sources.evidence
    }
    if others - {release}:
        named = ", ".join(sorted(others - {release}))
        notes.append(f"the same bundle was released at other times too: {named}")
    stored = {t.record.digest for step in steps for t in step.traces if t.record is not None}
    for verdict in sources.state.verdicts if sources.state else ():
        if verdict.record is None or verdict.record.digest not in stored:
            notes.append(
                f"{verdict.weight} %: {verdict.verdict}: its blocks are not in the registry:"
                f" {verdict.sentence}"
            )
    for trace in (trace for step in steps for trace in step.traces):
        if trace.problem:
            said = trace.verdict if trace.as_of is None else "running"
            notes.append(f"{trace.weight} %: {said}: {trace.problem}")
    now = sources.state.weight if sources.state and not sources.state.is_over else 0
    if now and (not steps or steps[-1].weight != now):
        notes.append(f"production is at {now} % now: a step's blocks are stored with its verdict")
    if sources.state is None and _plan(sources) is None:
        notes.append("the bundle's plan cannot be read: a rehearsal clock would not be shown")
    return notes
