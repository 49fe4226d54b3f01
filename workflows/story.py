"""The release's story as people see it: its state, Temporal's UI, one message thread."""

from __future__ import annotations

import asyncio
from datetime import datetime

from temporalio import workflow
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.notification import Notification
    from domain.decisions import Report, Signal
    from domain.environments import CONTROL_QUEUE
    from domain.phases import Outcome, Phase
    from domain.quantities import format_duration
    from domain.release import ReleaseState, StageRecord
    from domain.steps import Tell
    from workflows import options

SERVICE = SearchAttributeKey.for_keyword("TidegateService")
COMMIT = SearchAttributeKey.for_keyword("TidegateCommit")
PHASE = SearchAttributeKey.for_keyword("TidegatePhase")
OUTCOME = SearchAttributeKey.for_keyword("TidegateOutcome")
WEIGHT = SearchAttributeKey.for_int("TidegateWeight")

TITLES: dict[Phase, str] = {
    Phase.PREPARE: "read what serves now",
    Phase.BUILD: "build and bundle",
    Phase.SCAN: "vulnerability report",
    Phase.STAGING: "staging",
    Phase.SOAK: "soak",
    Phase.APPROVAL: "approval",
    Phase.CANARY: "production canary",
    Phase.WATCH: "post-promotion watch",
    Phase.SETTLE: "settle",
    Phase.ROLLBACK: "roll back",
    Phase.DONE: "done",
}
MARKS = {True: "✔", False: "✘", None: "…"}


class Story:
    """Base of the release workflow that keeps its state and tells it to people."""

    def __init__(self) -> None:
        self._state: ReleaseState
        self._outbox: list[str] = []
        self._told = 0
        self._telling = False

    def _change(self, **changes: object) -> None:
        """Replace the state, the only way it changes."""
        self._state = self._state.with_(**changes)
        workflow.set_current_details(details(self._state))

    def _open_stage(self, phase: Phase) -> None:
        stage = StageRecord(phase=phase, title=TITLES[phase], started_at=workflow.now())
        if self._state.stages and self._state.stages[-1].phase is phase:
            stages = (
                *self._state.stages[:-1],
                self._state.stages[-1].with_(ended_at=None, ok=None),
            )
        else:
            stages = (*self._state.stages, stage)
        self._change(phase=phase, stages=stages, waiting_for=None, next_wake_up=None)
        workflow.upsert_search_attributes([PHASE.value_set(phase.value)])

    def _close_stage(self, report: Report) -> None:
        ok = report.signal is Signal.COMPLETED
        closed = self._state.stages[-1].with_(
            ended_at=workflow.now(), sentence=report.sentence, ok=ok
        )
        self._change(
            stages=(*self._state.stages[:-1], closed),
            sentence=report.sentence,
            waiting_for=None,
            next_wake_up=None,
        )

    def _say(self, sentence: str) -> None:
        """Set what is going on right now."""
        self._change(sentence=sentence)

    def _wait_note(self, waiting_for: str, until: datetime | None = None) -> None:
        """Say who or what is waited for, and when the release looks again."""
        self._change(waiting_for=waiting_for, next_wake_up=until)

    def _set_weight(self, weight: int) -> None:
        self._change(weight=weight)
        workflow.upsert_search_attributes([WEIGHT.value_set(weight)])

    def _set_outcome(self, outcome: Outcome, sentence: str) -> None:
        self._change(
            outcome=outcome,
            phase=Phase.DONE,
            sentence=sentence,
            ended_at=workflow.now(),
            waiting_for=None,
            next_wake_up=None,
        )
        workflow.upsert_search_attributes(
            [OUTCOME.value_set(outcome.value), PHASE.value_set(Phase.DONE.value)]
        )

    def _tell(self, text: str) -> None:
        """Queue a message for the release's thread; several waiting ones become one."""
        self._outbox.append(text)
        if not self._telling:
            self._telling = True
            asyncio.create_task(self._deliver())  # noqa: RUF006 - awaited by `_all_told`

    async def _deliver(self) -> None:
        while self._outbox:
            text, self._outbox = "\n".join(self._outbox), []
            self._told += 1
            try:
                told = await workflow.execute_activity_method(
                    Notification.tell,
                    Tell(
                        release_id=self._state.request.release_id,
                        thread=self._state.thread,
                        key=f"{self._state.request.release_id}:{self._told}",
                        text=text,
                    ),
                    **options.on(CONTROL_QUEUE, options.TELL, text.splitlines()[0]),
                )
                self._change(thread=told.thread)
            except ActivityError:
                # A release never fails because the message did not get through; people see it.
                self._change(undelivered=(*self._state.undelivered, text))
        self._telling = False

    async def _all_told(self) -> None:
        await workflow.wait_condition(lambda: not self._telling)


def details(state: ReleaseState) -> str:
    """The current details in Temporal's UI, as Markdown."""
    request = state.request
    lines = [f"**{request.service}** `{request.commit[:10]}` — {state.sentence}", ""]
    if state.waiting_for:
        until = f" until {state.next_wake_up:%Y-%m-%d %H:%M:%S}" if state.next_wake_up else ""
        lines += [f"Waiting for {state.waiting_for}{until}", ""]
    if state.held:
        lines += [f"Held at {state.held.weight} % since {state.held.since:%H:%M:%S}:", ""]
        lines += [state.held.sentence, ""]
    lines += [f"- {told}" for told in state.request.plan.gates.told]
    for stage in state.stages:
        took = f" ({format_duration(stage.ended_at - stage.started_at)})" if stage.ended_at else ""
        lines.append(f"- {MARKS[stage.ok]} {stage.title}{took} {stage.sentence}")
    lines += [f"- {v.weight} %: {v.verdict} {v.sentence}" for v in state.verdicts]
    return "\n".join(lines)
