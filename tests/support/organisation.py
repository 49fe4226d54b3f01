"""People with keys and the policy that names them, in a git repository of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clients.ssh_signature import sign
from domain.commands import Command, Statement
from domain.policy import Floors, Person, Policy, Role
from tests.support.git import Worktree
from tests.support.ssh_keys import KeyFile, written


class People:
    """Who is who in the policy, each with a key of their own."""

    ROLES: Mapping[str, tuple[Role, ...]] = {
        "dana": (Role.APPROVER, Role.OPERATOR),
        "ben": (Role.APPROVER, Role.RELEASE_MANAGER),
        "carla": (Role.APPROVER,),
        "olaf": (Role.OPERATOR,),
    }

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._keys = {
            name: written(directory / name, Ed25519PrivateKey.generate())
            for name in (*self.ROLES, "mallory")
        }

    def sign(self, statement: Statement, name: str) -> Command:
        """The statement with the person's real signature."""
        signature = sign(statement.message(), self._keys[name])
        return Command(statement=statement, actor=name, signature=signature)

    def records(self) -> tuple[Person, ...]:
        """Everybody of the policy; mallory is not in it."""
        return tuple(
            Person(
                principal=name,
                emails=(f"{name}@isa.example",),
                keys=(KeyFile(self._keys[name]).public,),
                roles=roles,
            )
            for name, roles in self.ROLES.items()
        )


class PolicyRepository:
    """The organisation's policy in a git repository of its own."""

    def __init__(self, directory: Path, people: People) -> None:
        self.worktree = Worktree(directory)
        self.policy = Policy(rehearsal=True, people=people.records())
        self.change()

    def change(self, **changes: Any) -> None:
        """Commit another version."""
        self.policy = self.policy.with_(**changes)
        text = yaml.safe_dump(self.policy.model_dump(mode="json"))
        self.worktree.write("policy.yaml", text)
        self.worktree.commit("policy")

    def tighten(self, **floors: Any) -> None:
        """Commit a version with other floors."""
        self.change(floors=Floors(**{**dict(self.policy.floors), **floors}))
