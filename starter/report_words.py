"""A report's facts in words, the same for the page and for the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from domain.judge.verdict import Verdict
from domain.phases import Outcome, Phase
from domain.quantities import format_duration
from domain.report import Report, SoakClock, Step, Voice
from domain.trace import Trace
from starter.figures import rounded
from starter.report_figures import number

MARKS = {True: "✔", False: "✘", None: "…"}
# A release that was held for days has as many verdicts; what decided is always shown.
SHOWN_VERDICTS = 20
SPOKEN = {Verdict.PROMOTE: "PROMOTE", Verdict.ROLL_BACK: "ROLL BACK", Verdict.HOLD: "HOLD"}


def ended_well(report: Report) -> bool | None:
    """Whether the ending is what was wished for; None where there is none yet, or none known."""
    if report.outcome == Outcome.RELEASED:
        return True
    return False if report.outcome in set(Outcome) else None


def is_good(trace: Trace) -> bool | None:
    """Whether a verdict let the release go on; None: it decided nothing."""
    return None if trace.verdict is Verdict.HOLD else trace.verdict is Verdict.PROMOTE


def basis(report: Report) -> str:
    """What the report was made of, where that limits it; an empty string else."""
    if report.as_of is not None:
        waiting = f"; it waits for {report.waiting_for}" if report.waiting_for else ""
        return (
            f"Asked at {moment(report.as_of)}, while the release was running: this is not the"
            f" end{waiting}."
        )
    if report.from_records_only:
        return (
            "Made of the bundle's records in the registry alone: they hold verdicts, blocks and"
            " evidence, not the stages, nor how the release ended."
        )
    return ""


def facts(report: Report) -> Iterator[tuple[str, str]]:
    """What a reader looks for first, in order; facts that are not known are left out."""
    known = (
        ("release", report.release_id),
        ("started", moment(report.started_at) if report.started_at else ""),
        ("took", _took(report)),
        ("users", usage(report)),
        ("replaces", report.replaces),
        ("approved by", ", ".join(map(spoken_by, _counted(report, "approve")))),
        ("promoted by hand", ", ".join(map(spoken_by, _counted(report, "promote")))),
    )
    yield from ((name, told) for name, told in known if told)


def papers(report: Report) -> Iterator[tuple[str, str]]:
    """Names and digests, for who has to find or to prove it."""
    known = (
        ("commit", report.commit),
        ("authors", ", ".join(report.authors)),
        ("started by", report.started_by),
        ("new revision", report.revision),
        ("image", report.image),
        ("bundle", str(report.bundle) if report.bundle else ""),
        ("evidence", report.evidence),
        ("rehearsed", report.rehearsal),
        ("rolled back by", report.rollback),
    )
    yield from ((name, told) for name, told in known if told)


def spoken_by(voice: Voice) -> str:
    """Who signed what about which evidence or hold, when, and why."""
    how = "signed" if voice.signed else "not signed"
    of = " ".join(filter(None, (voice.evidence, voice.held)))
    reason = f": {voice.reason}" if voice.reason else ""
    return f"{voice.who} at {moment(voice.at)} ({how}{f' over {of}' if of else ''}){reason}"


def _counted(report: Report, said: str) -> list[Voice]:
    return [voice for voice in report.people if voice.said == said and voice.counted]


def usage(report: Report) -> str:
    """How many users' requests were seen and failed while production was judged."""
    if report.usage is None:
        return ""
    found = report.usage.errors
    parts = [f"{_bad(found.canary_requests, found.canary_bad)} at the new revision failed"]
    if found.stable_requests:
        parts.append(f"{_bad(found.stable_requests, found.stable_bad)} at stable")
    return f"{', '.join(parts)} (in the blocks that were judged)"


class Verdicted(NamedTuple):
    """A verdict and the step it was about."""

    step: Step
    trace: Trace


def verdicts(report: Report) -> tuple[list[Verdicted], int]:
    """The verdicts to show, and how many of the earlier holds are left out."""
    found = [Verdicted(step, trace) for step in report.steps for trace in step.traces]
    holds = [at for at, one in enumerate(found) if one.trace.verdict is Verdict.HOLD]
    hidden = set(holds[: max(len(found) - SHOWN_VERDICTS, 0)])
    return [one for at, one in enumerate(found) if at not in hidden], len(hidden)


def heading(one: Verdicted) -> str:
    """`10 %: ROLL BACK`, or of the watch; with the mark that says it without colour."""
    said = SPOKEN[one.trace.verdict]
    if one.trace.as_of is not None:
        said = f"running, no verdict yet (as of {one.trace.as_of:%H:%M:%S} UTC)"
    return f"{MARKS[is_good(one.trace)]} {one.step.title}: {said}"


