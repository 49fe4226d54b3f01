"""The world around a release in workflow tests: Given what happens, When it runs, Then what was.

Workflows are real, activities are stood in for (`stand_ins`). A script says what an activity
answers; a reaction is what somebody does when an activity is called or a message is read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from temporalio.client import Client, WorkflowHandle, WorkflowUpdateStage
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment

from activities.lanes import Lanes
from domain.bundle import RecordReference
from domain.commands import Answer, Command, CommandName, Statement
from domain.environments import (
    CONTROL_QUEUE,
    RELEASE_ENVIRONMENTS,
    Environment,
    lane_id,
    rollback_id,
)
from domain.errors import PermanentFailure
from domain.holds import Hold
from domain.judge.verdict import Reason, Verdict
from domain.lane import Lane
from domain.plan import HOUR
from domain.release import ReleaseRequest, ReleaseState
from tests.support.cluster_double import ClusterDouble
from tests.support.conditions import eventually
from tests.support.release_records import bundle, request, stable
from tests.support.temporal import workers
from workflows.lane import LaneWorkflow
from workflows.release import ReleaseWorkflow
from workflows.resolving import Resolution
from workflows.rollback import RollbackWorkflow

STAGING, PRODUCTION = Environment.STAGING, Environment.PRODUCTION
Reaction = Callable[[], Awaitable[object]]
Release = WorkflowHandle[ReleaseWorkflow, ReleaseState]


class Call(NamedTuple):
    """One call of a stand-in: the activity's name and what it was asked."""

    name: str
    asked: Any


class Opinion(NamedTuple):
    """What the judge says at one look."""

    verdict: Verdict
    reason: Reason
    sentence: str


@dataclass
class _Trigger:
    name: str
    matches: Callable[[Any], bool]
    react: Reaction


@dataclass
class Step:
    """The judge at one weight."""

    opinions: list[Opinion]

    def says(self, *said: tuple[Verdict, Reason]) -> None:
        """Its next answers, one per look; afterwards it promotes."""
        self.opinions += [Opinion(v, r, f"{v} because {r}") for v, r in said]


