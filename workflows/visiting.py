"""How a rollback gets into the lane of an environment that its release has left already."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.lanes import Lanes
    from domain.environments import CONTROL_QUEUE, Environment, lane_id
    from domain.journal import UndoOutcome
    from domain.lane import Ticket
    from domain.records import Record
    from domain.steps import LaneRequest
    from workflows import options
    from workflows.interruptible import cause_of, finish

ANSWER = timedelta(minutes=1)
TRIES = 5


class NoEntry(Record):
    """Why an environment is not touched, and how that is called in the report."""

    outcome: UndoOutcome
    sentence: str


class Visiting:
    """Base of the rollback workflow: asks a lane for itself, and never waits behind a release."""

    def __init__(self) -> None:
        self._granted: set[Environment] = set()
        self._refused: dict[Environment, Ticket] = {}

    @workflow.signal(description="sent by the lane: this rollback is admitted")
    def lane_granted(self, environment: Environment) -> None:
        self._granted.add(environment)

    @workflow.signal(description="sent by the lane: a release is there, or comes next")
    def lane_refused(self, environment: Environment, release: Ticket) -> None:
        self._refused[environment] = release

    async def _visit(self, environment: Environment, service: str) -> NoEntry | None:
        """Get in, or say why not: what a release is busy with is left to it."""
        try:
            if not await self._ask(environment, self._ticket(service)):
                await self._leave(environment, service)
                told = f"{environment}'s lane did not answer"
                return NoEntry(outcome=UndoOutcome.SKIPPED, sentence=told)
        except ActivityError as error:
            return NoEntry(outcome=UndoOutcome.SKIPPED, sentence=cause_of(error))
        if environment in self._granted:
            return None
        release = self._refused[environment].release_id
        told = f"{environment} is left to {release}, which has its lane now"
        return NoEntry(outcome=UndoOutcome.LEFT, sentence=told)

    async def _ask(self, environment: Environment, ticket: Ticket) -> bool:
        """Ask until there is an answer; asking twice is asking once."""
        for _ in range(TRIES):
            asking = workflow.start_activity_method(
                Lanes.visit_lane,
                LaneRequest(environment=environment, ticket=ticket),
                **options.on(CONTROL_QUEUE, options.QUICK, f"ask for {environment}'s lane"),
            )
            await finish(asking)
            if await finish(asyncio.create_task(self._answered(environment))):
                return True
        return False

    async def _answered(self, environment: Environment) -> bool:
        with suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: environment in self._granted or environment in self._refused,
                timeout=ANSWER,
                timeout_summary=f"{environment} lane",
            )
            return True
        return False

    async def _leave(self, environment: Environment, service: str) -> None:
        lane = workflow.get_external_workflow_handle(lane_id(environment, service))
        leaving = lane.signal("leave", self._ticket(service).release_id)
        with suppress(ApplicationError):
            await finish(asyncio.create_task(leaving))

    def _ticket(self, service: str) -> Ticket:
        return Ticket(release_id=workflow.info().workflow_id, service=service, commit="")
