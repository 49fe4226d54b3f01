"""The two builders behind one port: `assemble` needs no daemon, `dockerfile` needs Docker."""

from __future__ import annotations

import re
from pathlib import Path

from activities.places import Places
from clients.assemble import AssembleRequest, assemble
from clients.docker_engine import DockerBuildRequest, DockerEngine
from clients.registry import Registry
from domain.errors import PermanentFailure
from domain.release import ReleaseRequest

PINNED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9.!+_-]+)")


class AssembleBuilder:
    """Base image by digest + wheels of the pinned requirements + the service's files."""

    def __init__(self, registry: Registry, wheelhouse: Path | None, places: Places) -> None:
        self._registry = registry
        self._wheelhouse = wheelhouse
        self._places = places

    async def build(self, checkout: Path, request: ReleaseRequest, repository: str) -> str:
        """Build and push; same commit, same digest."""
        plan = request.plan
        created = await self._places.source(request.source).commit_time(request.commit)
        folders = (plan.path, *plan.build.include)
        built = await assemble(
            self._registry,
            AssembleRequest(
                base=self._places.qualify(plan.build.base or ""),
                wheels=self._wheels(checkout, plan.build.requirements),
                files=tuple((checkout / folder, f"/app/{folder}") for folder in folders),
                entrypoint=plan.build.entrypoint,
                port=plan.port,
                labels={"org.opencontainers.image.revision": request.commit},
                created=created,
                repository=repository,
            ),
        )
        return f"{repository}@{built.digest}"

    def _wheels(self, checkout: Path, requirements: str | None) -> tuple[Path, ...]:
        """The wheelhouse's wheel of every pinned requirement; nothing is resolved or fetched."""
        if requirements is None:
            return ()
        if self._wheelhouse is None:
            raise PermanentFailure(
                f"{requirements} names wheels, but the build role has no [build] wheelhouse"
            )
        wanted = [
            line.strip()
            for line in (checkout / requirements).read_text().splitlines()
            if line.strip() and not line.startswith(("#", " ", "-"))
        ]
        return tuple(self._wheel(line, requirements) for line in wanted)

    def _wheel(self, line: str, requirements: str) -> Path:
        match = PINNED.match(line)
        if match is None:
            raise PermanentFailure(f"{requirements}: {line!r} is not pinned as name==version")
        name = re.sub(r"[-_.]+", "_", match[1]).lower()
        assert self._wheelhouse is not None  # noqa: S101 - checked by the caller
        found = sorted(
            wheel
            for wheel in self._wheelhouse.glob("*.whl")
            if _distribution(wheel) == (name, match[2])
        )
        if not found:
            raise PermanentFailure(
                f"the wheelhouse has no wheel of {match[1]}=={match[2]} ({requirements}); fill it "
                "with `pip download --only-binary :all:`"
            )
        return found[0]


class DockerfileBuilder:
    """A Dockerfile through Docker Engine; the base image is the plan's, if it names one."""

    def __init__(self, engine: DockerEngine) -> None:
        self._engine = engine

    async def build(self, checkout: Path, request: ReleaseRequest, repository: str) -> str:
        """Build in the repository's root and push by commit; returns the digest reference."""
        plan = request.plan
        built = await self._engine.build(
            DockerBuildRequest(
                context=checkout,
                dockerfile=f"{plan.path}/{plan.build.dockerfile}",
                image=f"{repository}:{request.commit}",
                arguments={"BASE_IMAGE": plan.build.base} if plan.build.base else {},
                labels={"org.opencontainers.image.revision": request.commit},
            )
        )
        return f"{repository}@{built.digest}"


def _distribution(wheel: Path) -> tuple[str, str]:
    name, _, rest = wheel.name.partition("-")
    return re.sub(r"[-_.]+", "_", name).lower(), rest.partition("-")[0]
