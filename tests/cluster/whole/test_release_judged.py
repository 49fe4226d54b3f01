"""What the judge does on real metrics: slow, leaking, no metrics, and a dependency that is down."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial

import pytest

from domain.judge.verdict import Reason
from domain.phases import Outcome
from tests.cluster.whole import dependency, versions
from tests.cluster.whole.bed import Bed
from tests.cluster.whole.dependency import Dependency
from tests.cluster.whole.repository import APPROVER, Repository
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
    billing, user = repositories

    async def one() -> None:
        async with ground(bed, billing) as service:

            async def slow() -> Trial:
                versions.slow(billing)
                return await service.trial()

            async def leaking() -> Trial:
                billing.take("good")
                versions.leaking(billing)
                return await service.trial()

            await lane(results, {"first": service.trial, "slow": slow, "leaking": leaking})

    async def other() -> None:
        async with ground(bed, user, quiet=True) as service:
            await lane(results, {"quiet": partial(service.trial, _nobody_asks)})
        async with ground(bed, user) as service:

            async def both_bad() -> Trial:
                versions.harmless(user, "NOTE_ONE")
                return await service.trial(partial(_dependency_fails, outside=outside))

            await lane(results, {"both bad": both_bad})

    await asyncio.gather(one(), other())


async def _nobody_asks(journey: Journey) -> None:
    """A first release in front of nobody: a person says that it may go on."""
    await journey.approve()
    held = await journey.holds(Reason.no_traffic)
    assert "no traffic: 0 canary requests" in held.sentence
    await journey.is_promoted_by_hand(Reason.no_traffic, "nobody uses it yet")


async def _dependency_fails(journey: Journey, *, outside: Dependency) -> None:
    """From before the canary has users until the release has said what it makes of it."""
    await journey.ground.repository.await_approval(journey.release)
    outside.broken = 0.3
    try:
        await journey.reach_users(10)
        async with journey.unmoved(10):
            await journey.holds(Reason.both_bad)
            await journey.asked(round(OUTAGE_SECONDS * PER_SECOND))
            held = await journey.holds(Reason.both_bad)
            assert "a dependency is down; next: look at what both call" in held.sentence
    finally:
        outside.broken = 0.0


async def _stable_cannot_read_it(journey: Journey, *, outside: Dependency) -> None:
    """The dependency answers in a new form, which the new version alone understands."""
    await journey.ground.repository.await_approval(journey.release)
    outside.renamed = 0.3
    await journey.reach_users(10)
    async with journey.unmoved(10):
        held = await journey.holds(Reason.stable_bad)
        assert "if the canary is the fix, a person promotes with a reason" in held.sentence
    await journey.is_promoted_by_hand(Reason.stable_bad, "it reads the new form")


async def _no_metrics(journey: Journey) -> None:
    """Production's Prometheus dies while the canary has its first users, and comes back."""
    production = journey.ground.production
    await journey.reach_users(10, requests=10)
    production.addons.kill_prometheus()
    try:
        async with journey.unmoved(10):
            enough = asyncio.create_task(journey.asked(round(OUTAGE_SECONDS * PER_SECOND)))
            held = await journey.holds(Reason.no_data)
            await enough
            assert (await journey.holds(Reason.no_data)).name == held.name
            assert "no evidence either way; next: look whether the metrics source" in held.sentence
            assert "could not be used: Prometheus at" in held.sentence
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


def test_a_first_release_that_nobody_asks_is_held_until_a_person_promotes_it(
    trials: dict[str, Trial | Exception],
) -> None:
    quiet = of(trials, "quiet")
    assert quiet.ended.outcome is Outcome.RELEASED, quiet.ended.sentence
    assert [one.weight for one in quiet.ended.verdicts] == [100, 100]
    assert {one.by for one in quiet.ended.verdicts} == {APPROVER}
    assert quiet.after == {quiet.ended.revision: 100}


async def test_while_prometheus_is_dead_nothing_moves_and_then_the_release_finishes(
    hub: Bed, billing: Repository, trials: dict[str, Trial | Exception]
) -> None:
    billing.take("good")
    versions.harmless(billing, "NOTE")
    async with ground(hub, billing) as service:
        trial = await service.trial(_no_metrics)
    note("no metrics", trial)
    released(trial)
    assert trial.asked.failed == trial.gateway.failed == 0


@pytest.mark.long
async def test_a_fix_of_a_broken_stable_is_held_until_a_person_promotes_it(
    hub: Bed, user: Repository, outside: Dependency, trials: dict[str, Trial | Exception]
) -> None:
    versions.understanding(user)
    async with ground(hub, user) as service:
        trial = await service.trial(partial(_stable_cannot_read_it, outside=outside))
    note("stable bad", trial)
    released(trial)
    by_hand = [one for one in trial.ended.verdicts if one.by == APPROVER]
    assert [one.weight for one in by_hand] == [10, 50]
    assert trial.gateway.bad(trial.stable) > 0
    assert trial.gateway.bad(trial.ended.revision) == 0


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
