"""The approval gate: freeze the evidence, wait for signatures, and for production's lane."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.approval import Approval
    from activities.gatekeeper import Gatekeeper
    from activities.lanes import Lanes
    from domain.commands import distinct_principals
    from domain.decisions import Report, Signal
    from domain.environments import CONTROL_QUEUE, Environment, cluster_queue
    from domain.lane import Ticket
    from domain.soak import SoakProgress, SoakRecord
    from domain.steps import FreezeEvidence, LaneRequest
    from workflows import options
    from workflows.build import completed
    from workflows.deploying import Deploying, Place

PRODUCTION = Environment.PRODUCTION


class Approving(Deploying):
    """The gate between staging and production; who waits here holds no lane."""

    @workflow.signal(description="sent by the lane: a newer bundle has soaked")
    def newer_candidate(self, newer: Ticket) -> None:
        waits = self._lanes.get(PRODUCTION) is Place.CANDIDATE
        if waits and self._state.request.plan.approval.on_newer == "supersede":
            self._interrupt(
                Signal.SUPERSEDED, f"superseded by {newer.release_id} ({newer.commit[:10]})"
            )

    async def _gain_approval(self) -> Report:
        """Evidence, signatures, lane; what changes meanwhile voids the approval and asks again."""
        while True:
            await self._announce()
            report = await self._collect_approvals()
            if report.signal is not Signal.COMPLETED:
                return report
            await self._enter(PRODUCTION)
            void = await self._do(
                Gatekeeper.confirm_approval,
                self._target(PRODUCTION),
                queue=cluster_queue(PRODUCTION),
                options=options.QUICK,
                summary="does the approval still hold?",
            )
            if void is None:
                return report
            await self._leave(PRODUCTION)
            self._change(approvals=(), evidence=None)
            self._tell(f"approval void: {void}; please look again")

    async def _announce(self) -> None:
        """From now on a newer bundle that has soaked may supersede this one."""
        self._lanes[PRODUCTION] = Place.CANDIDATE
        await self._do(
            Lanes.announce_candidate,
            LaneRequest(environment=PRODUCTION, ticket=self._ticket),
            queue=CONTROL_QUEUE,
            options=options.QUICK,
            summary="announce the soaked bundle",
        )

    async def _collect_approvals(self) -> Report:
        quorum = self._state.request.plan.approval.quorum
        await self._freeze_evidence()
        expires_at = self._state.evidence_expires_at or workflow.now()
        in_time = await self._until(
            lambda: distinct_principals(self._state.approvals) >= quorum,
            within=expires_at - workflow.now(),
            summary="approval",
        )
        if not in_time:
            return Report(
                signal=Signal.EXPIRED, sentence=f"nobody decided before {expires_at:%F %T %Z}"
            )
        people = ", ".join(a.principal for a in self._state.approvals) or "the policy: quorum 0"
        return completed(f"approved by {people}")

    async def _freeze_evidence(self) -> None:
        plan, change, rehearsal = (
            self._state.request.plan,
            self._state.change,
            self._state.rehearsal,
        )
        assert change is not None  # noqa: S101 - set by the build stage
        assert rehearsal is not None  # noqa: S101 - set by the staging stage
        await self._read_stable(PRODUCTION)
        frozen = await self._do(
            Approval.freeze_evidence,
            FreezeEvidence(
                target=self._target(PRODUCTION),
                image=self._state.image or "",
                change=change,
                records=self._state.records,
                soak=self._soak_record(),
                rehearsal=rehearsal,
                expires_in=plan.approval.expires,
                gate_notes=self._state.gate_notes,
            ),
            queue=CONTROL_QUEUE,
            options=options.QUICK,
            summary="freeze the evidence",
        )
        self._change(evidence=frozen.record, evidence_expires_at=frozen.expires_at)
        who = ", ".join(frozen.eligible) or "nobody eligible is in the policy"
        self._wait_note(f"{plan.approval.quorum} approval(s) by {who}", frozen.expires_at)
        self._say(f"waiting for {plan.approval.quorum} approval(s) of {frozen.record.digest[:19]}")
        self._tell(f"approval needed from {who}: tidegate approve {self._state.request.release_id}")

    def _soak_record(self) -> SoakRecord:
        plan, skip = self._state.request.plan, self._soak_skip
        return SoakRecord(
            plan=plan.soak,
            progress=self._state.soak or SoakProgress(goal=plan.pace.soak),
            skipped_by=skip.principal if skip else None,
            skip_reason=skip.command.statement.reason if skip else None,
        )
