"""Production: a step of traffic, a verdict, the next step; then the watch, then settle."""

from __future__ import annotations

from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.canary import Canary
    from activities.revisions import Revisions
    from domain.commands import AcceptedCommand
    from domain.decisions import Report, Signal
    from domain.environments import Environment, cluster_queue
    from domain.journal import RestoreCapacity
    from domain.judge.state import JudgeState
    from domain.judge.verdict import Verdict
    from domain.release import StepVerdict
    from domain.steps import Observation, ObserveStep, PersonsPromotion, Settle
    from workflows import options
    from workflows.build import closed, completed
    from workflows.interruptible import cause_of
    from workflows.load import Loading

PRODUCTION = Environment.PRODUCTION


class Promoting(Loading):
    """The stages in production; each remembers how far it is, so that a hold goes on there."""

    def __init__(self) -> None:
        super().__init__()
        self._steps_taken = 0
        self._brought_up = False
        self._judge: JudgeState | None = None

    async def _canary(self) -> Report:
        """Take the plan's steps; a first release has nothing to compare with and goes 0 -> 100."""
        stable = self._state.stable[PRODUCTION]
        steps = self._state.request.plan.canary.steps if stable else (100,)
        problem = await self._bring_up(first_weight=steps[0])
        if problem is not None:
            return problem
        for weight in steps[self._steps_taken :]:
            report = await self._take_step(weight)
            if report.signal is not Signal.COMPLETED:
                return report
            self._steps_taken, self._since = self._steps_taken + 1, None
        await self._point_entry(PRODUCTION)
        return completed(f"promoted: {self._target(PRODUCTION).revision} serves everybody")

    async def _bring_up(self, first_weight: int) -> Report | None:
        """Create the canary, keep stable's pods, and ask the canary before any user does."""
        if self._brought_up:
            return None
        await self._unpaused()
        await self._hold_capacity()
        created = await self._create_revision(PRODUCTION, weight=first_weight)
        if not created.healthy:
            return closed(created.sentence)
        smoke = self._state.request.plan.tests.smoke
        preview = await self._check(PRODUCTION, "preview", smoke)
        self._brought_up = True
        return None if preview.passed else closed(preview.sentence)

    async def _hold_capacity(self) -> None:
        """Stable keeps the pods it needs for all traffic until the release has settled."""
        stable = self._state.stable[PRODUCTION]
        if stable is None or stable.min_replicas is None:
            return
        self._register(
            RestoreCapacity(
                environment=PRODUCTION,
                service=self._state.request.service,
                revision=stable.revision,
                min_replicas=stable.min_replicas,
            )
        )
        await self._do(
            Revisions.hold_capacity,
            self._target(PRODUCTION),
            queue=cluster_queue(PRODUCTION),
            options=options.QUICK,
            summary=f"keep {stable.ready_pods} pods of {stable.revision}",
        )

    async def _take_step(self, weight: int) -> Report:
        """Shift, then watch until the judge has a verdict; a pause keeps watching, not moving."""
        if self._since is None:
            await self._unpaused()
            await self._shift(PRODUCTION, weight)
            self._set_weight(weight)
            self._begin_step()
            self._since = workflow.now()
        length = self._time_left(self._since)
        self._wait_note(f"a verdict at {weight} %", workflow.now() + length)
        observation = await self._observe(weight, length)
        observation = await self._under_load(weight, observation, self._observe)
        while _promotes(observation) and self._state.paused_by is not None:
            self._wait_note(f"resume (paused by {self._state.paused_by.principal})")
            guarded = await self._observe(weight, length, guard=True)
            # A verdict from before the pause is too old to promote on.
            resumed = self._state.paused_by is None and (guarded is None or guarded.early)
            observation = await self._observe(weight, length) if resumed else guarded
        return await self._conclude(weight, observation)

    def _time_left(self, since: datetime) -> timedelta:
        """Until the deadline with its extensions; then a deadline's length for every look."""
        plan = self._state.request.plan
        whole = plan.pace.step_deadline * (1 + plan.canary.extensions)
        left = since + whole - workflow.now()
        return left if left > timedelta(0) else plan.pace.step_deadline

    async def _observe(
        self, weight: int, length: timedelta, *, guard: bool = False, watch: bool = False
    ) -> Observation | None:
        """Judge for a while; a guard looks only for reasons to roll back, until resumed."""
        target, plan = self._target(PRODUCTION), self._state.request.plan
        since = self._since or workflow.now()
        observation = await self._watch_for(
            Canary.observe_step,
            ObserveStep(
                target=target,
                weight=weight,
                rules=self._rules(weight, since),
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
            return await self._promote(weight, promotion, observation, watch=watch)
        if observation is None:
            return Report(signal=Signal.NO_EVIDENCE, sentence=f"no verdict at {weight} %")
        judgement = observation.judgement
        if observation.early or judgement.verdict is Verdict.HOLD:
            return self._keep_hold(weight, observation)
        self._note_verdict(
            StepVerdict(
                weight=weight,
                verdict=judgement.verdict.value,
                reason=judgement.reason.value,
                sentence=judgement.sentence,
                record=observation.record,
            )
        )
        if judgement.verdict is Verdict.ROLL_BACK:
            return Report(signal=Signal.CANARY_WORSE, sentence=judgement.sentence)
        return completed(judgement.sentence)

    async def _promote(
        self,
        weight: int,
        promotion: AcceptedCommand,
        observation: Observation | None,
        *,
        watch: bool,
    ) -> Report:
        """One step on by a person's word: stored with the judge's before anything moves."""
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

    async def _watch(self) -> Report:
        """After promotion the old revision stays armed for a while."""
        pace = self._state.request.plan.pace
        if self._since is None:
            self._since, self._judge = workflow.now(), None
            self._begin_step()
        rest = self._since + pace.watch - workflow.now()
        watching = rest > timedelta(0)
        length = rest if watching else pace.step_deadline
        self._wait_note("the post-promotion watch", workflow.now() + length)
        observation = await self._observe(100, length, watch=watching)
        if workflow.now() >= self._since + pace.watch:
            observation = await self._under_load(100, observation, self._observe)
        return await self._conclude(100, observation, watch=True)

    async def _settle(self) -> Report:
        """Retire the old revisions; keep the last few for a quick way back."""
        result = await self._settle_in(PRODUCTION)
        try:
            await self._settle_in(Environment.STAGING)
        except ActivityError as error:
            # What is left over in staging harms no user, and the next release tries again.
            self._tell(f"an old revision is left in staging: {cause_of(error)}")
        return completed(result)

    async def _settle_in(self, environment: Environment) -> str:
        plan = self._state.request.plan
        return await self._do(
            Revisions.settle_release,
            Settle(target=self._target(environment), drain=plan.canary.drain, retain=plan.retain),
            queue=cluster_queue(environment),
            options=options.ROLLOUT,
            summary=f"retire the old revision in {environment}",
        )


def _promotes(observation: Observation | None) -> bool:
    if observation is None or observation.early:
        return False
    return observation.judgement.verdict is Verdict.PROMOTE
