from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from domain.commands import Change, Command, CommandName, Statement
from domain.errors import PermanentFailure, ReleaseError
from domain.evidence import Evidence
from domain.steps import (
    FreezeEvidence,
    FrozenEvidence,
    RevisionRequest,
    Verification,
    VerifyCommand,
)
from tests.support.platform_world import SandboxWorld
from tests.support.world import AUTHOR, change_of

RELEASE = "release-album-1"
HOUR = timedelta(hours=1)


async def opened(world: SandboxWorld) -> tuple[RevisionRequest, FrozenEvidence]:
    """The gate of v2's release beside v1."""
    stable = await world.serving(world.production)
    target = await world.target(world.production, await world.bundle("v2"), stable)
    return target, await world.freeze(target)


async def verified(
    world: SandboxWorld,
    name: CommandName,
    by: str,
    *,
    evidence: str | None = None,
    signed: bool = True,
    reason: str = "because",
    age: timedelta = timedelta(0),
) -> Verification:
    """What the gate with this evidence says about somebody's command."""
    statement = Statement(
        command=name,
        release=RELEASE,
        evidence=evidence,
        reason=reason,
        expires_at=datetime.now(UTC) + HOUR - age,
    )
    command = world.people.sign(statement, by) if signed else Command(statement=statement, actor=by)
    request = VerifyCommand(
        command=command, release_id=RELEASE, evidence=None, change=change_of("a" * 40)
    )
    return cast(Verification, await world.control.do("verify_command", request))


async def test_evidence_says_all_that_an_approver_signs(world: SandboxWorld) -> None:
    target, frozen = await opened(world)
    evidence = await world.archive.load_record(target.bundle, frozen.record, Evidence)
    bundle = await world.archive.load_bundle(target.bundle)
    assert evidence.bundle == target.bundle
    assert (evidence.image, evidence.plan_hash) == (bundle.image, bundle.plan_hash)
    assert evidence.stable == target.stable
    assert evidence.config_diff == (
        "-album-config/ALBUM_PAGE_SIZE: 20",
        "+album-config/ALBUM_PAGE_SIZE: 50",
    )
    assert evidence.policy_version.startswith("sha256:")
    assert evidence.change.authors == (AUTHOR,)
    assert evidence.expires_at - evidence.opened_at == bundle.plan.approval.expires
    assert frozen.eligible == ("ben", "carla")  # dana wrote it, olaf is no approver


async def test_authors_whom_the_policy_does_not_know_are_named_in_the_evidence(
    world: SandboxWorld,
) -> None:
    world.policy.change(people=tuple(p for p in world.people.records() if p.principal != "dana"))
    target, frozen = await opened(world)
    evidence = await world.archive.load_record(target.bundle, frozen.record, Evidence)
    assert evidence.unknown_authors == (AUTHOR,)
    assert frozen.record.sentence.endswith(f"authors whom the policy does not know: {AUTHOR}")


async def test_evidence_is_kept_as_a_referrer_of_the_bundle(world: SandboxWorld) -> None:
    target, frozen = await opened(world)
    found = await world.registry.referrers(
        target.bundle.repository, target.bundle.digest, "application/vnd.tidegate.evidence.v1+json"
    )
    layers = [
        (await world.registry.get_manifest(target.bundle.repository, one["digest"]))[0]["layers"]
        for one in found
    ]
    assert frozen.record.digest in [layer[0]["digest"] for layer in layers]


async def test_a_first_release_has_no_configuration_to_compare(world: SandboxWorld) -> None:
    target = await world.target(world.production, await world.bundle("v1"))
    frozen = await world.freeze(target)
    evidence = await world.archive.load_record(target.bundle, frozen.record, Evidence)
    assert (evidence.stable, evidence.config_diff) == (None, ())


async def test_an_approval_of_the_evidence_at_the_gate_counts(world: SandboxWorld) -> None:
    _, frozen = await opened(world)
    command = world.approval(frozen, RELEASE, "ben").command
    request = VerifyCommand(
        command=command, release_id=RELEASE, evidence=frozen.record, change=change_of("a" * 40)
    )
    answer = await world.control.do("verify_command", request)
    assert (answer.accepted, answer.principal, answer.verified) == (True, "ben", True)


async def test_an_approval_of_other_evidence_does_not_count(world: SandboxWorld) -> None:
    _, frozen = await opened(world)
    later = frozen.record.with_(digest="sha256:" + "1" * 64)
    command = world.approval(frozen, RELEASE, "ben").command
    request = VerifyCommand(
        command=command, release_id=RELEASE, evidence=later, change=change_of("a" * 40)
    )
    answer = await world.control.do("verify_command", request)
    assert not answer.accepted
    assert answer.sentence == (
        f"it is about evidence {frozen.record.digest}, the gate has {later.digest}"
    )


@pytest.mark.parametrize(
    ("name", "by", "options", "why"),
    [
        (CommandName.APPROVE, "olaf", {}, "olaf does not have the role approver"),
        (CommandName.APPROVE, "dana", {}, "dana wrote part of this change"),
        (CommandName.APPROVE, "ben", {"signed": False}, "must be signed by somebody"),
        (CommandName.APPROVE, "mallory", {}, "the unknown key"),
        (CommandName.APPROVE, "ben", {"age": 2 * HOUR}, "the signature expired at"),
        (CommandName.REJECT, "ben", {"reason": " "}, "reject needs a reason"),
        (CommandName.RESUME, "ben", {}, "ben does not have the role operator"),
        (CommandName.SKIP_SOAK, "carla", {}, "carla does not have the role release-manager"),
        (CommandName.ABORT, "olaf", {"reason": ""}, "abort needs a reason"),
    ],
)
async def test_a_command_without_what_it_needs_does_not_count(
    world: SandboxWorld, name: CommandName, by: str, options: dict[str, object], why: str
) -> None:
    answer = await verified(world, name, by, **options)  # type: ignore[arg-type]
    assert not answer.accepted
    assert why in answer.sentence


@pytest.mark.parametrize(
    ("name", "by", "signed"),
    [
        (CommandName.PAUSE, "anybody", False),
        (CommandName.ABORT, "anybody", False),
        (CommandName.RESUME, "olaf", True),
        (CommandName.SKIP_SOAK, "ben", True),
        (CommandName.REJECT, "dana", True),
    ],
)
async def test_a_command_with_what_it_needs_counts(
    world: SandboxWorld, name: CommandName, by: str, signed: bool
) -> None:
    answer = await verified(world, name, by, signed=signed)
    assert (answer.accepted, answer.principal, answer.verified) == (True, by, signed)


async def test_who_started_the_release_may_not_approve_it_either(world: SandboxWorld) -> None:
    statement = Statement(
        command=CommandName.APPROVE, release=RELEASE, expires_at=datetime.now(UTC) + HOUR
    )
    for starter in ("ben", "ben@isa.example", "BEN@isa.example"):
        request = VerifyCommand(
            command=world.people.sign(statement, "ben"),
            release_id=RELEASE,
            evidence=None,
            change=Change(commit="a" * 40, base=None, authors=(AUTHOR,), started_by=starter),
        )
        answer = await world.control.do("verify_command", request)
        assert answer.sentence == "ben started this release; somebody else must decide"


async def test_a_command_for_another_release_does_not_count(world: SandboxWorld) -> None:
    statement = Statement(
        command=CommandName.RESUME, release="release-album-9", expires_at=datetime.now(UTC) + HOUR
    )
    request = VerifyCommand(
        command=world.people.sign(statement, "olaf"),
        release_id=RELEASE,
        evidence=None,
        change=None,
    )
    answer = await world.control.do("verify_command", request)
    assert not answer.accepted
    assert answer.sentence == "it is about release-album-9, another release"


@pytest.mark.parametrize("name", [CommandName.ABORT, CommandName.PAUSE])
async def test_who_wants_safety_gets_it_also_while_the_policy_cannot_be_read(
    world: SandboxWorld, name: CommandName
) -> None:
    world.lose_policy()
    answer = await verified(world, name, "anybody", signed=False)
    assert (answer.accepted, answer.principal, answer.verified) == (True, "anybody", False)


async def test_a_role_is_never_taken_for_granted_while_the_policy_cannot_be_read(
    world: SandboxWorld,
) -> None:
    world.lose_policy()
    with pytest.raises(ReleaseError):
        await verified(world, CommandName.RESUME, "olaf")


async def test_a_soak_of_another_bundle_never_becomes_evidence(world: SandboxWorld) -> None:
    target, frozen = await opened(world)
    evidence = await world.archive.load_record(target.bundle, frozen.record, Evidence)
    other = await world.bundle("v3")
    soaked = evidence.soak.progress.with_(bundle=str(other))
    request = FreezeEvidence(
        target=target,
        image=evidence.image,
        change=evidence.change,
        records=(),
        soak=evidence.soak.with_(progress=soaked),
        rehearsal=evidence.rehearsal,
        expires_in=HOUR,
    )
    with pytest.raises(PermanentFailure, match=f"the soak is of {other}, not of {target.bundle}"):
        await world.control.do("freeze_evidence", request)
