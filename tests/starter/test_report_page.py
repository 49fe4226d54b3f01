"""The page of a report: nothing in it may load, run, or be taken for markup."""

from __future__ import annotations

import base64
import hashlib
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.report import Report, Voice
from starter.figure_svg import svg
from starter.markup import LONGEST_TEXT, element, escaped
from starter.report_figures import figures
from starter.report_page import page
from tests.starter.reports import LONG_WATCH, PROMOTED, REHEARSED, ROLLED_BACK, stretched
from tests.support.judged_releases import SINCE

ALLOWED = {
    *("html", "head", "meta", "title", "style", "body", "header", "main", "section", "div", "p"),
    *("h1", "h2", "h3", "span", "b", "code", "pre", "dl", "dt", "dd", "ul", "li", "figure"),
    *("figcaption", "details", "summary", "table", "thead", "tbody", "tr", "th", "td", "footer"),
    *("svg", "desc", "text", "line", "rect", "path"),
}
EVIL = "</p><script>alert(1)</script><img src=x onerror='alert(2)'>\"& \u202eevil\x1b[31m\x00"


def parsed(report: Report) -> ElementTree.Element:
    text = page(report).decode()
    assert text.startswith("<!doctype html>\n")
    return ElementTree.fromstring(text.partition("\n")[2])  # noqa: S314 - our own page


def words(report: Report) -> str:
    return " ".join(" ".join(parsed(report).itertext()).split())


@pytest.mark.parametrize("report", [PROMOTED, ROLLED_BACK, REHEARSED, LONG_WATCH])
def test_the_page_is_made_of_harmless_elements_and_refers_to_nothing(report: Report) -> None:
    for found in parsed(report).iter():
        assert found.tag in ALLOWED
        assert not {name for name in found.attrib if name.startswith("on")}
        assert not {"style", "src", "href", "srcdoc", "action"} & found.attrib.keys()
    text = page(report).decode()
    assert not re.search(r"https?://|//\w|url\(|@import|javascript:|<script", text)


def test_its_policy_allows_its_own_style_and_nothing_else() -> None:
    whole = parsed(PROMOTED)
    (policy,) = [
        meta.attrib["content"]
        for meta in whole.iter("meta")
        if meta.attrib.get("http-equiv") == "Content-Security-Policy"
    ]
    (style,) = [found.text or "" for found in whole.iter("style")]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def poisoned(report: Report, text: str) -> Report:
    """Somebody's text wherever somebody's text may be."""
    voice = Voice(
        at=SINCE, who=text, said=text, reason=text, signed=True, counted=False, evidence=text
    )
    traces = [
        one.with_(sentence=text, assumes=text, differences=(text,), problem=text)
        for one in report.traces
    ]
    steps = [
        step.with_(title=text, traces=(one,))
        for step, one in zip(report.steps, traces, strict=True)
    ]
    names = ("release_id", "service", "commit", "image", "revision", "replaces", "started_by",
             "outcome", "sentence", "waiting_for", "soak_clock", "canary_clock", "evidence",
             "rehearsal", "rollback")  # fmt: skip
    return report.with_(
        **dict.fromkeys(names, text),
        authors=(text,),
        config_diff=(text,),
        notes=(text,),
        people=(voice,),
        stages=tuple(stage.with_(title=text, sentence=text) for stage in report.stages),
        records=tuple(one.with_(kind=text, sentence=text) for one in report.records),
        soak=report.soak.with_(last=text, skipped=text) if report.soak else None,
        steps=tuple(steps),
    )


def test_no_text_of_anybody_becomes_markup_or_hides_what_it_is() -> None:
    report = poisoned(PROMOTED, EVIL)
    tags = {found.tag for found in parsed(report).iter()}
    assert tags <= ALLOWED
    text = page(report).decode()
    assert "<script" not in text
    assert "<img" not in text
    assert not re.search("[\x00\x1b\u202e]", text)
    assert "[U+202E]evil" in words(report)
    assert "</p><script>alert(1)</script>" in words(report)


@settings(max_examples=12, deadline=None)
@given(st.text())
def test_any_text_makes_a_well_formed_page(text: str) -> None:
    found = parsed(poisoned(ROLLED_BACK, text))
    assert {one.tag for one in found.iter()} <= ALLOWED


