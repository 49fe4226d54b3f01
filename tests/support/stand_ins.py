"""Activities stood in for by name: healthy unless the world's script says otherwise."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from temporalio import activity

from activities.failures import NotYet
from domain.bundle import RecordReference
from domain.canary import ERRORS, METRICS
from domain.checks import CheckResult, ChecksReport
from domain.commands import Change
from domain.environments import BUILD_QUEUE, CONTROL_QUEUE, Environment, cluster_queue
from domain.errors import PermanentFailure
from domain.holds import is_news
from domain.journal import UndoResult
from domain.judge.counts import Counts
from domain.judge.state import JudgeState, start
from domain.judge.verdict import Judgement, Thresholds, Verdict
from domain.lane import HolderEnd
from domain.load import LoadReport, SendLoad
from domain.observer import Fitness, ObserverReport, VerifyObserver
from domain.records import digest_of
from domain.release import RollbackRehearsal
from domain.scan import ScanSummary
from domain.soak import SoakWindow
from domain.steps import (
    BuildRequest,
    BuiltImage,
    BundleRequest,
    CheckRevision,
    CreatedRevision,
    CreateRevision,
    EarnWindow,
    FreezeEvidence,
    FrozenEvidence,
    LaneRequest,
    Observation,
    ObserveStep,
    PersonsPromotion,
    RefusedPromotion,
    RevisionRequest,
    ScanOutcome,
    ScanRequest,
    Settle,
    ShiftedTraffic,
    ShiftTraffic,
    StableQuery,
    StoredBundle,
    Tell,
    Told,
    Undo,
    UnitTestOutcome,
    Verification,
    VerifyCommand,
)
from domain.traffic import StableRevision, pods_needed
from tests.support.cluster_double import ClusterDouble
from tests.support.release_records import REPOSITORY, bundle, record
from tests.support.release_world import Opinion, World
from tests.support.temporal import Activities

# How often a look that somebody may be ending asks the server, and how many times at most.
BEAT, MOST_BEATS = 0.02, 100


def poll(length: timedelta) -> None:
    """Wait the way our polls do: first "not yet", then the answer; servers skip the backoff."""
    if activity.info().attempt == 1 and length > timedelta(0):
        raise NotYet("the time has not come", length)


class Control:
    """Lanes (real), scan, approval, messages."""

    def __init__(self, world: World) -> None:
        self._world = world

    @activity.defn(name="enter_lane")
    async def enter_lane(self, asked: LaneRequest) -> None:
        await self._world.called("enter_lane", asked)
        await self._world.lanes.enter_lane(asked)

    @activity.defn(name="announce_candidate")
    async def announce_candidate(self, asked: LaneRequest) -> None:
        await self._world.called("announce_candidate", asked)
        await self._world.lanes.announce_candidate(asked)

    @activity.defn(name="visit_lane")
    async def visit_lane(self, asked: LaneRequest) -> None:
        await self._world.called("visit_lane", asked)
        await self._world.lanes.visit_lane(asked)

    @activity.defn(name="await_release_end")
    async def await_release_end(self, holder: str) -> HolderEnd:
        await self._world.called("await_release_end", holder)
        try:
            return await self._world.lanes.await_release_end(holder)
        except NotYet as not_yet:
            raise NotYet(str(not_yet), self._world.lane_poll) from not_yet

    @activity.defn(name="judge_report")
    async def judge_report(self, asked: ScanRequest) -> ScanOutcome:
        answer = await self._world.called("judge_report", asked)
        if isinstance(answer, ScanOutcome):
            return answer
        if answer == "no report":
            poll(asked.give_up_after)
            return ScanOutcome(summary=None, record=None)
        summary = ScanSummary(
            scanner="grype",
            target=asked.image,
            target_digest=None,
            counts={"critical": len(answer or ())},
            blocking=answer or (),
            report=digest_of("report"),
        )
        return ScanOutcome(summary=summary, record=record("scan", summary.sentence))

    @activity.defn(name="freeze_evidence")
    async def freeze_evidence(self, asked: FreezeEvidence) -> FrozenEvidence:
        await self._world.called("freeze_evidence", asked)
        release, world = asked.target.release_id, self._world
        frozen = record("evidence", f"{release} {len(world.calls)}")
        world.evidence[release] = frozen
        expires_at = activity.info().scheduled_time + asked.expires_in
        return FrozenEvidence(record=frozen, expires_at=expires_at, eligible=("ann", "paul"))

    @activity.defn(name="verify_command")
    async def verify_command(self, asked: VerifyCommand) -> Verification:
        await self._world.called("verify_command", asked)
        actor = asked.command.actor
        accepted = actor not in self._world.refused_actors
        said = "signed" if accepted else f"{actor} may not"
        return Verification(accepted=accepted, principal=actor, verified=accepted, sentence=said)

    @activity.defn(name="tell")
    async def tell(self, asked: Tell) -> Told:
        self._world.told.append(asked.text)
        await self._world.called("tell", asked)
        return Told(thread=f"thread of {asked.release_id}")


class Building:
    """Tests, image, bundle."""

    def __init__(self, world: World) -> None:
        self._world = world

    @activity.defn(name="run_unit_tests")
    async def run_unit_tests(self, asked: BuildRequest) -> UnitTestOutcome:
        failed = await self._world.called("run_unit_tests", asked)
        told = failed or "12 unit tests passed, 91% covered"
        return UnitTestOutcome(passed=failed is None, record=record("unit-tests", told))

    @activity.defn(name="build_image")
    async def build_image(self, asked: BuildRequest) -> BuiltImage:
        await self._world.called("build_image", asked)
        return BuiltImage(
            image=f"{REPOSITORY}@{digest_of(asked.release.commit)}", sentence="image built"
        )

    @activity.defn(name="store_bundle")
    async def store_bundle(self, asked: BundleRequest) -> StoredBundle:
        await self._world.called("store_bundle", asked)
        release = asked.build.release
        change = Change(
            commit=release.commit,
            base=asked.build.base,
            authors=("stranger@example.org",),
            started_by=release.started_by,
        )
        return StoredBundle(bundle=bundle(release.commit), change=change, sentence="bundle stored")


class Deploying:
    """One environment's activities, on its double."""

    def __init__(self, world: World, environment: Environment) -> None:
        self._world = world
        self._environment = environment

    @property
    def _cluster(self) -> ClusterDouble:
        return self._world.clusters[self._environment]

    async def _called(self, name: str, asked: Any) -> Any:
        target = getattr(asked, "target", asked)
        if isinstance(target, RevisionRequest) and target.environment is not self._environment:
            raise PermanentFailure(f"{name} of {target.environment} came to {self._environment}")
        return await self._world.called(name, asked)

    @activity.defn(name="read_stable")
    async def read_stable(self, asked: StableQuery) -> StableRevision | None:
        await self._called("read_stable", asked)
        return self._cluster.stable()

    @activity.defn(name="create_revision")
    async def create_revision(self, asked: CreateRevision) -> CreatedRevision:
        problem = await self._called("create_revision", asked)
        target = asked.target
        ready = target.stable.ready_pods if target.stable else 0
        pods = pods_needed(asked.weight, ready, declared=2)
        self._cluster.create(target, commit="", pods=pods)
        told = problem or f"{target.revision}: {pods} of {pods} pods ready"
        return CreatedRevision(
            revision=target.revision,
            ready_pods=pods,
            adopted=False,
            healthy=problem is None,
            sentence=told,
        )

    @activity.defn(name="hold_capacity")
    async def hold_capacity(self, asked: RevisionRequest) -> None:
        await self._called("hold_capacity", asked)
        if asked.stable is not None:
            self._cluster.minimums[asked.stable.revision] = asked.stable.ready_pods

    @activity.defn(name="settle_release")
    async def settle_release(self, asked: Settle) -> str:
        await self._called("settle_release", asked)
        self._cluster.settle(asked)
        return f"{asked.target.revision} has settled"

    @activity.defn(name="check_revision")
    async def check_revision(self, asked: CheckRevision) -> ChecksReport:
        problem = await self._called("check_revision", asked)
        results = tuple(
            CheckResult(
                path=check.path, status=200, elapsed=check.within / 20, problem=problem or ""
            )
            for check in asked.checks
        )
        return ChecksReport(suite=asked.suite, results=results)

    @activity.defn(name="shift_traffic")
    async def shift_traffic(self, asked: ShiftTraffic) -> ShiftedTraffic:
        await self._called("shift_traffic", asked)
        self._cluster.shift(asked)
        return ShiftedTraffic(split=asked.new, seconds=0.4, sentence=f"{asked.new}, read back")

    @activity.defn(name="rehearse_rollback")
    async def rehearse_rollback(self, asked: ShiftTraffic) -> RollbackRehearsal:
        await self._called("rehearse_rollback", asked)
        self._cluster.set_split(asked.new)
        self._cluster.set_split(asked.old)
        return RollbackRehearsal(tried=True, seconds=0.8, sentence="rollback rehearsed in 0.80 s")

    @activity.defn(name="point_entry")
    async def point_entry(self, asked: RevisionRequest) -> None:
        await self._called("point_entry", asked)
        self._cluster.entry = asked.revision

    @activity.defn(name="undo")
    async def undo(self, asked: Undo) -> UndoResult:
        await self._called("undo", asked)
        outcome = self._cluster.undo(asked.compensation)
        return UndoResult(compensation=asked.compensation, outcome=outcome, sentence=outcome)


