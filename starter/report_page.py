"""A report as one HTML file: no script, nothing from elsewhere, every text escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from domain.report import Report, SoakClock
from starter.bar_svg import Bar, bars, intervals, spoken
from starter.figure_svg import legend, svg
from starter.figures import Figure, Table
from starter.markup import LONGEST_TEXT, Markup, element, joined
from starter.report_figures import figures, without_events
from starter.report_style import STYLE
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
from starter.soak_figure import SHADES, soak_figure

Item = TypeVar("Item")
CLASSES = {True: "good", False: "bad", None: "open"}
# Lists are cut here; `--output json` has all of them.
MOST_ROWS, MOST_TEXT = 200, 50_000


def page(report: Report) -> bytes:
    """The whole file; equal reports give equal bytes."""
    title = f"{report.service} {report.commit[:10]}: {report.outcome}"
    head = element(
        "head",
        None,
        element("meta", {"charset": "utf-8"}),
        element("meta", {"http-equiv": "Content-Security-Policy", "content": policy()}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("meta", {"name": "referrer", "content": "no-referrer"}),
        element("title", None, title),
        Markup(f"<style>{STYLE}</style>"),
    )
    body = element("body", None, _top(report), element("main", None, *_sections(report)))
    whole = joined(Markup("<!doctype html>\n"), element("html", {"lang": "en"}, head, body))
    return f"{whole}\n".encode()


def policy() -> str:
    """Nothing may be loaded or run; the one style is named by its hash."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _top(report: Report) -> Markup:
    kind = ended_well(report)
    ending = element(
        "div",
        {"class": f"ending {CLASSES[kind]}"},
        element("p", {"class": "word"}, f"{MARKS[kind]} {report.outcome.replace('_', ' ')}"),
        element("p", None, _tag(clocks(report))) if clocks(report) else None,
        element("p", None, report.sentence),
        element("p", {"class": "small"}, basis(report)) if basis(report) else None,
    )
    named = f"{report.service or 'a service'} {report.commit[:10]}"
    kicker = element("p", {"class": "soft small"}, "Tidegate: report of a release")
    return element("header", {"class": "top"}, kicker, element("h1", None, named), ending)


def _sections(report: Report) -> Iterator[Markup | None]:
    yield _notes(report)
    yield _facts(facts(report))
    yield _verdicts(report)
    yield from _figures(report)
    yield _ratios(report)
    yield _soak(report)
    yield _story(report)
    yield _people(report)
    yield _papers(report)
    yield _footer(report)


def _notes(report: Report) -> Markup | None:
    if not report.notes:
        return None
    items = [element("li", None, note) for note in _most(report.notes)]
    heading = element("h3", None, "What to know first")
    return element("section", {"class": "notes"}, heading, element("ul", None, *items))


def _facts(found: Iterable[tuple[str, str]]) -> Markup:
    rows = [joined(element("dt", None, name), element("dd", None, told)) for name, told in found]
    return element("dl", {"class": "facts"}, *rows)


def _verdicts(report: Report) -> Markup | None:
    shown, hidden = verdicts(report)
    if not shown:
        return None
    told = f"{hidden} earlier holds are left out here." if hidden else ""
    return element(
        "section",
        None,
        element("h2", None, "Verdicts"),
        element("p", {"class": "soft small"}, f"{errors_allowed(report)} {told}"),
        *(_verdict(one, report) for one in shown),
        *_replay(replay_command(report)),
    )


def _replay(command: str) -> Iterator[Markup]:
    if command:
        told = "Anybody can recompute all of them from the stored blocks:"
        yield element("p", {"class": "small"}, told)
        yield element("pre", None, command)