def figures_of(trace: Trace, report: Report) -> str:
    """The verdict in numbers, and over which time."""
    length = lasted(trace.judged_at - trace.since, report.canary_clock)
    looked = "judged" if trace.as_of is None else "so far, at"
    return (
        f"evidence against {number(trace.evidence)} of {trace.thresholds.roll_back:g}; {looked}"
        f" {moment(trace.judged_at)}, {length} after the weight took effect"
    )


def errors_allowed(report: Report) -> str:
    """The error rates that the judge was told to keep, once for all verdicts."""
    alphas = sorted({trace.alpha for trace in report.traces})
    betas = sorted({trace.beta for trace in report.traces})
    rolled, passed = ("/".join(f"{100 * one:g} %" for one in found) for found in (alphas, betas))
    return (
        f"Of canaries that are no worse at most {rolled} are rolled back; of those at a step's"
        f" margin or at the limit at most {passed} are promoted, where a rule proves it."
    )


def recomputed(trace: Trace) -> str:
    """Whether the stored verdict is what its blocks say."""
    if trace.as_of is not None:
        return _carried(trace)
    if trace.problem:
        return f"NOT RECOMPUTED: {trace.problem}"
    if trace.differences:
        return f"DIFFERS from what was stored: {'; '.join(trace.differences[:5])}"
    return f"recomputed from its {trace.blocks} blocks: as stored"


def _carried(trace: Trace) -> str:
    """Of what a running step is drawn: of nothing that anybody may rely on."""
    if trace.problem:
        return f"it cannot be drawn yet: {trace.problem}"
    told = f"drawn from the {trace.blocks} blocks that its observer has by now: not a record"
    if trace.differences:
        return f"{told}; its state is not what they say: {'; '.join(trace.differences[:5])}"
    return told


def drawn_until(report: Report) -> str:
    """How far the figures go while a step is being judged; else an empty string."""
    running = report.running
    if running is None or not running.points:
        return ""
    return (
        f"{running.weight} % is still being judged: drawn as of {running.as_of:%H:%M:%S} UTC, no"
        " verdict yet; nothing of it is evidence."
    )


def replay_command(report: Report) -> str:
    """How anybody checks the stored verdicts; an empty string where there is none."""
    stored = any(trace.record is not None for trace in report.traces)
    return f"tidegate judge replay {report.bundle}" if report.bundle and stored else ""


def soak_facts(soak: SoakClock, clock: str) -> Iterator[tuple[str, str]]:
    """The soak's clock in words; every duration with the clock that shortened it."""
    yield "earned", f"{lasted(soak.earned, clock)} of {lasted(soak.goal, clock)}"
    yield "elapsed", lasted(soak.elapsed, clock)
    if soak.planned != soak.goal:
        yield "planned", f"{format_duration(soak.planned)}, before the rehearsal clock"
    yield "windows", f"{soak.windows}, {soak.unhealthy} of them unhealthy"
    rules = {"pause": "does not count", "reset": "starts the soak again",
             "credit": "is taken off what was earned"}  # fmt: skip
    yield "an unhealthy window", rules.get(soak.on_unhealthy, soak.on_unhealthy)
    if soak.unknown:
        yield "not known", f"{lasted(soak.unknown, clock)}: neither earned nor lost"
    if soak.drift:
        yield "drift", soak.drift
    if soak.resets:
        yield "started again", f"{soak.resets} times"
    if soak.skipped:
        yield "skipped by", soak.skipped
    if soak.last:
        yield "last window", soak.last


def clock_of(phase: Phase, report: Report) -> str:
    """The rehearsal clock of a stage, where it has one."""
    if phase is Phase.SOAK:
        return report.soak_clock
    return report.canary_clock if phase in (Phase.CANARY, Phase.WATCH) else ""


def lasted(length: timedelta, clock: str) -> str:
    """A duration, rounded, with the clock that shortened it."""
    told = format_duration(rounded(length))
    return f"{told} ({clock})" if clock else told


def clocks(report: Report) -> str:
    """The rehearsal clocks of the release, where it has any."""
    parts = [
        f"{what} {clock}"
        for what, clock in (("soak:", report.soak_clock), ("canary:", report.canary_clock))
        if clock
    ]
    return ", ".join(parts)


def moment(at: datetime) -> str:
    """A moment in UTC."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _took(report: Report) -> str:
    until = report.ended_at or report.as_of
    if report.started_at is None or until is None:
        return ""
    so_far = " so far" if report.ended_at is None else ""
    return lasted(until - report.started_at, clocks(report)) + so_far


def _bad(requests: int, bad: int) -> str:
    if not requests:
        return "no request"
    return f"{bad:,} of {requests:,} requests ({bad / requests:.3%})"