class Staging(Deploying):
    """Staging's own: the soak."""

    @activity.defn(name="earn_window")
    async def earn_window(self, asked: EarnWindow) -> SoakWindow:
        if activity.info().attempt == 1:
            await self._world.called("earn_window begins", asked)
        poll(asked.length)
        healthy = await self._called("earn_window", asked)
        if isinstance(healthy, SoakWindow):
            return healthy
        return SoakWindow(
            length=asked.length,
            healthy=healthy is not False,
            sentence="healthy" if healthy is not False else "2 container restarts",
        )


class Production(Deploying):
    """Production's own: the judge, and the last look at the approval."""

    @activity.defn(name="confirm_approval")
    async def confirm_approval(self, asked: RevisionRequest) -> str | None:
        void = await self._called("confirm_approval", asked)
        if void is None and asked.stable != self._cluster.stable():
            return "the stable revision changed"
        return None if void is None else str(void)

    @activity.defn(name="verify_observer")
    async def verify_observer(self, asked: VerifyObserver) -> ObserverReport:
        report = await self._called("verify_observer", asked)
        if isinstance(report, ObserverReport):
            return report
        return ObserverReport(fitness=Fitness.fit, sentence="it sees each arm's pods")

    @activity.defn(name="send_load")
    async def send_load(self, asked: SendLoad) -> LoadReport:
        if activity.info().attempt == 1:
            await self._called("send_load begins", asked)
        poll(self._world.load_lasts)
        answer = await self._called("send_load", asked)
        return answer or LoadReport()

    @activity.defn(name="observe_step")
    async def observe_step(self, asked: ObserveStep) -> Observation:
        if activity.info().attempt == 1:
            await self._called("observe_step", asked)
            self._world.look(asked.weight, watch=asked.watch)
        judgement = _judgement(self._world.looking_at)
        quick = judgement.verdict is Verdict.ROLL_BACK
        patient = asked.watch or judgement.verdict is Verdict.HOLD
        final = quick or not patient
        early = asked.tells and not final and is_news(judgement, asked.told)
        given_up = await self._is_given_up()
        whole = asked.ends_at - activity.info().scheduled_time
        lasts = whole if patient else asked.rules.min_bake
        if not self._world.answers_at_once and not given_up:
            poll(asked.block if quick else asked.rules.silent_after if early else lasts)
        return Observation(
            judgement=judgement,
            state=asked.state or _seen(start(asked.rules, METRICS, asked.since)),
            record=record(f"verdict-{asked.weight}"),
            early=early or given_up,
        )

    async def _is_given_up(self) -> bool:
        """Whether somebody who promotes ends this look, as the real one, which then answers."""
        for _ in range(MOST_BEATS if self._world.promotes_now else 0):
            activity.heartbeat()
            try:
                await asyncio.sleep(BEAT)
            except asyncio.CancelledError:
                return True
        self._world.promotes_now = False
        return False

    @activity.defn(name="record_promotion")
    async def record_promotion(self, asked: PersonsPromotion) -> RecordReference | RefusedPromotion:
        self._world.promotes_now = False
        refused: RefusedPromotion | None = await self._called("record_promotion", asked)
        return refused or record(f"promotion-{asked.weight}")


