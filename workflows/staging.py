"""Staging: deploy, test, rehearse the rollback, and earn the soak."""

from __future__ import annotations

from datetime import datetime, timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.soak import Soak
    from activities.traffic import Traffic
    from domain.decisions import Report
    from domain.environments import Environment, cluster_queue
    from domain.gates import Gate
    from domain.quantities import format_duration
    from domain.release import RollbackRehearsal
    from domain.soak import SoakProgress, SoakWindow
    from domain.steps import EarnWindow, ShiftTraffic
    from domain.traffic import TrafficSplit
    from workflows import options
    from workflows.build import closed, completed
    from workflows.deploying import Deploying

STAGING = Environment.STAGING


class Staging(Deploying):
    """The stages in staging; its lane is held until the soak has ended."""

    def __init__(self) -> None:
        super().__init__()
        self._window_end: datetime | None = None
        self._told_unknown = ""

    async def _deploy_to_staging(self) -> Report:
        tests = self._state.request.plan.tests
        await self._enter(STAGING)
        await self._read_stable(STAGING)
        created = await self._create_revision(STAGING, weight=100)
        if not created.healthy:
            return closed(created.sentence)
        preview = await self._check(STAGING, "preview", tests.smoke)
        if not preview.passed:
            problem = await self._pass_gate(Gate.TESTS, closed(preview.sentence))
            if problem is not None:
                return problem
        await self._shift(STAGING, 100)
        smoke = await self._check(STAGING, "smoke", tests.smoke)
        critical = await self._check(STAGING, "critical", tests.critical)
        for report in (smoke, critical):
            if not report.passed:
                problem = await self._pass_gate(Gate.TESTS, closed(report.sentence))
                if problem is not None:
                    return problem
        rehearsal = await self._rehearse_rollback()
        await self._point_entry(STAGING)
        return completed(f"{smoke.sentence}; {critical.sentence}; {rehearsal.sentence}")

    async def _rehearse_rollback(self) -> RollbackRehearsal:
        """Go back to the old revision and forward again, and time it."""
        target = self._target(STAGING)
        if target.stable is None or target.stable.revision == target.revision:
            rehearsal = RollbackRehearsal(
                tried=False, seconds=None, sentence="no older revision to rehearse a rollback with"
            )
        else:
            here, back = self._splits[STAGING], TrafficSplit.all_to(target.stable.revision)
            rehearsal = await self._do(
                Traffic.rehearse_rollback,
                ShiftTraffic(target=target, weight=100, old=here, new=back),
                queue=cluster_queue(STAGING),
                options=options.ROLLOUT,
                summary=f"rehearse the rollback to {target.stable.revision}",
            )
        self._change(rehearsal=rehearsal)
        return rehearsal

    async def _soak(self) -> Report:
        """Earn the plan's healthy time in windows; abort, pause and skip are heard in between."""
        plan = self._state.request.plan
        progress = self._state.soak or SoakProgress(
            goal=plan.pace.soak, bundle=str(self._target(STAGING).bundle)
        )
        while not progress.is_earned and self._soak_skip is None:
            if self._state.paused_by is not None:
                self._window_end = None
                await self._unpaused()
            if no := _no_of(progress, plan.pace.soak_deadline):
                problem = await self._pass_gate(Gate.SOAK, closed(no))
                if problem is not None:
                    return problem
                break
            progress = await self._earn_window(progress)
        await self._leave(STAGING)
        if self._soak_skip is not None:
            reason = self._soak_skip.command.statement.reason
            return completed(f"soak skipped by {self._soak_skip.principal}: {reason}")
        return completed(progress.sentence)

    async def _earn_window(self, progress: SoakProgress) -> SoakProgress:
        plan = self._state.request.plan
        length = progress.next_window(plan.pace.soak_window)
        starts_at = self._next_start(length)
        self._change(soak=progress, sentence=progress.sentence)
        self._wait_note("healthy time in staging", workflow.now() + progress.goal - progress.earned)
        window = await self._watch_for(
            Soak.earn_window,
            EarnWindow(target=self._target(STAGING), starts_at=starts_at, length=length, plan=plan),
            queue=cluster_queue(STAGING),
            options=options.POLL,
            summary=f"soak: {format_duration(progress.earned)} earned",
            until=lambda: self._soak_skip is not None,
        )
        if window is None:
            return progress
        self._window_end = starts_at + window.length
        last, progress = progress.last, progress.add(window, plan.soak.on_unhealthy, starts_at)
        if news := self._window_news(window, last):
            self._tell(f"{news}; {progress.sentence}")
        self._change(soak=progress, sentence=progress.sentence)
        return progress

    def _window_news(self, window: SoakWindow, last: str) -> str:
        """What people must hear of a window: why it earns nothing, and when that is over.

        As a hold, an unknown one is told once per reason. `last`: what the window before it said.
        """
        reason = window.reason if window.is_unknown else ""
        known, self._told_unknown = self._told_unknown, reason
        if (reason or known) and workflow.patched("unknown-soak-is-told-by-reason"):
            if reason and reason != known:
                return f"alert, the soak earns nothing: {window.sentence}"
            if not reason and window.healthy:
                return "soak: it is known again how healthy staging is"
            return "" if reason else f"soak: {window.sentence}"
        said_before = window.is_unknown and window.sentence == last
        return "" if window.healthy or said_before else f"soak: {window.sentence}"

    def _next_start(self, length: timedelta) -> datetime:
        """Windows join without a gap, unless nobody looked for longer than a window."""
        now = workflow.now()
        return max(self._window_end or now, now - length)


def _no_of(progress: SoakProgress, deadline: timedelta) -> str:
    """Why this soak opens no gate, or an empty string while it may still."""
    if progress.drift:
        return f"what soaked is not the bundle any more: {progress.drift}"
    if progress.elapsed < deadline:
        return ""
    return (
        f"soak not earned within {format_duration(deadline)}: {progress.sentence}; {progress.last}"
    )