@given(st.text())
def test_escaped_text_has_nothing_of_markup(text: str) -> None:
    assert not set(escaped(text)) & set("<>\"'")
    assert ElementTree.fromstring(element("p", {"class": text}, text)).tag == "p"  # noqa: S314


def test_equal_reports_are_equal_bytes() -> None:
    again = Report.model_validate_json(PROMOTED.model_dump_json())
    assert page(again) == page(PROMOTED)


def test_a_page_of_ten_thousand_blocks_and_of_endless_texts_stays_small() -> None:
    huge = stretched(PROMOTED, 10_000)
    assert len(page(huge)) < 500_000
    endless = poisoned(PROMOTED, "&" * 3 * LONGEST_TEXT)
    crowded = endless.with_(
        steps=huge.steps,
        notes=endless.notes * 10_000,
        config_diff=endless.config_diff * 10_000,
        people=endless.people * 1_000,
        records=endless.records * 1_000,
    )
    assert len(page(crowded)) < 2_000_000


def test_the_ending_is_told_in_words_and_by_a_mark_not_only_by_colour() -> None:
    assert "✘ ROLLED BACK Rolled back after" in words(ROLLED_BACK)
    assert "✔ RELEASED" in words(PROMOTED)
    assert "✘ 10 %: ROLL BACK" in words(ROLLED_BACK)
    assert "✔ 50 %: PROMOTE" in words(PROMOTED)
    running = PROMOTED.with_(outcome="RUNNING: canary", as_of=SINCE, waiting_for="a verdict")
    told = words(running)
    assert "… RUNNING: canary" in told
    assert "while the release was running: this is not the end; it waits for a verdict" in told
    records = PROMOTED.with_(from_records_only=True, outcome="LAST VERDICT PROMOTE")
    assert "Made of the bundle's records in the registry alone" in words(records)


def test_who_approved_what_and_how_to_recompute_are_on_the_page() -> None:
    evidence = f"sha256:{'e' * 64}"
    signed = PROMOTED.people[0].with_(evidence=evidence)
    told = words(PROMOTED.with_(people=(signed,)))
    assert f"ann at 2026-03-01 12:00:00 UTC (signed over {evidence})" in told
    assert f"tidegate judge replay {PROMOTED.bundle}" in told
    assert "recomputed from its 20 blocks: as stored" in told
    differing = PROMOTED.traces[0].with_(differences=("evidence: stored 1.0, recomputed 2.0",))
    steps = (PROMOTED.steps[0].with_(traces=(differing,)), *PROMOTED.steps[1:])
    assert "DIFFERS from what was stored: evidence: stored 1.0" in words(
        PROMOTED.with_(steps=steps)
    )


def test_a_rehearsal_clock_stands_by_every_duration() -> None:
    told = words(REHEARSED)
    assert REHEARSED.soak_clock in told
    durations = re.findall(
        r"judged [\d-]+ [\d:]+ UTC, (\S+) (\(rehearsal clock 10m = 0.3s\))?", told
    )
    assert durations
    assert all(clock for _, clock in durations)
    assert "goal: 1d (rehearsal clock 1h = 0.2s)" in told
    assert "rehearsal clock" not in words(PROMOTED)


@pytest.mark.parametrize("report", [PROMOTED, ROLLED_BACK])
def test_every_plot_is_described_and_has_its_numbers_in_a_table(report: Report) -> None:
    whole = parsed(report)
    plots = [one for one in whole.iter("svg") if one.attrib.get("class") == "plot"]
    ids = [one.attrib["id"] for one in whole.iter() if "id" in one.attrib]
    assert len(ids) == len(set(ids))
    for plot in plots:
        title, desc = plot.attrib["aria-labelledby"].split()
        assert {one.attrib.get("id") for one in plot} >= {title, desc}
    assert len(list(whole.iter("details"))) >= len(figures(report))


def test_the_thresholds_are_named_in_the_picture_itself() -> None:
    drawn = "".join(svg(figure) for figure in figures(ROLLED_BACK))
    for said in ("roll back at 100", "promote at 20", "the plan&#x27;s limit: 1 %", "no data"):
        assert said in drawn
