"""Example records of a release: small builders with healthy defaults."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from domain.bundle import BundleReference, RecordReference
from domain.commands import AcceptedCommand, Change, Command, CommandName, Statement
from domain.environments import Environment, release_id
from domain.plan import ServicePlan
from domain.policy import Person, Policy, Role
from domain.records import digest_of
from domain.release import ReleaseRequest
from domain.traffic import StableRevision

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
REPOSITORY = "registry.example/album"
REHEARSAL = {"soak": "1h = 200ms", "canary": "10m = 300ms"}


def plan(**sections: Any) -> ServicePlan:
    """The default plan of `album`: 24 h soak, 10/50/100; sections replace its own."""
    return ServicePlan.model_validate(
        {
            "path": "microservices/album",
            "port": 8219,
            "image": REPOSITORY,
            "manifests": "deployment/k8s/overlays/{environment}",
            **sections,
        }
    )


def bundle(commit: str) -> BundleReference:
    """The bundle of a commit: another commit, another bundle."""
    return BundleReference(repository=REPOSITORY, digest=digest_of(f"bundle of {commit}"))


def record(kind: str, sentence: str = "") -> RecordReference:
    """A reference to a stored record of one kind."""
    return RecordReference(kind=kind, digest=digest_of(kind + sentence), sentence=sentence or kind)


def request(commit: str = "c" * 40, **changes: Any) -> ReleaseRequest:
    """A request to release one commit of `album`."""
    wanted = {
        "release_id": release_id("album", commit, "0001"),
        "service": "album",
        "source": "/repository",
        "commit": commit,
        "started_by": "starter",
        "plan": plan(),
        **changes,
    }
    return ReleaseRequest.model_validate(wanted)


def stable(environment: Environment, commit: str = "0" * 40, pods: int = 4) -> StableRevision:
    """The revision of an older commit that serves now."""
    reference = bundle(commit)
    return StableRevision(
        environment=environment,
        revision=f"album-{reference.short}",
        bundle=str(reference),
        commit=commit,
        ready_pods=pods,
        min_replicas=2,
    )


def policy(**changes: Any) -> Policy:
    """Four people: an approver, an operator, a release manager, and an author with every role."""
    people = (
        Person(principal="ann", emails=("Ann@Example.org",), roles=(Role.APPROVER,)),
        Person(principal="otto", emails=("otto@example.org",), roles=(Role.OPERATOR,)),
        Person(principal="rita", emails=("rita@example.org",), roles=(Role.RELEASE_MANAGER,)),
        Person(
            principal="paul",
            emails=("paul@example.org", "Paul@Home.example"),
            roles=(Role.APPROVER, Role.OPERATOR, Role.RELEASE_MANAGER),
        ),
    )
    return Policy.model_validate({"people": people, **changes})


def change(**changes: Any) -> Change:
    """Work of somebody whom the policy does not know."""
    wanted = {"commit": "c" * 40, "base": None, "authors": ("stranger@example.org",)}
    return Change.model_validate({**wanted, "started_by": "pipeline", **changes})


def command(name: CommandName | str, actor: str = "ann", **changes: Any) -> Command:
    """A command about the example release, good for an hour after noon."""
    statement = {
        "command": name,
        "release": request().release_id,
        "reason": "because",
        "expires_at": NOON + timedelta(hours=1),
        **changes,
    }
    return Command(statement=Statement.model_validate(statement), actor=actor, signature="signed")


def accepted(name: CommandName | str, principal: str) -> AcceptedCommand:
    """A verified command of one person."""
    given = command(name, actor=principal)
    return AcceptedCommand(command=given, principal=principal, verified=True, at=NOON)
