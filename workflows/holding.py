"""Holds: what people are told of one, once per reason, and the promote of a person who decides."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.commands import AcceptedCommand
    from domain.decisions import Report, Signal
    from domain.holds import MOST_TELLINGS, Hold, overtaken, unpromotable
    from domain.judge.verdict import Judgement, Reason, Verdict
    from domain.records import digest_of
    from domain.steps import Observation
    from workflows.command_desk import CommandDesk

UNSEEN = "nobody looked to the end; promote again"


class Holding(CommandDesk):
    """Base of the stages that can hold; a hold is known by its reason and its beginning."""

    def __init__(self) -> None:
        super().__init__()
        self._told_hold: Hold | None = None
        self._tellings = 0

    def _begin_step(self) -> None:
        """A new weight: nothing is held, no promote is about it, and everything may be told."""
        self._tellings, self._promotion = 0, None
        self._end_hold()

    def _end_hold(self) -> None:
        """What ends a hold tells it by itself."""
        self._told_hold = None
        self._change(held=None)

    @property
    def _tells(self) -> bool:
        """Whether the observing may still end early: a flapping source must not fill history."""
        return self._tellings < MOST_TELLINGS

    @property
    def _known_reason(self) -> Reason | None:
        return self._state.held.judged if self._state.held else None

    def _keep_hold(self, weight: int, observation: Observation) -> Report:
        """Remember what is held for now, or that nothing is any more; `_hold` tells it."""
        judgement, before = observation.judgement, self._state.held
        held = self._hold_of(weight, judgement) if _holds(observation) else None
        if observation.early and _name(held) != _name(before):
            self._tellings += 1
        self._change(held=held)
        return Report(signal=Signal.NO_EVIDENCE, sentence=judgement.sentence)

    def _hold_of(self, weight: int, judgement: Judgement) -> Hold:
        """The hold that people know of with the judge's words of now, or another one."""
        before = self._state.held
        if before is not None and before.reason == judgement.reason.value:
            return before.with_(sentence=judgement.sentence)
        return Hold(
            phase=self._state.phase,
            weight=weight,
            reason=judgement.reason.value,
            sentence=judgement.sentence,
            since=workflow.now(),
        )

    def _hold_news(self) -> str | None:
        """What people have not heard yet about the hold; None when they know."""
        held, known = self._state.held, self._told_hold
        if _name(held) == _name(known):
            return None
        self._told_hold = held
        rarely = (
            ""
            if self._tellings < MOST_TELLINGS
            else ". It changes often: from now on told at deadlines only"
        )
        if held is None:
            assert known is not None  # noqa: S101 - the names differ
            why = known.reason.replace("_", " ")
            return f"no longer held for {why} at {known.weight} %: {self._state.sentence}{rarely}"
        return f"{self._held_words(held)}{rarely}"

    def _held_words(self, held: Hold) -> str:
        release, on = (
            self._state.request.release_id,
            f" from {held.weight} %" if held.weight else "",
        )
        abort = f"tidegate abort {release} --reason TEXT"
        if held.is_blind:
            return (
                f"alert: nobody sees the new revision at {held.weight} %, which it keeps. holding:"
                f" {held.sentence}. Nobody can promote it now; to roll back: {abort}"
            )
        verb = "asking" if held.judged is None else "holding"
        return (
            f"{verb}: {held.sentence}. A release manager may go on{on}: tidegate promote {release}"
            f" --reason TEXT; to roll back: {abort}"
        )

    def _counted_promotion(self, observation: Observation | None) -> AcceptedCommand | None:
        """The person's promote, unless the judge decided first or the hold is another by now."""
        promotion, self._promotion = self._promotion, None
        if promotion is None:
            return None
        held = self._state.held
        why = unpromotable(held, promotion.command.statement.held, self._state.phase)
        if observation is not None and held is not None:
            why = overtaken(held, observation.judgement, early=observation.early) or why
        if why is None and self._is_unseen(observation):
            why = UNSEEN
        if why is None:
            return promotion
        self._promotion = promotion
        self._void_promotion(why)
        return None

    def _withdraw(self, promotion: AcceptedCommand, why: str) -> None:
        """Refuse a promote that had counted: who says it again hears that, as everybody does."""
        command = promotion.command
        self._answers[digest_of(command)] = self._refuse(command, why)
        self._tell(
            f"promote by {promotion.principal} does not count any more: {why}; promote again"
        )

    def _still_held(self) -> Report:
        """Nothing has changed: the hold goes on."""
        held = self._state.held
        assert held is not None  # noqa: S101 - a promote counts only while something is held
        return Report(signal=Signal.NO_EVIDENCE, sentence=held.sentence)

    def _is_unseen(self, observation: Observation | None) -> bool:
        """Whether the look that a promote ended was lost: then nobody saw the canary just now."""
        return observation is None and workflow.patched("promote-is-looked-at")

    def _void_promotion(self, why: str) -> None:
        """Drop a person's promote that was accepted and has not counted yet, and say so."""
        if self._promotion is not None:
            person = self._promotion.principal
            self._tell(f"promote by {person} does not count any more: {why}")
        self._promotion = None


def _holds(observation: Observation) -> bool:
    """Whether there is something to wait for; gathering is, where a deadline has passed."""
    judgement = observation.judgement
    gathers = judgement.reason is Reason.gathering and observation.early
    return judgement.verdict is Verdict.HOLD and not gathers


def _name(held: Hold | None) -> str | None:
    return held.name if held is not None else None
