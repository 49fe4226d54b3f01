"""What is to be released: a commit of a repository, its plan, and the policy it is held against."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import settings as configuration
from clients import processes
from clients.git import Repository
from clients.plan_file import plan_of
from clients.policy_source import PolicySource
from domain.errors import PermanentFailure
from domain.plan import ServicePlan
from domain.policy import Policy
from settings import Settings

PLAN_FILE = "tidegate.yaml"
SHOWN_PATHS = 10
GIT_TIMEOUT = timedelta(seconds=10)


@dataclass(frozen=True)
class Source:
    """One commit of one repository."""

    repository: Repository
    commit: str

    @property
    def place(self) -> str:
        """The repository as a worker on this machine finds it: an absolute path, or a URL."""
        return self.repository.source

    async def plan(self, service: str, policy: Policy) -> ServicePlan:
        """The service's plan in this commit; PlanProblems with everything that is wrong."""
        text = await self.repository.show(self.commit, PLAN_FILE)
        return plan_of(text, PLAN_FILE, service, policy)

    async def refuse_dirty(self) -> None:
        """PermanentFailure naming what is not committed: it would silently not be released."""
        paths = await self.repository.uncommitted_paths()
        if not paths:
            return
        more = f" and {len(paths) - SHOWN_PATHS} more" if len(paths) > SHOWN_PATHS else ""
        raise PermanentFailure(
            f"{self.place} has changes that are not committed: "
            f"{', '.join(paths[:SHOWN_PATHS])}{more}; commit, stash or ignore them"
        )


async def find_source(place: str, revision: str, settings: Settings) -> Source:
    """Resolve a revision; a directory stands for the repository around it."""
    repository = Repository(
        _root(place), cache=settings.build.cache, environment=configuration.process_environment()
    )
    return Source(repository, await repository.resolve(revision))


async def read_policy(settings: Settings) -> Policy:
    """The organisation's policy as its ref has it now."""
    place = settings.policy_place()
    source = PolicySource(
        place.repository,
        place.ref,
        place.path,
        cache=settings.build.cache,
        environment=configuration.process_environment(),
    )
    policy, _ = await source.fetch()
    return policy


async def person(place: str, given: str | None) -> str:
    """Who asks: the given e-mail address, else git's user.email; PermanentFailure without."""
    email = given or await git_email(place)
    if email:
        return email
    raise PermanentFailure(
        "it is not known who you are; say --by E-MAIL, or git config user.email E-MAIL"
    )


async def git_email(place: str) -> str:
    """What git would write into a commit made at `place`; empty when it does not know."""
    directory = Path(place) if Path(place).is_dir() else None
    asked = await processes.run(
        ["git", "config", "--get", "user.email"], timeout=GIT_TIMEOUT, directory=directory
    )
    return asked.stdout.decode(errors="replace").strip()


def _root(place: str) -> str:
    """The work tree around a directory; anything else as it is given."""
    path = Path(place)
    try:
        if not path.is_dir():
            return place
    except OSError as error:
        raise PermanentFailure(f"repository {place} cannot be read: {error.strerror}") from error
    path = path.resolve()
    around = (folder for folder in (path, *path.parents) if (folder / ".git").exists())
    return str(next(around, path))