def _verdict(one: Verdicted, report: Report) -> Markup:
    trace = one.trace
    kind = CLASSES[is_good(trace)]
    doubtful = trace.problem or trace.differences
    title = [element("span", {"class": f"word {kind}"}, heading(one))]
    if report.canary_clock:
        title += [Markup(" "), _tag(report.canary_clock)]
    return element(
        "div",
        {"class": f"card {'bad' if doubtful else kind}"},
        element("h3", None, *title),
        element("p", None, trace.sentence) if trace.sentence != report.sentence else None,
        element("p", {"class": "small"}, element("b", None, "The rule: "), f"{trace.assumes}."),
        element("p", {"class": "soft small"}, f"{figures_of(trace, report)}."),
        element(
            "p",
            {"class": "soft small"},
            element("span", {"class": "word bad"} if doubtful else None, recomputed(trace)),
            joined(", ", element("code", None, trace.record.digest)) if trace.record else None,
        ),
    )


def _figures(report: Report) -> Iterator[Markup]:
    found = figures(report)
    if not found:
        return
    clock = f" The canary ran on a {report.canary_clock}." if report.canary_clock else ""
    yield element("h2", None, "What the judge saw")
    yield element(
        "p",
        {"class": "soft small"},
        "Times are UTC, in real time; each step has its own time scale, so that a short one can be"
        f" read beside a long one.{clock}",
    )
    if told := drawn_until(report):
        yield element("p", {"class": "small"}, _tag("running"), f" {told}")
    for figure in found:
        yield _figure(figure)
    if quiet := without_events(report):
        yield element("p", {"class": "small"}, f"No event in either arm: {', '.join(quiet)}.")


def _figure(figure: Figure) -> Markup:
    outside = sum(figure.is_outside(dot.y) for curve in figure.curves for dot in curve.dots)
    told = figure.told + (f"; {outside} values lie outside, at the edge" if outside else "")
    return element(
        "figure",
        None,
        element("h3", None, figure.title),
        element("figcaption", None, told),
        legend(figure),
        svg(figure),
        _table(figure.table),
    )


def _table(table: Table) -> Markup:
    shown = len(table.rows)
    many = f"{shown} of {table.of} rows" if shown < table.of else f"{shown} rows"
    head = [element("th", {"scope": "col"}, name) for name in table.header]
    rows = [element("tr", None, *(element("td", None, cell) for cell in row)) for row in table.rows]
    return element(
        "details",
        None,
        element("summary", None, f"The numbers ({many})"),
        _scrolled("numbers", head, rows),
    )


def _ratios(report: Report) -> Markup | None:
    shown, _ = verdicts(report)
    found = [one for one in shown if one.trace.ratios and is_good(one.trace) is not None]
    if not found:
        return None
    last = found[-1]
    rows = [
        (heading(one), name, spoken(interval))
        for one in found
        for name, interval in one.trace.ratios.items()
    ]
    table = Table(("verdict", "metric", "canary / stable"), tuple(rows), len(rows))
    title = "How many times worse the canary is"
    caption = (
        f"canary / stable over the rollout, as of {heading(last)}; 95 % interval that"
        " holds at any stopping time; an arrow: not bounded on that side. 1x is as good as stable"
    )
    return element(
        "figure",
        None,
        element("h3", None, title),
        element("figcaption", None, caption),
        intervals(title, tuple(last.trace.ratios.items())),
        _table(table),
    )


def _soak(report: Report) -> Markup | None:
    soak = report.soak
    if soak is None:
        return None
    clock = report.soak_clock
    title = "Soak: healthy time earned in staging"
    tag = element("p", None, _tag(clock)) if clock else None
    figure = soak_figure(soak)
    drawn = joined(svg(figure), _table(figure.table)) if figure else _soak_bars(soak, title, clock)
    return element(
        "section",
        None,
        element("h2", None, title),
        tag,
        element(
            "figure",
            None,
            element(
                "figcaption",
                None,
                f"{soak.sentence}. Only healthy windows are earned; no error rate is claimed."
                f"{f' Drawn: {figure.told}; {SHADES}.' if figure else ''}",
            ),
            drawn,
            _facts(soak_facts(soak, clock)),
        ),
    )


