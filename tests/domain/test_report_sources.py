from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from domain.commands import AcceptedCommand, CommandName
from domain.judge import Counts
from domain.phases import Outcome, Phase
from domain.records import digest_of
from domain.release import StepVerdict
from domain.report_sources import Sources, compile_report
from tests.support.judged_releases import (
    BUNDLE,
    RELEASE,
    SINCE,
    Judged,
    frozen,
    promoted,
    rolled_back,
    state_of,
    traffic,
)
from tests.support.release_records import REHEARSAL, accepted, plan, record

PROMOTED, ROLLED_BACK = promoted(), rolled_back()
EVIDENCE = frozen(PROMOTED)
DIGEST = digest_of(EVIDENCE)


def approved_by(judged: Judged) -> tuple[AcceptedCommand, ...]:
    proof = judged.records[-1].step.target.proof
    assert proof is not None
    return proof.approvals


def test_equal_sources_give_equal_reports_in_whatever_order_the_registry_answers() -> None:
    state = state_of(PROMOTED, Outcome.RELEASED)
    sources = PROMOTED.sources(state=state, evidence=((DIGEST, EVIDENCE),))
    turned = replace(sources, traces=tuple(reversed(sources.traces)))
    assert compile_report(sources) == compile_report(turned)


def test_each_weight_is_a_step_and_what_follows_the_last_is_the_watch() -> None:
    report = compile_report(PROMOTED.sources(state=state_of(PROMOTED, Outcome.RELEASED)))
    assert [step.title for step in report.steps] == ["10 %", "50 %", "100 %", "watch"]
    assert [one.percent for one in report.weights] == [10, 50, 100]
    assert report.weights[0].at == SINCE


def test_a_rollback_gives_the_weight_back_when_it_was_done() -> None:
    state = state_of(ROLLED_BACK, Outcome.ROLLED_BACK)
    report = compile_report(ROLLED_BACK.sources(state=state))
    assert [(one.percent, one.at) for one in report.weights] == [
        (10, SINCE),
        (0, state.stages[-1].ended_at),
    ]
    from_records = compile_report(ROLLED_BACK.sources())
    assert [one.percent for one in from_records.weights] == [10]


def test_a_hold_and_the_verdict_after_it_are_one_step() -> None:
    judged = Judged()
    judged.step(10, traffic(20, 0.05, 0.05), longest=65)
    held = judged.records[-1]
    judged.at = held.step.since
    judged.step(10, lambda *_: None, longest=70)
    report = compile_report(judged.sources())
    assert [(step.title, len(step.traces)) for step in report.steps] == [("10 %", 2)]


def test_users_are_counted_over_every_block_of_every_step() -> None:
    blocks = [b for one in PROMOTED.records for b in (*PROMOTED.earlier(one), *one.blocks)]
    usage = compile_report(PROMOTED.sources()).usage
    assert usage is not None
    assert usage.errors == sum((block.counts["errors"] for block in blocks), Counts())


def test_a_running_release_says_when_it_was_asked_and_that_a_step_goes_on() -> None:
    now = PROMOTED.at + timedelta(minutes=1)
    state = state_of(ROLLED_BACK, waiting_for="a verdict at 50 %").with_(weight=50)
    report = compile_report(ROLLED_BACK.sources(state=state, now=now))
    assert (report.as_of, report.outcome) == (now, "RUNNING: canary")
    assert any("production is at 50 % now" in note for note in report.notes)
    over = compile_report(PROMOTED.sources(state=state_of(PROMOTED, Outcome.RELEASED), now=now))
    assert over.as_of is None


def test_without_temporal_the_last_verdict_and_the_signers_come_from_the_records() -> None:
    sources = PROMOTED.sources(evidence=((DIGEST, EVIDENCE),), commands=approved_by(PROMOTED))
    report = compile_report(sources)
    assert report.from_records_only
    assert (report.release_id, report.service) == (RELEASE, "album")
    assert report.outcome == "LAST VERDICT PROMOTE at 100 %"
    assert report.sentence == "how the release ended is not in the records"
    assert [(voice.who, voice.said) for voice in report.people] == [("ann", "approve")]
    assert (report.evidence, report.replaces != "", report.soak is not None) == (DIGEST, True, True)
    nothing_judged = compile_report(Sources(reference=BUNDLE, evidence=((DIGEST, EVIDENCE),)))
    assert (nothing_judged.outcome, nothing_judged.steps) == ("UNKNOWN", ())


def test_the_evidence_is_the_one_that_was_signed_not_the_latest() -> None:
    later = EVIDENCE.with_(opened_at=EVIDENCE.opened_at + timedelta(hours=1))
    both = ((DIGEST, EVIDENCE), (digest_of(later), later))
    (approval,) = approved_by(PROMOTED)
    of_first = approval.command.statement.with_(evidence=DIGEST)
    signed = approval.with_(command=approval.command.with_(statement=of_first))
    assert compile_report(PROMOTED.sources(evidence=both)).evidence == digest_of(later)
    named = compile_report(PROMOTED.sources(evidence=both, commands=(signed,)))
    assert named.evidence == DIGEST


def test_other_releases_of_the_same_bundle_are_named_not_mixed_in() -> None:
    sources = PROMOTED.sources()
    other = tuple(
        one.with_(release_id="release-album-cccccccccc-0000", since=one.since - timedelta(days=9))
        for one in sources.traces
    )
    report = compile_report(replace(sources, traces=(*other, *sources.traces)))
    assert (report.release_id, len(report.traces)) == (RELEASE, 4)
    assert report.notes[0].endswith("release-album-cccccccccc-0000")


def test_a_verdict_whose_blocks_were_never_stored_is_named() -> None:
    told = StepVerdict(weight=10, verdict="ROLL_BACK", reason="worse", sentence="Rolled back: bad")
    state = state_of(ROLLED_BACK, Outcome.ROLLED_BACK, verdicts=(told,))
    (note,) = compile_report(Sources(reference=BUNDLE, state=state)).notes
    assert note == "10 %: ROLL_BACK: its blocks are not in the registry: Rolled back: bad"


def test_rehearsal_clocks_and_the_planned_soak_are_told() -> None:
    judged = Judged(plan=plan(rehearsal=REHEARSAL))
    judged.step(10, traffic(2000, 0.002, 0.002))
    report = compile_report(judged.sources(state=state_of(judged, Outcome.RELEASED)))
    assert report.soak_clock == "rehearsal clock 1h = 0.2s"
    assert report.canary_clock == "rehearsal clock 10m = 0.3s"
    assert compile_report(PROMOTED.sources(state=state_of(PROMOTED))).soak_clock == ""


def test_a_release_that_never_had_a_bundle_is_reported_from_its_state() -> None:
    state = state_of(PROMOTED, Outcome.FAILED, bundle=None, phase=Phase.BUILD)
    report = compile_report(Sources(reference=None, state=state))
    assert (report.outcome, report.bundle, report.traces) == ("FAILED", None, ())


def test_what_did_not_count_is_told_with_what_did() -> None:
    abort = accepted(CommandName.ABORT, "otto")
    state = state_of(PROMOTED, Outcome.ABORTED, commands=(abort,), records=(record("scan"),))
    report = compile_report(PROMOTED.sources(state=state))
    assert [(voice.who, voice.said, voice.reason) for voice in report.people] == [
        ("otto", "abort", "because")
    ]
    assert report.records == (record("scan"),)
