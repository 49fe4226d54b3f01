"""Observing the canary: what the judge says, and what that means by the gate's mode."""

from __future__ import annotations

from datetime import datetime, timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.canary import Canary
    from domain.canary import judge_rules
    from domain.commands import AcceptedCommand
    from domain.decisions import Report, Signal
    from domain.environments import cluster_queue
    from domain.gates import Gate, GateMode
    from domain.judge.known import LastKnown
    from domain.judge.state import JudgeState
    from domain.judge.verdict import Judgement, Reason, Verdict
    from domain.plan import HOUR
    from domain.release import StepVerdict
    from domain.steps import Observation, ObserveStep, PersonsPromotion, RefusedPromotion
    from workflows import options
    from workflows.build import completed
    from workflows.holding import UNSEEN
    from workflows.load import PRODUCTION, Loading


WOULD_HAVE = {
    Verdict.PROMOTE: "promoted",
    Verdict.ROLL_BACK: "rolled back",
    Verdict.HOLD: "held",
}
# Longer than any answer takes that matters; its end only stores what was seen.
LOOK_WHILE_ASKED = HOUR


class Observing(Loading):
    """Base of the stages that judge; one verdict per step, whoever gives it."""

    def __init__(self) -> None:
        super().__init__()
        self._judge: JudgeState | None = None
        self._last_known: dict[str, LastKnown] = {}

    async def _observe(
        self, weight: int, length: timedelta, *, guard: bool = False, watch: bool = False
    ) -> Observation | None:
        """Judge for a while; a guard looks only for reasons to roll back, until resumed."""
        target, plan = self._target(PRODUCTION), self._state.request.plan
        since = self._since or workflow.now()
        compared = target.stable is not None
        rules = judge_rules(plan, weight, has_stable=compared, last_known=self._last_known)
        observation = await self._watch_for(
            Canary.observe_step,
            ObserveStep(
                target=target,
                weight=weight,
                rules=self._as_loaded(rules, since),
                since=since,
                ends_at=workflow.now() + length,
                block=plan.pace.block,
                slow_above=plan.limits.p95,
                metrics=plan.metrics,
                state=self._judge,
                watch=guard or watch,
                tells=self._tells and not self._is_under_load(),
                told=self._known_reason,
            ),
            queue=cluster_queue(PRODUCTION),
            options=options.OBSERVE,
            summary=f"judge {target.revision} at {weight} %",
            until=lambda: (guard and self._state.paused_by is None) or bool(self._promotion),
        )
        if observation is not None:
            self._judge = observation.state
        return observation

    async def _conclude(
        self, weight: int, observation: Observation | None, *, watch: bool = False
    ) -> Report:
        """A person's promote, else the judge's word: a verdict, or that it holds."""
        if observation is not None and observation.record is not None:
            self._keep(observation.record)
        promotion = self._counted_promotion(observation)
        if promotion is not None:
            promoted = await self._promote(weight, promotion, observation, watch=watch)
            return promoted or self._still_held()
        if observation is None:
            return Report(signal=Signal.NO_EVIDENCE, sentence=f"no verdict at {weight} %")
        mode, decides = self._mode_of(_gate(watch)), not observation.early
        if mode is GateMode.OBSERVE and decides:
            return await self._only_observed(weight, observation, watch=watch)
        if not decides or observation.judgement.verdict is Verdict.HOLD:
            return self._keep_hold(weight, observation)
        if mode is GateMode.ASK:
            return await self._ask_for_step(weight, observation, watch=watch)
        return self._judged(weight, observation)

    def _judged(self, weight: int, observation: Observation) -> Report:
        """The judge's verdict is the step's."""
        judgement = observation.judgement
        self._note_verdict(_step_verdict(weight, observation))
        if judgement.verdict is Verdict.ROLL_BACK:
            return Report(signal=Signal.CANARY_WORSE, sentence=judgement.sentence)
        return completed(judgement.sentence)

    async def _only_observed(self, weight: int, observation: Observation, *, watch: bool) -> Report:
        """Tell what would have been done, and go on when the step's time is over."""
        words = WOULD_HAVE[observation.judgement.verdict]
        sentence = (
            f"the {_gate(watch)} gate only observes; it would have {words}:"
            f" {observation.judgement.sentence}"
        )
        verdict = _step_verdict(weight, observation)
        self._note_verdict(verdict.with_(sentence=sentence, mode=GateMode.OBSERVE))
        left = self._observed_until(watch=watch) - workflow.now()
        if left > timedelta(0):
            self._wait_note(f"the end of this step's time at {weight} %", workflow.now() + left)
            await self._until(lambda: False, within=left, summary="the gate only observes")
        return completed(sentence)

    def _observed_until(self, *, watch: bool) -> datetime:
        """When a step goes on whose gate only observes: its deadline, or the watch's end."""
        pace = self._state.request.plan.pace
        return (self._since or workflow.now()) + (pace.watch if watch else pace.step_deadline)

    async def _ask_for_step(self, weight: int, observation: Observation, *, watch: bool) -> Report:
        """The verdict waits for a person at this weight; what would be promoted is watched on."""
        asked, promoted = observation, None
        self._ask_about(weight, asked, watch=watch)
        while promoted is None:
            asked = await self._watched_while_asked(weight, asked, watch=watch)
            if _is_held(asked.judgement):
                return self._keep_hold(weight, asked)
            self._wait_note("a release manager's promote, or an abort")
            await self._until(lambda: self._promotion is not None, summary="a person's promote")
            promotion, self._promotion = self._promotion, None
            assert promotion is not None  # noqa: S101 - it was waited for
            promoted = await self._promote(weight, promotion, asked, watch=watch)
        return promoted

    async def _watched_while_asked(
        self, weight: int, asked: Observation, *, watch: bool
    ) -> Observation:
        """What a person is asked about in the end, or why nobody can be asked any more."""
        while self._promotion is None and asked.judgement.verdict is Verdict.PROMOTE:
            found = await self._observe(weight, LOOK_WHILE_ASKED, watch=True)
            if found is None:
                if self._is_unseen(found):
                    self._void_promotion(UNSEEN)
                continue
            if _is_held(found.judgement):
                if found.record is not None:
                    self._keep(found.record)
                self._void_promotion(found.judgement.sentence)
                return found
            if found.judgement.verdict is Verdict.ROLL_BACK:
                asked = found
                self._ask_about(weight, asked, watch=watch)
        return asked

    def _ask_about(self, weight: int, observation: Observation, *, watch: bool) -> None:
        if observation.record is not None:
            self._keep(observation.record)
        judgement = observation.judgement
        said = f"the {_gate(watch)} gate asks, {judgement.verdict} says the judge"
        self._hold_asked(weight, f"{said}: {judgement.sentence}")

    async def _promote(
        self,
        weight: int,
        promotion: AcceptedCommand,
        observation: Observation | None,
        *,
        watch: bool,
    ) -> Report | None:
        """One step on by a person's word: stored with the judge's before anything moves.

        None: it counts no more, and what was held is held.
        """
        held = self._state.held
        assert held is not None  # noqa: S101 - a promote counts only while something is held
        record = await self._do(
            Canary.record_promotion,
            PersonsPromotion(
                target=self._target(PRODUCTION),
                weight=weight,
                watch=watch,
                held=held,
                accepted=promotion,
                observation=observation.record if observation else None,
            ),
            queue=cluster_queue(PRODUCTION),
            options=options.QUICK,
            summary=f"keep the promote by {promotion.principal}",
        )
        if isinstance(record, RefusedPromotion):
            self._withdraw(promotion, record.why)
            return None
        self._keep(record)
        said = f"promoted by {promotion.principal}: {promotion.command.statement.reason}"
        sentence = f"{said}; the judge: {held.sentence}"
        self._note_verdict(
            StepVerdict(
                weight=weight,
                verdict=Verdict.PROMOTE.value,
                reason=held.reason,
                sentence=sentence,
                record=record,
                by=promotion.principal,
            )
        )
        return completed(sentence)

    def _note_verdict(self, verdict: StepVerdict) -> None:
        self._end_hold()
        self._change(verdicts=(*self._state.verdicts, verdict), sentence=verdict.sentence)
        self._tell(f"{verdict.weight} %: {verdict.verdict}: {verdict.sentence}")


def _is_held(judgement: Judgement) -> bool:
    """Whether the judge sees a reason to hold, and not only too little yet since it promoted."""
    return judgement.verdict is Verdict.HOLD and judgement.reason is not Reason.gathering


def _gate(watch: bool) -> Gate:
    return Gate.WATCH if watch else Gate.CANARY


def _step_verdict(weight: int, observation: Observation) -> StepVerdict:
    judgement = observation.judgement
    return StepVerdict(
        weight=weight,
        verdict=judgement.verdict.value,
        reason=judgement.reason.value,
        sentence=judgement.sentence,
        record=observation.record,
    )


def promotes(observation: Observation | None) -> bool:
    """Whether the judge has said PROMOTE, for good."""
    if observation is None or observation.early:
        return False
    return observation.judgement.verdict is Verdict.PROMOTE
