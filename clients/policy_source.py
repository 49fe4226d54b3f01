"""The organisation's policy: a file at a protected git ref, read afresh each time it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from clients.git import Repository
from clients.model_problems import RULES_OF_WHOLES, Fault, dotted, faults
from clients.plan_file import STAND_INS, merge
from clients.yaml_lines import FileProblems, read_yaml
from domain.plan import ServicePlan
from domain.policy import Policy
from domain.records import digest_of


class PolicyProblems(FileProblems):
    """The policy cannot be used; nothing may be released by it."""


class PolicyReading(NamedTuple):
    """A policy as it was read: its version names the content, the commit is for display."""

    policy: Policy
    version: str
    commit: str


class PolicySource:
    """One file of one repository (a path or a URL, which needs a `cache` directory)."""

    def __init__(
        self,
        repository: str | Path,
        ref: str,
        path: str,
        cache: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._repository = Repository(repository, cache, environment=environment)
        self._ref = ref
        self._path = path

    async def fetch(self) -> tuple[Policy, str]:
        """The policy and its version, `sha256:<hex>` of the file: another only by other content.

        Raises NotFound (repository, ref or file), PolicyProblems (every problem, with its line),
        TransientFailure (the repository cannot be reached).
        """
        reading = await self.read()
        return reading.policy, reading.version

    async def read(self) -> PolicyReading:
        """As `fetch`, with the commit that the ref names now."""
        commit = await self._repository.resolve(self._ref)
        text = await self._repository.show(commit, self._path)
        policy = parse_policy(text, f"{self._path}@{commit[:10]}")
        return PolicyReading(policy, digest_of(text), commit)


def parse_policy(text: bytes, file_name: str) -> Policy:
    """Read a policy file; raises PolicyProblems with everything that is wrong."""
    document = read_yaml(text, file_name)
    found: list[Fault] = []
    policy = None
    if isinstance(document.data, dict):
        try:
            policy = Policy.model_validate(document.data)
        except ValidationError as refused:
            found += faults(refused.errors(include_url=False), Policy)
        found += _faults_of_defaults(document.data.get("defaults"))
    elif not document.problems:
        document.complain(1, "is no mapping of keys; a policy names at least its people")
    for path, what in found:
        document.complain(document.line_of(path), f"{dotted(path)}: {what}")
    if policy is None or document.problems:
        raise PolicyProblems(tuple(document.problems))
    return policy


def _faults_of_defaults(defaults: object) -> list[Fault]:
    """What no plan could take over: a mistake here would else be found in every service."""
    if not isinstance(defaults, dict):
        return []
    try:
        ServicePlan.model_validate(merge(STAND_INS, defaults))
    except ValidationError as refused:
        errors = refused.errors(include_url=False)
        # What is incomplete here a plan may still complete.
        own = [error for error in errors if error["type"] not in RULES_OF_WHOLES]
        return [Fault(("defaults", *path), what) for path, what in faults(own, ServicePlan)]
    return []