def _soak_bars(soak: SoakClock, title: str, clock: str) -> Markup:
    longest = max(soak.goal, soak.elapsed, soak.earned)
    return bars(
        title,
        [
            Bar("earned", soak.earned / longest, lasted(soak.earned, clock), "earned"),
            Bar("elapsed", soak.elapsed / longest, lasted(soak.elapsed, clock), "elapsed"),
        ],
        soak.goal / longest,
        f"goal: {lasted(soak.goal, clock)}",
    )


def _story(report: Report) -> Markup | None:
    if not report.stages:
        return None
    rows = []
    for stage in _most(report.stages):
        clock = clock_of(stage.phase, report)
        ended = stage.ended_at or report.as_of
        took = lasted(ended - stage.started_at, clock) if ended else ""
        name = joined(f"{MARKS[stage.ok]} {stage.title}")
        cells = (
            moment(stage.started_at),
            took,
            joined(element("b", None, name), " ", stage.sentence),
        )
        rows.append(element("tr", None, *(element("td", None, cell) for cell in cells)))
    head = [element("th", {"scope": "col"}, name) for name in ("began", "took", "what")]
    table = _scrolled("story", head, rows)
    return element("section", None, element("h2", None, "What happened"), table)


def _people(report: Report) -> Markup | None:
    if not report.people:
        return None
    rows = []
    for voice in _most(report.people):
        proof = "signed" if voice.signed else "not signed"
        cells = (
            moment(voice.at),
            f"{'✔' if voice.counted else '✘ refused:'} {voice.said} by {voice.who} ({proof})",
            joined(voice.reason, element("code", None, voice.evidence or voice.held or "")),
        )
        rows.append(element("tr", None, *(element("td", None, cell) for cell in cells)))
    head = [element("th", {"scope": "col"}, name) for name in ("when", "who said what", "of what")]
    table = _scrolled("story", head, rows)
    return element("section", None, element("h2", None, "What people decided"), table)


def _papers(report: Report) -> Markup:
    rows = [
        element(
            "tr",
            None,
            element("td", None, record.kind),
            element("td", None, record.sentence),
            element("td", None, element("code", None, record.digest)),
        )
        for record in _most(report.records)
    ]
    head = [element("th", {"scope": "col"}, name) for name in ("record", "says", "digest")]
    diff = "\n".join(_most(report.config_diff))
    changed = element("p", {"class": "soft small"}, "Configuration against what it replaces:")
    return element(
        "section",
        None,
        element("h2", None, "Names, digests, records"),
        _facts(papers(report)),
        joined(changed, element("pre", None, diff)) if diff else None,
        _scrolled("story", head, rows) if rows else None,
    )


def _tag(told: str) -> Markup:
    return element("span", {"class": "tag"}, told)


def _footer(report: Report) -> Markup:
    told = "Everything here is in the registry beside the image, or in Temporal's history. "
    place = report.release_id if not report.from_records_only else str(report.bundle)
    command = element("code", None, f"tidegate report {place} --output json")
    return element("footer", None, told, command, " prints every number.")


def _scrolled(kind: str, head: Sequence[Markup], rows: Sequence[Markup]) -> Markup:
    """A table that scrolls inside the page; reachable by keyboard."""
    table = element(
        "table",
        {"class": kind},
        element("thead", None, element("tr", None, *head)),
        element("tbody", None, *rows),
    )
    return element("div", {"class": "scroll", "tabindex": "0"}, table)


def _most(found: Sequence[Item]) -> Sequence[Item]:
    """The last ones: so many rows, and so much text in all, as a page can carry."""
    room, rows = MOST_TEXT, 0
    for one in reversed(found):
        room -= min(len(str(one)), LONGEST_TEXT)
        if room < 0 or rows == MOST_ROWS:
            break
        rows += 1
    return found[len(found) - rows :]
