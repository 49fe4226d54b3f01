"""The declared load of a quiet canary: sent beside the judge, once a step, then judged again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.load import Load
    from domain.environments import Environment, cluster_queue
    from domain.judge.rules import JudgeRules
    from domain.judge.verdict import Reason, Verdict
    from domain.load import LoadReport, SendLoad, lasts, requests_of, rules_under_load, wants_load
    from domain.probes import Probe
    from domain.steps import Observation
    from workflows import options
    from workflows.deploying import Deploying
    from workflows.interruptible import Interrupted, cause_of

PRODUCTION = Environment.PRODUCTION
Look = Callable[[int, timedelta], Awaitable[Observation | None]]


class Loading(Deploying):
    """What a step does when the judge wants requests and the plan declares a load."""

    def __init__(self) -> None:
        super().__init__()
        self._since: datetime | None = None
        # By a step's beginning, until when its load is judged; None: it was not as declared.
        self._loads: dict[datetime, datetime | None] = {}

    def _is_under_load(self) -> bool:
        """Whether the step's load is still to be judged: only a verdict ends such a look early."""
        until = self._loads.get(self._since) if self._since else None
        return until is not None and workflow.now() < until

    def _as_loaded(self, rules: JudgeRules, since: datetime) -> JudgeRules:
        """The step's rules; once the load was sent, quiet at its end is all that there will be."""
        until = self._loads.get(since)
        return rules if until is None else rules_under_load(rules, until - since)

    async def _under_load(
        self, weight: int, observation: Observation | None, look: Look
    ) -> Observation | None:
        """Where nothing but requests is missing, send the plan's load and look again meanwhile."""
        since = self._since
        if observation is None or since is None or self._load is None or since in self._loads:
            return observation
        if not wants_load(observation.judgement) or not workflow.patched("declared-load"):
            return observation
        if self._promotion is not None:
            return observation
        # A promote is of what is held; under load the judge decides again.
        self._end_hold()
        length = lasts(self._state.request.plan, self._load, weight)
        self._loads[since] = until = workflow.now() + length
        self._wait_note(f"the declared load at {weight} %", until)
        sending = self._send(self._load, weight)
        try:
            judged = await look(weight, length)
        except (Interrupted, ActivityError):
            self._loads[since] = None
            await self._give_up(sending)
            raise
        if self._was_sent(sending, judged):
            return judged
        self._loads[since] = None
        await self._give_up(sending)
        # Nobody was asked as declared: that the canary kept quiet says nothing.
        return observation if judged is None or _is_quiet(judged) else judged

    def _send(self, probe: Probe, weight: int) -> workflow.ActivityHandle[LoadReport]:
        target = self._target(PRODUCTION)
        requests = requests_of(self._state.request.plan, probe, weight)
        self._tell(
            f"{weight} %: too quiet to be judged; the declared load is sent: "
            f"{requests} x GET {probe.path}"
        )
        return self._start(
            Load.send_load,
            SendLoad(target=target, weight=weight),
            cluster_queue(PRODUCTION),
            options.OBSERVE,
            f"send the declared load of {target.revision}",
        )

    def _was_sent(
        self, sending: workflow.ActivityHandle[LoadReport], judged: Observation | None
    ) -> bool:
        """Whether the load came to its end; else people are told why its quiet does not count."""
        if not sending.done():
            if judged is not None and _needed_the_end(judged):
                self._tell(
                    "the declared load was not sent to its end in its time; quiet proves nothing"
                )
            return False
        error = sending.exception()
        if error is None:
            self._tell(sending.result().sentence)
            return True
        self._tell(cause_of(error) if isinstance(error, ActivityError) else str(error))
        return False

    @property
    def _load(self) -> Probe | None:
        return self._state.request.plan.canary.load


def _is_quiet(observation: Observation) -> bool:
    return observation.judgement.reason is Reason.quiet


def _needed_the_end(observation: Observation) -> bool:
    """Whether the look went on to its end; one that was given up or has a proof ended before."""
    if observation.early:
        return False
    return observation.judgement.verdict is Verdict.HOLD or _is_quiet(observation)
