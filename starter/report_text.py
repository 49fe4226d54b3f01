"""A report on a terminal: eighty columns, no colour, the same facts and figures as the page."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from domain.report import Report, SoakClock
from starter.bar_svg import spoken
from starter.figure_text import SPARK, WIDTH, bands_told, bar, lines
from starter.markup import cut, visible
from starter.report_figures import figures, without_events
from starter.report_words import (
    MARKS,
    Verdicted,
    basis,
    clock_of,
    clocks,
    drawn_until,
    ended_well,
    errors_allowed,
    facts,
    figures_of,
    heading,
    is_good,
    lasted,
    moment,
    papers,
    recomputed,
    replay_command,
    soak_facts,
    verdicts,
)
from starter.soak_figure import WORDS, soak_figure

SHOWN_WINDOWS = 8


def text(report: Report) -> str:
    """The whole report, without a newline at its end."""
    parts = (
        _top(report),
        _notes(report),
        _pairs(facts(report)),
        _verdicts(report),
        _figures(report),
        _soak(report),
        _story(report),
        _people(report),
        _pairs(papers(report)),
    )
    return visible("\n\n".join(filter(None, ("\n".join(part) for part in parts))))


def _top(report: Report) -> Iterator[str]:
    mark = MARKS[ended_well(report)]
    yield from _wrapped(f"{report.service} {report.commit[:10]}  {mark} {report.outcome}")
    yield from _wrapped(clocks(report))
    yield from _wrapped(report.sentence)
    yield from _wrapped(basis(report))


def _pairs(found: Iterable[tuple[str, str]]) -> Iterator[str]:
    told = list(found)
    width = max((len(name) for name, _ in told), default=0) + 2
    for name, value in told:
        yield from _wrapped(value, f"{name:<{width}}", " " * width)


def _verdicts(report: Report) -> Iterator[str]:
    shown, hidden = verdicts(report)
    if hidden:
        yield f"{hidden} earlier holds are left out; --output json has them"
    for one in shown:
        yield from _verdict(one, report)
    if shown:
        yield from _wrapped(errors_allowed(report))
        yield from _rules(shown)
        if command := replay_command(report):
            yield "Anybody can recompute them:"
            yield f"  {command}"


def _rules(shown: Iterable[Verdicted]) -> Iterator[str]:
    """What each rule takes for granted, once."""
    for reason, assumes in dict.fromkeys((one.trace.reason, one.trace.assumes) for one in shown):
        yield from _wrapped(f"Rule {reason}: {assumes}.", "", "  ")


def _verdict(one: Verdicted, report: Report) -> Iterator[str]:
    trace = one.trace
    clock = f" ({report.canary_clock})" if report.canary_clock else ""
    yield f"{heading(one)}{clock}"
    if trace.sentence != report.sentence:
        yield from _wrapped(trace.sentence, "  ", "  ")
    yield from _wrapped(f"rule {trace.reason}; {figures_of(trace, report)}", "  ", "  ")
    yield from _wrapped(recomputed(trace), "  ", "  ")
    if trace.ratios and is_good(trace) is not None:
        told = ", ".join(f"{name} {spoken(ratio)}" for name, ratio in trace.ratios.items())
        yield from _wrapped(f"canary / stable, 95 % interval: {told}", "  ", "  ")


def _figures(report: Report) -> Iterator[str]:
    found = figures(report)
    if found:
        yield from _wrapped(drawn_until(report))
    for number, figure in enumerate(found):
        if number:
            yield ""
        yield from lines(figure)
        if figure.key == "weight":
            yield from _wrapped(_weights(report), "  ", "  ")
    if found and (told := bands_told(found[0])):
        yield f"  {told}"
    if quiet := without_events(report):
        yield f"  no event in either arm: {', '.join(quiet)}"


def _weights(report: Report) -> str:
    return ", ".join(f"{one.percent} % at {one.at:%H:%M:%S}" for one in report.weights)


def _soak(report: Report) -> Iterator[str]:
    soak = report.soak
    if soak is None:
        return
    clock = report.soak_clock
    yield "Soak: healthy time earned in staging"
    yield from _wrapped(f"{soak.sentence}{f' ({clock})' if clock else ''}", "  ", "  ")
    facts = list(soak_facts(soak, clock))
    if figure := soak_figure(soak):
        yield from list(lines(figure))[1:]
        yield from _wrapped(bands_told(figure, WORDS), "  ", "  ")
        yield from _bad_windows(soak)
    else:
        yield from _soak_bars(soak, clock)
        facts = facts[2:]
    yield from (f"  {line}" for line in _pairs(facts))


def _soak_bars(soak: SoakClock, clock: str) -> Iterator[str]:
    longest = max(soak.goal, soak.elapsed, soak.earned)
    for name, length in (("goal", soak.goal), ("earned", soak.earned), ("elapsed", soak.elapsed)):
        yield f"  {name:<9}{bar(length / longest, SPARK)} {lasted(length, clock)}"


def _bad_windows(soak: SoakClock) -> Iterator[str]:
    """Why windows did not count; the last ones, the page has all."""
    found = [one for one in soak.stretches if one.sentence]
    if len(found) > SHOWN_WINDOWS:
        yield f"  {len(found) - SHOWN_WINDOWS} earlier windows that did not count are left out"
    for one in found[-SHOWN_WINDOWS:]:
        yield from _wrapped(one.sentence, f"  {moment(one.since)}  ", "    ")


def _story(report: Report) -> Iterator[str]:
    if report.stages:
        yield "What happened (UTC)"
    for stage in report.stages:
        clock = clock_of(stage.phase, report)
        ended = stage.ended_at or report.as_of
        took = f", {lasted(ended - stage.started_at, clock)}" if ended else ""
        said = "" if stage.sentence == report.sentence else stage.sentence
        told = f"{MARKS[stage.ok]} {stage.title}{took}{f': {said}' if said else ''}"
        yield from _wrapped(told, f"  {stage.started_at:%H:%M:%S} ", " " * 13)


def _people(report: Report) -> Iterator[str]:
    if report.people:
        yield "What people decided"
    for voice in report.people:
        proof = "signed" if voice.signed else "not signed"
        refused = "" if voice.counted else "refused: "
        told = f"{refused}{voice.said} by {voice.who} ({proof})"
        told += f": {voice.reason}" if voice.reason else ""
        yield from _wrapped(told, f"  {moment(voice.at)}  ", "    ")
        yield from (f"    {about}" for about in (voice.evidence, voice.held) if about)


def _notes(report: Report) -> Iterator[str]:
    if report.notes:
        yield "What to know first"
    for note in report.notes:
        yield from _wrapped(note, "  - ", "    ")


def _wrapped(told: str, first: str = "", later: str = "") -> list[str]:
    """Lines of at most eighty columns; a digest is never broken, so that it can be copied."""
    return textwrap.wrap(
        visible(cut(told)),
        WIDTH,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )
