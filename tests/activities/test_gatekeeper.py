from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from domain.commands import CommandName
from domain.errors import NotFound, PermanentFailure
from domain.evidence import Evidence, Proof
from domain.steps import CreateRevision, RevisionRequest
from domain.traffic import StableRevision
from tests.support.platform_world import SandboxWorld
from tests.support.site import shift_request
from tests.support.world import PRODUCTION, STAGING

Spoil = Callable[[SandboxWorld, RevisionRequest], Awaitable[RevisionRequest]]


async def wanted(world: SandboxWorld) -> RevisionRequest:
    """A first release in production, well approved by ben."""
    return await world.target(world.production, await world.bundle("v1"))


async def test_a_write_with_a_right_approval_is_admitted(world: SandboxWorld) -> None:
    target = await wanted(world)
    assert (await world.production.create(target)).healthy


def proof_of(target: RevisionRequest) -> Proof:
    assert target.proof is not None
    return target.proof


async def re_signed(
    world: SandboxWorld, target: RevisionRequest, name: str, **changes: object
) -> Proof:
    """The proof with one approval, stated as changed and signed anew."""
    proof = proof_of(target)
    approval = proof.approvals[0]
    statement = approval.command.statement.with_(**changes)
    command = world.people.sign(statement, name)
    return proof.with_(approvals=(approval.with_(command=command, principal=name),))


async def no_proof(world: SandboxWorld, target: RevisionRequest) -> RevisionRequest:
    return target.with_(proof=None)


async def no_approval(world: SandboxWorld, target: RevisionRequest) -> RevisionRequest:
    return target.with_(proof=proof_of(target).with_(approvals=()))


async def unsigned(world: SandboxWorld, target: RevisionRequest) -> RevisionRequest:
    approval = proof_of(target).approvals[0]
    command = approval.command.with_(signature=None)
    return target.with_(proof=proof_of(target).with_(approvals=(approval.with_(command=command),)))


async def altered_after_signing(world: SandboxWorld, target: RevisionRequest) -> RevisionRequest:
    approval = proof_of(target).approvals[0]
    statement = approval.command.statement
    later = statement.with_(expires_at=statement.expires_at + timedelta(days=1))
    forged = approval.with_(command=approval.command.with_(statement=later))
    return target.with_(proof=proof_of(target).with_(approvals=(forged,)))


async def by_a_stranger(world: SandboxWorld, target: RevisionRequest) -> RevisionRequest:
    return target.with_(proof=await re_signed(world, target, "mallory"))


async def in_another_name(world: SandboxWorld, target: RevisionRequest) -> RevisionRequest:
    approval = proof_of(target).approvals[0].with_(principal="carla")
    return target.with_(proof=proof_of(target).with_(approvals=(approval,)))


async def by_no_approver(world: SandboxWorld, target: RevisionRequest) -> RevisionRequest:
    return target.with_(proof=await re_signed(world, target, "olaf"))


async def by_the_author(world: SandboxWorld, target: RevisionRequest) -> RevisionRequest:
    return target.with_(proof=await re_signed(world, target, "dana"))


async def of_another_release(world: SandboxWorld, target: RevisionRequest) -> RevisionRequest:
    proof = await re_signed(world, target, "ben", release="release-album-9")
    return target.with_(proof=proof)


async def of_other_evidence(world: SandboxWorld, target: RevisionRequest) -> RevisionRequest:
    proof = await re_signed(world, target, "ben", evidence="sha256:" + "0" * 64)
    return target.with_(proof=proof)


async def evidence_of_another_bundle(
    world: SandboxWorld, target: RevisionRequest
) -> RevisionRequest:
    other = await world.target(world.production, await world.bundle("v2"))
    return target.with_(proof=other.proof)


async def evidence_of_another_release(
    world: SandboxWorld, target: RevisionRequest
) -> RevisionRequest:
    return target.with_(release_id="release-album-2")


async def a_rejection(world: SandboxWorld, target: RevisionRequest) -> RevisionRequest:
    proof = await re_signed(world, target, "ben", command=CommandName.REJECT, reason="no")
    return target.with_(proof=proof)


async def one_person_twice(world: SandboxWorld, target: RevisionRequest) -> RevisionRequest:
    approval = world.plan.approval.with_(quorum=2)
    bundle = await world.bundle("v1", approval=approval)
    return await world.approved(target.with_(bundle=bundle), by=("ben", "ben"))


async def somebody_who_left(world: SandboxWorld, target: RevisionRequest) -> RevisionRequest:
    others = tuple(one for one in world.policy.policy.people if one.principal != "ben")
    world.policy.change(people=others)
    return target


async def a_plan_that_became_too_loose(
    world: SandboxWorld, target: RevisionRequest
) -> RevisionRequest:
    world.policy.tighten(soak="48h")
    return target


async def a_rehearsal_no_longer_allowed(
    world: SandboxWorld, target: RevisionRequest
) -> RevisionRequest:
    world.policy.change(rehearsal=False)
    return target