@dataclass
class World:
    """Two clusters, people, and a Temporal server with its workers."""

    server: WorkflowEnvironment
    lane_poll: timedelta = 6 * HOUR
    # Shorter than any load of the tests' plans is judged.
    load_lasts: timedelta = timedelta(seconds=1)
    request: ReleaseRequest = field(default_factory=request)
    calls: list[Call] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    evidence: dict[str, RecordReference] = field(default_factory=dict)
    refused_actors: set[str] = field(default_factory=set)
    looking_at: Opinion = field(init=False)
    held: Hold | None = None
    answers_at_once: bool = False
    # Somebody has just said promote: the next look is under way until it is given up for that.
    promotes_now: bool = False
    _scripts: dict[str, list[Any]] = field(default_factory=dict)
    _triggers: list[_Trigger] = field(default_factory=list)
    _opinions: dict[tuple[int, bool], Step] = field(default_factory=dict)
    clusters: dict[Environment, ClusterDouble] = field(
        default_factory=lambda: {e: ClusterDouble(e) for e in RELEASE_ENVIRONMENTS}
    )

    def __post_init__(self) -> None:
        for environment, cluster in self.clusters.items():
            cluster.serve(stable(environment))
        self._before = self.picture()

    # --- Given ---------------------------------------------------------------------------------

    def first_release(self) -> None:
        """Nothing of the service serves anywhere."""
        for environment in self.clusters:
            self.clusters[environment] = ClusterDouble(environment)
        self._before = self.picture()

    def script(self, name: str, *answers: Any) -> None:
        """The next answers of an activity: values, exceptions, or None for the healthy default."""
        self._scripts.setdefault(name, []).extend(answers)

    def breaks(self, name: str, times: int = 1) -> None:
        """The activity fails for good."""
        self.script(name, *[PermanentFailure(f"{name} is forbidden")] * times)

    def canary_at(self, weight: int, *, watch: bool = False) -> Step:
        """The judge at one weight; `watch` is the guard while paused, or after promotion."""
        return self._opinions.setdefault((weight, watch), Step([]))

    def soak_windows(self, *healthy: bool) -> None:
        """Whether the next windows are healthy; all later ones are."""
        self.script("earn_window", *healthy)

    def when(
        self, name: str, react: Reaction, where: Callable[[Any], bool] = lambda asked: True
    ) -> None:
        """What somebody does the next time an activity is called."""
        self._triggers.append(_Trigger(name, where, react))

    def when_told(self, words: str, react: Reaction) -> None:
        """What somebody does on reading these words in the release's thread."""
        self.when("tell", react, lambda asked: words in asked.text)

    def approves(self, *people: str, release: str | None = None) -> None:
        """These people approve whenever they are asked."""

        async def react() -> None:
            asked_again()
            for person in people or ("ann",):
                await self.signal(CommandName.APPROVE, person, release=release)

        def asked_again() -> None:
            self.when_told(f"tidegate approve {release or self.request.release_id}", react)

        asked_again()

    def also(self, commit: str) -> ReleaseRequest:
        """Another commit under the same plan."""
        return request(commit, plan=self.request.plan)

    # --- When ----------------------------------------------------------------------------------

    @property
    def client(self) -> Client:
        """The server's client."""
        return self.server.client

    @property
    def lanes(self) -> Lanes:
        """The real lane activities: they talk to Temporal only."""
        return Lanes(self.client)

    async def starts(self, wanted: ReleaseRequest | None = None) -> Release:
        """Start a release."""
        wanted = wanted or self.request
        return await self.client.start_workflow(
            ReleaseWorkflow.run, wanted, id=wanted.release_id, task_queue=CONTROL_QUEUE
        )

    async def starts_in_order(
        self, first: ReleaseRequest, second: ReleaseRequest
    ) -> tuple[Release, Release]:
        """Start a second release when the first has got into staging."""
        ahead = await self.starts(first)
        await eventually(lambda: any(call.name == "create_revision" for call in self.calls))
        return ahead, await self.starts(second)

    async def is_told(self, words: str) -> None:
        """Wait until these words are in a release's thread."""
        await eventually(lambda: any(words in text for text in self.told))

    async def release(self) -> ReleaseState:
        """Run the release to its end."""
        return await (await self.starts()).result()

    def command(self, name: CommandName, actor: str, release: str | None = None) -> Command:
        """What a person signs, about the evidence that the gate has now."""
        about = release or self.request.release_id
        evidence = self.evidence.get(about)
        held = self.held
        statement = Statement(
            command=name,
            release=about,
            evidence=evidence.digest if evidence else None,
            reason=f"{actor} says so",
            expires_at=datetime.now(UTC) + HOUR,
            held=held.name if name is CommandName.PROMOTE and held else None,
        )
        return Command(statement=statement, actor=actor, signature="signed")

    async def signal(self, name: CommandName, actor: str, release: str | None = None) -> None:
        """Say something the way the Temporal UI does."""
        command = self.command(name, actor, release)
        if name is CommandName.PROMOTE:
            self.promotes_now = True
            self.when_told("nobody looked to the end", lambda: self.promotes(actor))
        await self.handle(command.statement.release).signal(name.value, command)

    async def update(
        self, name: CommandName, actor: str, command: Command | None = None, id: str | None = None
    ) -> Answer:
        """Say something the way our CLI does, and read the answer."""
        said = command or self.command(name, actor)
        update = await self.handle(said.statement.release).start_update(
            name.value,
            said,
            id=id,
            result_type=Answer,
            wait_for_stage=WorkflowUpdateStage.COMPLETED,
            rpc_timeout=timedelta(seconds=20),
        )
        answer: Answer = await update.result()
        return answer

    async def looks_at_the_hold(self) -> None:
        """What a person reads before deciding."""
        self.held = (await self.handle().query(ReleaseWorkflow.state)).held

    async def promotes(self, actor: str = "rita") -> None:
        """A person takes the held step by signal, having looked."""
        await self.looks_at_the_hold()
        await self.signal(CommandName.PROMOTE, actor)

    async def signal_resume(self, actor: str) -> None:
        """An operator says resume."""
        await self.signal(CommandName.RESUME, actor)

    async def resolve(self, resolution: Resolution, actor: str = "otto") -> Answer:
        """Tell a stuck rollback what to do."""
        said = self.command(CommandName(f"resolve-{resolution}"), actor)
        answer: Answer = await self.rollback().execute_update(
            said.name.value, said, result_type=Answer, rpc_timeout=timedelta(seconds=20)
        )
        return answer

    def handle(self, release: str | None = None) -> Release:
        """A handle of a release."""
        return self.client.get_workflow_handle_for(
            ReleaseWorkflow.run, release or self.request.release_id
        )

    def rollback(self, release: str | None = None) -> WorkflowHandle[RollbackWorkflow, Any]:
        """A handle of a release's rollback."""
        return self.client.get_workflow_handle_for(
            RollbackWorkflow.run, rollback_id(release or self.request.release_id)
        )

    async def has_rolled_back(self, release: str | None = None) -> bool:
        """Whether a rollback of a release was ever started."""
        try:
            await self.rollback(release).describe()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return False
        return True

    def lane(self, environment: Environment) -> WorkflowHandle[LaneWorkflow, None]:
        """A handle of an environment's lane."""
        return self.client.get_workflow_handle_for(LaneWorkflow.run, lane_id(environment, "album"))

    # --- Then ----------------------------------------------------------------------------------

    def picture(self) -> list[tuple[object, ...]]:
        """What both clusters look like."""
        return [cluster.picture() for cluster in self.clusters.values()]

    @property
    def revision(self) -> str:
        """Name of the release's revision."""
        return f"album-{bundle(self.request.commit).short}"

    @property
    def old_revision(self) -> str:
        """Name of the revision that served before."""
        return stable(PRODUCTION).revision

    @property
    def is_restored(self) -> bool:
        """Whether both clusters are as they were before any release."""
        return self.picture() == self._before

    @property
    def weights(self) -> list[int]:
        """Shares of production that releases were given or that were taken back, in order."""
        history = self.clusters[PRODUCTION].history
        return [sum(b.weight for b in s.backends) - s.weight_of(self.old_revision) for s in history]

    @property
    def steps(self) -> list[str]:
        """The calls that changed something, as words."""
        return [told for call in self.calls if (told := _told(call))]

    async def lane_state(self, environment: Environment) -> Lane:
        """Who holds the lane, who waits."""
        return await self.lane(environment).query(LaneWorkflow.state)

    # --- what the stand-ins use -----------------------------------------------------------------

    async def called(self, name: str, asked: Any) -> Any:
        """Record a call, let people react, and give the scripted answer, if there is one."""
        self.calls.append(Call(name, asked))
        for trigger in list(self._triggers):
            if trigger.name == name and trigger.matches(asked):
                self._triggers.remove(trigger)
                await trigger.react()
        script = self._scripts.get(name)
        answer = script.pop(0) if script else None
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def look(self, weight: int, *, watch: bool) -> None:
        """A look begins: what the judge says at its end is in `looking_at`."""
        step = self._opinions.get((weight, watch))
        if step is not None and step.opinions:
            self.looking_at = step.opinions.pop(0)
        else:
            said = f"{weight} % is as good as stable"
            self.looking_at = Opinion(Verdict.PROMOTE, Reason.relative, said)


