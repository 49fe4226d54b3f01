"""Commands: what each needs, and every reason to refuse one."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.commands import (
    REQUIREMENTS,
    RESOLUTIONS,
    CommandName,
    distinct_principals,
    eligible,
    refusal,
    untimely,
)
from domain.phases import Phase
from domain.policy import Role
from tests.support.release_records import NOON, accepted, change, command, policy

HOLDER = {Role.APPROVER: "ann", Role.OPERATOR: "otto", Role.RELEASE_MANAGER: "rita"}
SIGNED = [name for name in CommandName if REQUIREMENTS[name].role is not None]
UNSIGNED = [name for name in CommandName if REQUIREMENTS[name].role is None]
NOT_BY_AUTHORS = [CommandName.APPROVE, CommandName.SKIP_SOAK, CommandName.PROMOTE]


def holder(name: CommandName) -> str:
    role = REQUIREMENTS[name].role
    assert role is not None
    return HOLDER[role]


@pytest.mark.parametrize("name", SIGNED)
def test_somebody_with_the_role_may(name: CommandName) -> None:
    assert refusal(command(name), policy(), holder(name), change(), NOON) is None


def test_what_moves_to_safety_needs_no_signature() -> None:
    assert UNSIGNED == [CommandName.PAUSE, CommandName.ABORT]
    for name in UNSIGNED:
        assert refusal(command(name), policy(), None, change(), NOON) is None


@pytest.mark.parametrize("name", SIGNED)
@pytest.mark.parametrize("principal", [None, "mallory"])
def test_unsigned_or_signed_by_a_stranger_is_refused(
    name: CommandName, principal: str | None
) -> None:
    why = refusal(command(name), policy(), principal, change(), NOON)
    assert why == f"{name} must be signed by somebody of the policy's people"


@pytest.mark.parametrize("name", SIGNED)
def test_somebody_without_the_role_is_refused(name: CommandName) -> None:
    other = next(p for role, p in HOLDER.items() if role is not REQUIREMENTS[name].role)
    why = refusal(command(name), policy(), other, change(), NOON)
    assert why == f"{other} does not have the role {REQUIREMENTS[name].role} that {name} needs"


@pytest.mark.parametrize("name", list(CommandName))
def test_a_reason_is_asked_for_where_one_is_needed(name: CommandName) -> None:
    signer = holder(name) if name in SIGNED else None
    why = refusal(command(name, reason="  "), policy(), signer, change(), NOON)
    reasoned = (
        *(CommandName.REJECT, CommandName.ABORT, CommandName.SKIP_SOAK, CommandName.PROMOTE),
        *RESOLUTIONS,
    )
    asked = name in reasoned
    assert why == (f"{name} needs a reason; say --reason" if asked else None)


@pytest.mark.parametrize("name", SIGNED)
def test_a_signature_is_good_until_the_moment_it_expires(name: CommandName) -> None:
    ends = NOON + timedelta(hours=1)
    assert refusal(command(name), policy(), holder(name), change(), ends) is None
    why = refusal(command(name), policy(), holder(name), change(), ends + timedelta(seconds=1))
    assert why == "the signature expired at 2026-03-01 13:00:00 UTC"


@given(
    st.sampled_from(NOT_BY_AUTHORS),
    st.sampled_from(["paul@example.org", "Paul@Home.example"]),
    st.data(),
)
def test_an_author_is_refused_however_the_address_is_written(
    name: CommandName, address: str, data: st.DataObject
) -> None:
    written = "".join(data.draw(st.sampled_from([c.upper(), c.lower()])) for c in address)
    own = change(authors=("stranger@example.org", written))
    why = refusal(command(name), policy(), "paul", own, NOON)
    assert why == "paul wrote part of this change; somebody else must decide"


@pytest.mark.parametrize("name", NOT_BY_AUTHORS)
@pytest.mark.parametrize("starter", ["paul", "paul@example.org", "PAUL@HOME.EXAMPLE"])
def test_the_starter_is_refused_by_principal_or_by_address(name: CommandName, starter: str) -> None:
    why = refusal(command(name), policy(), "paul", change(started_by=starter), NOON)
    assert why == "paul started this release; somebody else must decide"


@pytest.mark.parametrize("name", [CommandName.REJECT, CommandName.RESUME])
def test_an_author_may_still_stop_or_resume_the_own_work(name: CommandName) -> None:
    own = change(authors=("paul@example.org",), started_by="paul")
    assert refusal(command(name), policy(), "paul", own, NOON) is None


def test_eligible_are_those_with_the_role_who_did_not_write_it() -> None:
    assert eligible(policy(), Role.APPROVER, change()) == ("ann", "paul")
    own = change(authors=("PAUL@example.org",))
    assert eligible(policy(), Role.APPROVER, own) == ("ann",)


def test_one_person_counts_once() -> None:
    given_twice = [accepted("approve", who) for who in ("ann", "ann", "paul")]
    assert distinct_principals(given_twice) == 2


TIMELY = {
    CommandName.APPROVE: {Phase.APPROVAL},
    CommandName.REJECT: {Phase.APPROVAL},
    CommandName.SKIP_SOAK: {Phase.SOAK},
    CommandName.PROMOTE: {
        *(Phase.BUILD, Phase.SCAN, Phase.STAGING, Phase.SOAK, Phase.CANARY, Phase.WATCH)
    },
    **{name: set(Phase) for name in RESOLUTIONS},
    CommandName.PAUSE: set(Phase) - {Phase.ROLLBACK, Phase.DONE},
    CommandName.RESUME: set(Phase) - {Phase.ROLLBACK, Phase.DONE},
    CommandName.ABORT: set(Phase) - {Phase.ROLLBACK, Phase.DONE},
}


@pytest.mark.parametrize("name", list(CommandName))
@pytest.mark.parametrize("phase", list(Phase))
def test_a_command_counts_only_in_its_phases(name: CommandName, phase: Phase) -> None:
    assert (untimely(name, phase) is None) is (phase in TIMELY[name])


def test_what_comes_too_late_is_told_so() -> None:
    assert untimely(CommandName.ABORT, Phase.DONE) == "the release is over"
    assert untimely(CommandName.ABORT, Phase.ROLLBACK) == "the release is already rolling back"
    told = untimely(CommandName.APPROVE, Phase.SOAK)
    assert told == "approve counts in the phase approval; the release is in soak"


def test_what_is_signed_is_canonical_json_of_the_decision() -> None:
    message = command("approve", evidence="sha256:1").statement.message()
    assert message == (
        b'{"command":"approve","evidence":"sha256:1","expires_at":"2026-03-01T13:00:00Z",'
        b'"reason":"because","release":"release-album-cccccccccc-0001"}\n'
    )


def test_what_is_signed_about_no_hold_says_nothing_of_holds() -> None:
    """Approvals of before there were holds keep their bytes, and so their signatures."""
    about_none = command(CommandName.APPROVE).statement
    assert about_none.message() == (
        b'{"command":"approve","evidence":null,"expires_at":"2026-03-01T13:00:00Z",'
        b'"reason":"because","release":"' + about_none.release.encode() + b'"}\n'
    )
    about_one = command(CommandName.PROMOTE, held="canary 10 % both_bad").statement
    assert b'"held":"canary 10 % both_bad"' in about_one.message()
    assert type(about_one).model_validate_json(about_one.message()) == about_one