def _seen(state: JudgeState) -> JudgeState:
    """Stable answered 8000 requests, 4 of them badly."""
    good = Counts(stable_requests=8000, stable_bad=4)
    errors = state.metrics[ERRORS].model_copy(update={"good": good})
    return state.model_copy(update={"metrics": state.metrics | {ERRORS: errors}})


def _judgement(opinion: Opinion) -> Judgement:
    return Judgement(
        verdict=opinion.verdict,
        reason=opinion.reason,
        sentence=opinion.sentence,
        evidence=0.0,
        proof={},
        thresholds=Thresholds(roll_back=100, promote=20),
        counts={},
        blocks=3,
        elapsed=timedelta(0),
    )


def by_queue(world: World) -> Activities:
    """The stand-ins of each role's queue."""
    owners = {
        CONTROL_QUEUE: Control(world),
        BUILD_QUEUE: Building(world),
        cluster_queue(Environment.STAGING): Staging(world, Environment.STAGING),
        cluster_queue(Environment.PRODUCTION): Production(world, Environment.PRODUCTION),
    }
    return {queue: activities_of(owner) for queue, owner in owners.items()}


def activities_of(owner: object) -> list[Any]:
    """Every method of an object that is an activity."""
    members = [getattr(owner, name) for name in dir(owner) if not name.startswith("_")]
    return [m for m in members if hasattr(m, "__temporal_activity_definition")]
