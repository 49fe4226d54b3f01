"""How `tidegate judge observe` speaks: blocks as they come, answers when they change, a record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from domain.canary import ERRORS, RESTARTS
from domain.errors import PermanentFailure
from domain.judge.counts import Block, Counts
from domain.judge.interval import RatioInterval
from domain.judge.sentences import spoken
from domain.judge.verdict import Judgement, Verdict
from domain.observed_rollout import Answer, ObservedRollout, RolloutWatch, Watching, would
from domain.observer import Inspection
from domain.quantities import format_duration, format_share
from domain.selectors import written
from starter.output import Format, complain, say, say_json


class Voice:
    """Prints what happens and keeps the record on disk."""

    def __init__(self, output: Format, file: Path | None) -> None:
        self._file = file
        self._json = output is Format.JSON
        self._silent = ""

    def begin(self, watched: RolloutWatch, found: Inspection | None) -> None:
        """What is judged, by which rules, until when; and what is not well with it yet."""
        for finding in found.findings if found else ():
            complain(f"! {finding.fault}: {finding}")
        if self._json:
            return
        length = format_duration(watched.ends_at - watched.since)
        ending = f"a verdict, at most {length}" if watched.until_verdict else length
        say(
            f"observing {watched.namespace} read-only for {ending}: canary"
            f" {written(watched.canary)} at {watched.weight} % beside"
            f" {watched.rules.control} {written(watched.stable)}; {_limits(watched)}"
        )

    def tell(self, before: Watching, now: Watching) -> None:
        """New blocks, and what the judge says when it says something else."""
        answer, blocks = now.record.answers[-1], now.record.blocks[len(before.record.blocks) :]
        previous = before.record.answers[-1] if before.record.answers else None
        changed = previous is None or not answer.says_the_same_as(previous)
        if not now.heard:
            self._complain_once(now.left_out)
        else:
            self._silent = ""
        if not blocks and not changed:
            return
        self._keep(now.record)
        if self._json:
            say_json(_event(answer, blocks, now.record.watched), indent=None)
            return
        for block in blocks:
            say(f"{_clock(block.end)}  {_counts(block)}")
        if changed:
            say(f"{_clock(_at(answer, now.record.watched))}  {would(answer.judgement)}")
        else:
            say(f"{'':8}  {_brief(answer.judgement, now.record.watched)}")

    def _complain_once(self, problems: tuple[str, ...]) -> None:
        problem = "; ".join(problems)
        if not self._silent:
            complain(f"! no data: {problem}")
        self._silent = problem

    def conclude(self, record: ObservedRollout) -> None:
        """The one line at the end."""
        self._keep(record)
        if self._json:
            say_json(_conclusion(record), indent=None)
        else:
            say(f"\n{_summary(record)}")

    def _keep(self, record: ObservedRollout) -> None:
        if self._file is None:
            return
        try:
            beside = self._file.with_name(f".{self._file.name}.new")
            beside.write_text(record.model_dump_json(indent=1))
            beside.replace(self._file)
        except OSError as error:
            raise PermanentFailure(
                f"record {self._file} cannot be written: {error.strerror}"
            ) from error


def _limits(watched: RolloutWatch) -> str:
    slow = format_duration(watched.slow_above)
    limits = ", ".join(
        f"{name if name == ERRORS else f'slower than {slow}'} {format_share(share)}"
        for name, share in watched.rules.limits.items()
    )
    return f"limits: {limits}; a false rollback in {format_share(watched.rules.alpha)} of rollouts"


def _counts(block: Block) -> str:
    """Bad events of requests per arm; of restarts there is no such whole."""
    if block.spoiled:
        return f"could not be used: {block.spoiled}"
    told = [_of_both(name, counts) for name, counts in block.counts.items()]
    dark = dict.fromkeys(arm for arms in block.dark.values() for arm in arms)
    told += [f"{arm} not scraped" for arm in dark]
    return "   ".join(told) or "no data"


def _of_both(name: str, counts: Counts) -> str:
    if name == RESTARTS:
        return f"{name}: canary {counts.canary_bad}, stable {counts.stable_bad}"
    return (
        f"{name}: canary {counts.canary_bad} of {counts.canary_requests},"
        f" stable {counts.stable_bad} of {counts.stable_requests}"
    )


def _brief(judgement: Judgement, watched: RolloutWatch) -> str:
    """The figures of an answer that says the same as the one before it."""
    limits = watched.rules.limits
    proof = min((e for name, e in judgement.proof.items() if name in limits), default=0.0)
    parts = [
        f"worse: e {judgement.evidence:.2g} of {judgement.thresholds.roll_back:g}",
        f"harmless: e {proof:.2g} of {judgement.thresholds.promote:g}",
        *(f"{name} {told}" for name, one in judgement.ratios.items() if (told := _range(one))),
    ]
    if judgement.time_needed is not None:
        parts.append(f"about {spoken(judgement.time_needed)} more")
    return ", ".join(parts)


def _range(ratio: RatioInterval) -> str:
    upper = "" if ratio.upper is None else f" to {ratio.upper:g}x"
    return f"{ratio.lower:g}x{upper or ' or more'}" if ratio.lower or upper else ""


def _at(answer: Answer, watched: RolloutWatch) -> datetime:
    return watched.since + answer.judgement.elapsed


def _clock(moment: datetime) -> str:
    return moment.astimezone().strftime("%H:%M:%S")


def _summary(record: ObservedRollout) -> str:
    """When Tidegate would have done what, and why."""
    watched = record.watched
    found = [record.first(verdict) for verdict in (Verdict.PROMOTE, Verdict.ROLL_BACK)]
    moments = [one for one in found if one is not None]
    if not moments:
        last = record.answers[-1].judgement
        return f"HOLD after {spoken(last.elapsed)}: Tidegate {would(last)}"
    told = "; ".join(
        f"at {_clock(_at(one, watched))} Tidegate {would(one.judgement)}" for one in moments
    )
    return f"{record.verdict}: {told}"


def _event(answer: Answer, blocks: Sequence[Block], watched: RolloutWatch) -> dict[str, object]:
    return {
        "at": _at(answer, watched).isoformat(),
        "blocks": [block.model_dump(mode="json") for block in blocks],
        "would": would(answer.judgement),
        "judgement": answer.judgement.model_dump(mode="json"),
        "left_out": list(answer.left_out),
    }


def _conclusion(record: ObservedRollout) -> dict[str, object]:
    def when(verdict: Verdict) -> str | None:
        found = record.first(verdict)
        return _at(found, record.watched).isoformat() if found else None

    return {
        "verdict": record.verdict,
        "would_promote_at": when(Verdict.PROMOTE),
        "would_roll_back_at": when(Verdict.ROLL_BACK),
        "blocks": len(record.blocks),
        "sentence": _summary(record),
    }