def _told(call: Call) -> str | None:
    asked = call.asked
    match call.name:
        case "create_revision" | "settle_release":
            return f"{call.name.split('_')[0]} in {asked.target.environment}"
        case "shift_traffic":
            return f"{asked.target.environment} {asked.weight} %"
        case "observe_step":
            return f"watch {asked.weight} %" if asked.watch else f"judge {asked.weight} %"
        case "undo":
            return f"undo {asked.compensation.kind} in {asked.compensation.environment}"
        case "run_unit_tests" | "judge_report" | "freeze_evidence":
            return call.name.replace("_", " ")
    return None


@asynccontextmanager
async def running(
    server: WorkflowEnvironment, *, lane_poll: timedelta = 6 * HOUR, cached_workflows: int = 1000
) -> AsyncIterator[World]:
    """A world with all its workers; no test may end with an accident."""
    world = World(server, lane_poll=lane_poll)
    async with working(world, cached_workflows=cached_workflows):
        yield world
    assert [a for cluster in world.clusters.values() for a in cluster.accidents] == []


@asynccontextmanager
async def working(
    world: World, *, queues: Sequence[str] = (), cached_workflows: int = 1000
) -> AsyncIterator[None]:
    """The workers of some queues, or of all."""
    from tests.support.stand_ins import by_queue  # noqa: PLC0415 - they know the world

    async with workers(
        world.client, by_queue(world), queues=queues, cached_workflows=cached_workflows
    ):
        yield
