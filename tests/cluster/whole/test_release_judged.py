"""What the judge does on real metrics: slow, leaking, no metrics, and a dependency that is down."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from domain.phases import Outcome
from tests.cluster.whole import dependency, versions
from tests.cluster.whole.bed import Bed
from tests.cluster.whole.dependency import Dependency
from tests.cluster.whole.repository import Repository
from tests.cluster.whole.trials import PER_SECOND, Journey, Trial, ground, lane, note

pytestmark = pytest.mark.timeout(900)
# Longer than the plan's stale time and than its last deadline, as its clock makes them pass.
OUTAGE_SECONDS = 25.0


@pytest.fixture(scope="module")
def outside(bed: Bed) -> Iterator[Dependency]:
    """What every version of `user` asks."""
    with bed.hub.namespace.entered(), dependency.serving() as served:
        yield served


@pytest.fixture(scope="module")
def billing(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """Of which `good` is what shall serve."""
    made = Repository.made(tmp_path_factory.mktemp("billing") / "isa_user", bed, "billing")
    versions.small(made)
    made.tag("good")
    return made


@pytest.fixture(scope="module")
def user(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A service that asks another one."""
    made = Repository.made(tmp_path_factory.mktemp("user") / "isa_user", bed, "user")
    versions.asking(made)
    return made


@pytest.fixture(scope="module")
def trials(
    bed: Bed, outside: Dependency, billing: Repository, user: Repository
) -> dict[str, Trial | Exception]:
    """Releases of two services, side by side; each test asks for the one of its name."""
    results: dict[str, Trial | Exception] = {}
    loop = asyncio.new_event_loop()
    try:
        with bed.hub.namespace.entered():
            loop.run_until_complete(_side_by_side(bed, (billing, user), outside, results))
    finally:
        loop.close()
    for name, result in results.items():
        if isinstance(result, Trial):
            note(name, result)
    return results


async def _side_by_side(
    bed: Bed,
    repositories: tuple[Repository, Repository],
    outside: Dependency,
    results: dict[str, Trial | Exception],
) -> None:
    async with ground(bed, repositories[0]) as billing, ground(bed, repositories[1]) as user:

        async def slow() -> Trial:
            versions.slow(billing.repository)
            return await billing.trial()

        async def leaking() -> Trial:
            billing.repository.take("good")
            versions.leaking(billing.repository)
            return await billing.trial()

        async def both_bad() -> Trial:
            versions.harmless(user.repository, "NOTE_ONE")
            return await user.trial(lambda journey: _dependency_fails(journey, outside))

        first = {"first": billing.trial, "slow": slow, "leaking": leaking}
        second = {"first of user": user.trial, "both bad": both_bad}
        await asyncio.gather(lane(results, first), lane(results, second))


async def _dependency_fails(journey: Journey, outside: Dependency) -> None:
    """From before the canary has users until the release has said what it makes of it."""
    await journey.ground.repository.await_approval(journey.release)
    outside.broken = 0.3
    try:
        await journey.reach_users(10)
        async with journey.unmoved(10):
            await journey.says("both arms are over the limit")
    finally:
        outside.broken = 0.0


async def _no_metrics(journey: Journey) -> None:
    """Production's Prometheus dies while the canary has its first users, and comes back."""
    production = journey.ground.production
    await journey.reach_users(10, requests=10)
    production.addons.kill_prometheus()
    try:
        async with journey.unmoved(10):
            enough = asyncio.create_task(journey.asked(round(OUTAGE_SECONDS * PER_SECOND)))
            await journey.says("no data")
            await enough
            await journey.says("no data")
    finally:
        production.addons.start_prometheus()


def of(trials: dict[str, Trial | Exception], name: str) -> Trial:
    """The result of one scenario, or what it raised."""
    result = trials[name]
    if isinstance(result, Exception):
        raise result
    return result


def test_a_slow_version_is_rolled_back_because_it_is_slow(
    trials: dict[str, Trial | Exception],
) -> None:
    slow = of(trials, "slow")
    rolled_back(slow, "slow")
    assert slow.asked.failed == slow.gateway.failed == 0


def test_a_leaking_version_is_rolled_back_because_its_containers_restart(
    trials: dict[str, Trial | Exception],
) -> None:
    leaking = of(trials, "leaking")
    rolled_back(leaking, "restarts")
    # Who asks a pod that is just killed gets no answer, or the gateway's.
    assert 0 < leaking.asked.failed < 0.1 * len(leaking.asked.answers)


def test_while_both_arms_fail_nothing_moves_and_then_the_release_finishes(
    trials: dict[str, Trial | Exception],
) -> None:
    both = of(trials, "both bad")
    released(both)
    assert both.gateway.bad(both.stable) > both.gateway.bad(both.ended.revision) > 0


async def test_while_prometheus_is_dead_nothing_moves_and_then_the_release_finishes(
    hub: Bed, user: Repository, trials: dict[str, Trial | Exception]
) -> None:
    versions.harmless(user, "NOTE_TWO")
    async with ground(hub, user) as service:
        trial = await service.trial(_no_metrics)
    note("no metrics", trial)
    released(trial)
    assert trial.asked.failed == trial.gateway.failed == 0


def rolled_back(trial: Trial, metric: str) -> None:
    """At its first step, for this metric, as its sentence says; stable serves everybody again."""
    ended = trial.ended
    assert ended.outcome is Outcome.ROLLED_BACK, ended.sentence
    (verdict,) = ended.verdicts
    assert (verdict.weight, verdict.verdict, verdict.reason) == (10, "ROLL_BACK", "worse")
    assert f" on {metric}: canary got " in verdict.sentence
    assert verdict.sentence == ended.sentence
    assert trial.steps == (10,)
    assert trial.after == {trial.stable: 100}


def released(trial: Trial) -> None:
    """By every step of the plan; nothing was rolled back on the way."""
    ended = trial.ended
    assert ended.outcome is Outcome.RELEASED, ended.sentence
    assert {one.verdict for one in ended.verdicts} == {"PROMOTE"}
    assert ended.rollback is None
    assert trial.steps == (10, 50, 100)
    assert trial.after == {ended.revision: 100}