async def another_service(world: SandboxWorld, target: RevisionRequest) -> RevisionRequest:
    return target.with_(service="billing")


async def another_environment(world: SandboxWorld, target: RevisionRequest) -> RevisionRequest:
    return target.with_(environment=STAGING, proof=None)


async def long_expired(world: SandboxWorld, target: RevisionRequest) -> RevisionRequest:
    """Evidence whose last use lies before now, with a real signature over it."""
    return await expired(world, target, timedelta(days=3))


async def just_expired(world: SandboxWorld, target: RevisionRequest) -> RevisionRequest:
    """Approved in time, but nothing was written before the expiry."""
    return await expired(world, target, timedelta(seconds=1))


async def expired(world: SandboxWorld, target: RevisionRequest, ago: timedelta) -> RevisionRequest:
    proof = proof_of(target)
    evidence = await world.archive.load_record(target.bundle, proof.evidence, Evidence)
    past = datetime.now(UTC) - ago
    old = evidence.with_(opened_at=past, expires_at=past)
    record = await world.archive.store_record(target.bundle, "evidence", old, "old")
    again = await re_signed(world, target, "ben", evidence=record.digest, expires_at=past)
    return target.with_(proof=again.with_(evidence=record))


async def another_stable(world: SandboxWorld, target: RevisionRequest) -> RevisionRequest:
    """Somebody else would be compared, kept and returned to than the approvers saw."""
    other = StableRevision(
        environment=PRODUCTION,
        revision="album-0123456789",
        bundle=str(target.bundle),
        commit="a" * 40,
        ready_pods=3,
    )
    return target.with_(stable=other)


async def soak_of_another_bundle(world: SandboxWorld, target: RevisionRequest) -> RevisionRequest:
    """Signed as it stands, by somebody who did not look closely."""
    proof = proof_of(target)
    evidence = await world.archive.load_record(target.bundle, proof.evidence, Evidence)
    other = evidence.soak.progress.with_(bundle="registry/isa/album@sha256:0000")
    foreign = evidence.with_(soak=evidence.soak.with_(progress=other))
    record = await world.archive.store_record(target.bundle, "evidence", foreign, "foreign")
    again = await re_signed(world, target, "ben", evidence=record.digest)
    return target.with_(proof=again.with_(evidence=record))


REFUSALS: list[tuple[Spoil, str]] = [
    (no_proof, "shows no approval for production"),
    (no_approval, r"1 more approval\(s\) of 1 needed"),
    (unsigned, "the approval by ben is not signed by its key"),
    (altered_after_signing, "altered"),
    (by_a_stranger, "made by the unknown key SHA256:"),
    (in_another_name, "the approval by carla is not signed by its key"),
    (by_no_approver, "olaf does not have the role approver"),
    (by_the_author, "dana wrote part of this change; somebody else must decide"),
    (of_another_release, "the approval by ben is about something else"),
    (of_other_evidence, "the approval by ben is about something else"),
    (evidence_of_another_bundle, "is about release-album-1 and .*, not release-album-1 and"),
    (evidence_of_another_release, "is about release-album-1 .*, not release-album-2"),
    (a_rejection, r"1 more approval\(s\) of 1 needed"),
    (one_person_twice, r"1 more approval\(s\) of 2 needed"),
    (somebody_who_left, "made by the unknown key SHA256:"),
    (a_plan_that_became_too_loose, "the plan of album is looser than the policy.*soak.duration"),
    (a_rehearsal_no_longer_allowed, "looser than the policy.*rehearsal"),
    (another_service, "is a bundle of album"),
    (another_environment, "asks production's worker to write to staging"),
    (long_expired, "the approval of release-album-1 expired at"),
    (just_expired, "the approval of release-album-1 expired at"),
    (soak_of_another_bundle, "the soak is of registry/isa/album@sha256:0000, not of"),
    (another_stable, "says that album-0123456789 serves, the approved evidence says nobody"),
]


@pytest.mark.parametrize(("spoil", "why"), REFUSALS, ids=lambda one: getattr(one, "__name__", ""))
async def test_a_write_without_a_right_approval_is_refused_and_does_not_happen(
    world: SandboxWorld, spoil: Spoil, why: str
) -> None:
    target = await spoil(world, await wanted(world))
    with pytest.raises(PermanentFailure, match=why):
        await world.production.create(target)
    assert world.production.writes() == []


@pytest.mark.parametrize(
    "name",
    ["create_revision", "shift_traffic", "point_entry", "hold_capacity"],
)
async def test_every_production_write_that_sends_users_on_asks_for_the_approval(
    world: SandboxWorld, name: str
) -> None:
    site = world.production
    stable = await world.serving(site)
    target = await world.target(site, await world.bundle("v2"), stable)
    await site.create(target)
    site.writes()
    naked = target.with_(proof=None)
    requests = {
        "create_revision": CreateRevision(target=naked, weight=10),
        "shift_traffic": shift_request(naked, 10),
    }
    with pytest.raises(PermanentFailure, match="shows no approval for production"):
        await site.do(name, requests.get(name, naked))
    assert site.writes() == []


