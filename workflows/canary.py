"""Production: a step of traffic, a verdict, the next step; then the watch, then settle."""

from __future__ import annotations

from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.observer import Observer
    from activities.revisions import Revisions
    from domain.canary import known_of_stable
    from domain.decisions import Report, Signal
    from domain.environments import Environment, cluster_queue
    from domain.gates import Gate, GateMode
    from domain.journal import RestoreCapacity
    from domain.judge.rules import STALE_PART_OF_DEADLINE
    from domain.observer import Fitness, VerifyObserver
    from domain.plan import HOUR
    from domain.steps import Settle
    from workflows import options
    from workflows.build import closed, completed
    from workflows.interruptible import cause_of
    from workflows.load import PRODUCTION
    from workflows.observing import Observing, promotes


class Promoting(Observing):
    """The stages in production; each remembers how far it is, so that a hold goes on there."""

    def __init__(self) -> None:
        super().__init__()
        self._steps_taken = 0
        self._brought_up = False
        self._observer_verified = False
        self._observer_silent = False

    async def _canary(self) -> Report:
        """Take the plan's steps; a first release has nothing to compare with and goes 0 -> 100."""
        stable = self._state.stable[PRODUCTION]
        steps = self._state.request.plan.canary.steps if stable else (100,)
        problem = await self._bring_up(first_weight=steps[0]) or await self._verify_observer()
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

    async def _verify_observer(self) -> Report | None:
        """No user is sent to a canary that the judge would not see, or would mistake for others."""
        if self._observer_verified or not workflow.patched("verify-observer"):
            return None
        target, plan = self._target(PRODUCTION), self._state.request.plan
        # A silent source is told soon, and then waited for without filling the history.
        part = 1 if self._observer_silent else STALE_PART_OF_DEADLINE
        report = await self._watch_for(
            Observer.verify_observer,
            VerifyObserver(
                target=target,
                slow_above=plan.limits.p95,
                ends_at=workflow.now() + plan.pace.step_deadline / part,
                metrics=plan.metrics,
                quiet_allowed=plan.canary.on_quiet == "synthetic",
            ),
            queue=cluster_queue(PRODUCTION),
            options=options.OBSERVE,
            summary=f"does the observer see {target.revision}?",
        )
        if report is None or report.fitness is Fitness.silent:
            told = report.sentence if report else "it was not asked to the end"
            if not self._observer_silent:
                self._observer_silent = True
                self._tell(f"alert, holding: {told}")
            return Report(signal=Signal.NO_EVIDENCE, sentence=told)
        self._observer_verified = report.fitness is Fitness.fit
        return None if self._observer_verified else closed(report.sentence)

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
            self._last_known = known_of_stable(self._judge)
            self._since = workflow.now()
        length = self._time_left(self._since)
        self._wait_note(f"a verdict at {weight} %", workflow.now() + length)
        observed_only = self._mode_of(Gate.CANARY) is GateMode.OBSERVE
        observation = await self._observe(weight, length, watch=observed_only)
        if not observed_only:
            observation = await self._under_load(weight, observation, self._observe)
        while promotes(observation) and self._state.paused_by is not None:
            self._wait_note(f"resume (paused by {self._state.paused_by.principal})")
            # However little of the step's time is left: looks without length fill the history.
            anew = max(length, self._state.request.plan.pace.step_deadline)
            guarded = await self._observe(weight, anew, guard=True)
            # A verdict from before the pause is too old to promote on.
            resumed = self._state.paused_by is None and (guarded is None or guarded.early)
            observation = await self._observe(weight, anew) if resumed else guarded
        return await self._conclude(weight, observation)

    def _time_left(self, since: datetime) -> timedelta:
        """Until the deadline with its extensions; then a long look, which news ends at once."""
        if self._mode_of(Gate.CANARY) is GateMode.OBSERVE:
            return max(self._observed_until(watch=False) - workflow.now(), timedelta(0))
        plan = self._state.request.plan
        whole = plan.pace.step_deadline * (1 + plan.canary.extensions)
        left = since + whole - workflow.now()
        return left if left > timedelta(0) else self._look_after_deadline

    @property
    def _look_after_deadline(self) -> timedelta:
        """Every look carries the judge's state: a weekend of short ones would fill the history."""
        return max(self._state.request.plan.pace.step_deadline, HOUR)

    async def _watch(self) -> Report:
        """After promotion the old revision stays armed for a while."""
        pace = self._state.request.plan.pace
        if self._since is None:
            self._since, self._judge = workflow.now(), None
            self._begin_step()
        rest = self._since + pace.watch - workflow.now()
        watching = rest > timedelta(0)
        length = rest if watching else self._look_after_deadline
        self._wait_note("the post-promotion watch", workflow.now() + length)
        observation = await self._observe(100, length, watch=watching)
        over = workflow.now() >= self._since + pace.watch
        if over and self._mode_of(Gate.WATCH) is not GateMode.OBSERVE:
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