async def test_two_people_make_a_quorum_of_two(world: SandboxWorld) -> None:
    world.policy.tighten(quorum=2)
    bundle = await world.bundle("v1", approval=world.plan.approval.with_(quorum=2))
    target = await world.target(world.production, bundle)
    both = await world.approved(target, by=("ben", "carla"))
    assert (await world.production.create(both)).healthy


async def test_staging_needs_no_approval_but_a_plan_within_the_policy(world: SandboxWorld) -> None:
    target = await world.target(world.staging, await world.bundle("v1"))
    assert target.proof is None
    assert (await world.staging.create(target)).healthy
    world.policy.tighten(soak="48h")
    with pytest.raises(PermanentFailure, match="looser than the policy"):
        await world.staging.create(target)


async def test_a_bundle_that_does_not_exist_is_refused(world: SandboxWorld) -> None:
    target = await wanted(world)
    gone = target.bundle.with_(digest="sha256:" + "0" * 64)
    with pytest.raises(NotFound, match="0000"):
        await world.production.create(target.with_(bundle=gone))


async def test_something_else_in_the_registry_is_no_bundle(world: SandboxWorld) -> None:
    target = await wanted(world)
    image = await world.image("v1")
    repository, _, digest = image.partition("@")
    other = target.bundle.with_(repository=repository, digest=digest)
    with pytest.raises(PermanentFailure, match="not a bundle"):
        await world.production.create(target.with_(bundle=other))


async def test_an_approval_holds_while_its_inputs_do(world: SandboxWorld) -> None:
    assert await world.production.do("confirm_approval", await wanted(world)) is None


async def test_another_policy_voids_an_approval_and_is_named(world: SandboxWorld) -> None:
    target = await wanted(world)
    world.policy.tighten(watch="31m")
    why = await world.production.do("confirm_approval", target)
    assert why.startswith("the organisation policy changed after the evidence was frozen (sha256:")


async def test_a_commit_that_leaves_the_policy_file_as_it_is_voids_nothing(
    world: SandboxWorld,
) -> None:
    target = await wanted(world)
    world.policy.worktree.commit("something else")
    assert await world.production.do("confirm_approval", target) is None


async def test_another_stable_voids_an_approval_and_is_named(world: SandboxWorld) -> None:
    target = await wanted(world)
    await world.serving(world.production, "v2")
    why = await world.production.do("confirm_approval", target)
    assert why.startswith("the stable revision changed after the evidence was frozen (None -> ")


async def test_another_size_of_stable_voids_nothing(world: SandboxWorld) -> None:
    site = world.production
    stable = await world.serving(site)
    target = await world.target(site, await world.bundle("v2"), stable)
    await site.do("hold_capacity", target.with_(stable=stable.with_(ready_pods=6)))
    assert await site.do("confirm_approval", target) is None


async def test_evidence_that_was_tampered_with_in_the_registry_is_refused(
    world: SandboxWorld,
) -> None:
    target = await wanted(world)
    proof = proof_of(target)
    store = world.platform.state_path / "registry"
    digest = proof.evidence.digest.removeprefix("sha256:")
    blobs = [path for path in store.rglob("*") if path.is_file() and digest in str(path)]
    assert blobs
    for blob in blobs:
        blob.write_bytes(blob.read_bytes().replace(b"dana@isa.example", b"mall@isa.example"))
    with pytest.raises(PermanentFailure, match="other content under that name"):
        await world.production.create(target)


async def test_a_worker_of_another_environment_writes_nothing(world: SandboxWorld) -> None:
    target = await wanted(world)
    with pytest.raises(PermanentFailure, match="asks staging's worker to write to production"):
        await world.staging.create(target)
    assert world.staging.writes() == []


async def test_expired_evidence_voids_an_approval_and_is_named(world: SandboxWorld) -> None:
    target = await just_expired(world, await wanted(world))
    why = await world.production.do("confirm_approval", target)
    assert why.startswith("the evidence expired at ")


async def test_an_approval_used_in_time_carries_the_writes_after_the_first(
    world: SandboxWorld,
) -> None:
    site = world.production
    target = await wanted(world)
    await site.create(target)
    await site.shift(await just_expired(world, target))
    assert site.weights() == {target.revision: 100}


async def test_what_stands_for_too_long_without_users_is_not_given_any(world: SandboxWorld) -> None:
    site = world.production
    target = await wanted(world)
    await site.create(target)
    with pytest.raises(PermanentFailure, match="the approval of release-album-1 expired at"):
        await site.shift(await long_expired(world, target))
    assert site.weights() is None


async def test_a_canary_with_users_may_be_held_longer_than_its_approval_lasts(
    world: SandboxWorld,
) -> None:
    site = world.production
    stable = await world.serving(site)
    target = await world.target(site, await world.bundle("v2"), stable)
    await site.create(target, weight=10)
    split = (await site.shift(target, 10)).split
    await site.shift(await long_expired(world, target), 50, old=split)
    assert site.weights() == {stable.revision: 50, target.revision: 50}
