"""The `dockerfile` builder: Docker Engine's HTTP API builds an image and pushes it.

Protocol: Docker Engine API (/build, /images/NAME/push), spoken by the `docker` library.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import docker
from pydantic import Field

from clients.registry import Registry
from clients.registry_auth import Credentials, Login, anonymous
from domain.errors import NotFound, PermanentFailure, ReleaseError, TransientFailure
from domain.images import BuiltImage, Reference
from domain.records import Record

_Result = TypeVar("_Result")
_USUAL_SOCKET = "unix:///var/run/docker.sock"
_KEPT_LOG_LINES = 20
_INTERRUPT_SECONDS = 5.0
_DENIED = re.compile(r"denied|unauthorized|authentication required|no basic auth|forbidden", re.I)
_PASSING = re.compile(
    r"timeout|timed out|connection re(fused|set)|no such host|temporary failure|toomanyrequests"
    r"|too many requests|unexpected EOF|unexpected HTTP status: 5|no space left",
    re.I,
)


class DockerBuildRequest(Record):
    """What to build: a Dockerfile in a context directory, and the name to push it by."""

    context: Path
    image: str
    dockerfile: str = "Dockerfile"
    arguments: dict[str, str] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)
    network: str | None = None


class DockerEngine:
    """A Docker Engine at an address (`unix://...`, `tcp://...`; None: the usual socket)."""

    def __init__(
        self,
        registry: Registry,
        address: str | None = None,
        credentials: Credentials = anonymous,
        timeout: timedelta = timedelta(minutes=30),
    ) -> None:
        """`credentials` are shown for the push only and kept nowhere; for pulling a base the
        library shows what the user's docker configuration holds. `timeout`: how long the engine
        may be silent.
        """
        self._registry = registry
        self._address = address
        self._credentials = credentials
        self._timeout = timeout

    async def version(self) -> str:
        """Version of the engine; TransientFailure with a remedy when it cannot be reached."""
        return await self._in_thread(lambda session: session.version())

    async def build(self, request: DockerBuildRequest) -> BuiltImage:
        """Build, push by tag, and return what the registry then holds, by digest.

        Raises PermanentFailure (build failed, with its last lines; push denied), NotFound (no
        Dockerfile), TransientFailure (engine or registry unreachable). Cancelling stops the build.
        """
        reference = Reference.parse(request.image)
        if reference.tag is None or reference.digest is not None:
            raise PermanentFailure(f"{request.image} needs a tag to be pushed by, and no digest")
        if not (request.context / request.dockerfile).is_file():
            raise NotFound(f"there is no {request.dockerfile} in {request.context}")
        login = await self._credentials(reference.host)
        digest = await self._in_thread(
            lambda session: session.build_and_push(request, reference, login)
        )
        # The registry's own record, not the engine's word, says what was pushed.
        pushed = reference.at(digest) if digest else reference
        manifest, digest, _ = await self._registry.get_manifest(
            reference.repository, pushed.version
        )
        return BuiltImage(
            reference=str(reference.at(digest)),
            digest=digest,
            size_bytes=sum(layer["size"] for layer in manifest["layers"]),
            layers=tuple(layer["digest"] for layer in manifest["layers"]),
        )

    async def _in_thread(self, work: Callable[[_Session], _Result]) -> _Result:
        session = _Session(self._address, self._timeout)
        running = asyncio.ensure_future(asyncio.to_thread(session.use, work))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            session.interrupt()
            await asyncio.wait([running], timeout=_INTERRUPT_SECONDS)
            # Its failure is the interruption itself; asking for it keeps asyncio from reporting it.
            running.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise


class _Session:
    """One blocking conversation with the engine, in a thread, that another may interrupt."""

    def __init__(self, address: str | None, timeout: timedelta) -> None:
        self._address = address
        self._timeout = timeout
        self._api: Any = None
        self._answers: list[Any] = []
        self._interrupted = False

    def use(self, work: Callable[[_Session], _Result]) -> _Result:
        place = f"Docker Engine at {self._address or _USUAL_SOCKET}"
        try:
            self._api = self._connect(place)
            with contextlib.closing(self._api):
                return work(self)
        except docker.errors.APIError as error:
            raise _engine_failure(place, error) from error
        except (docker.errors.DockerException, OSError) as error:
            raise TransientFailure(f"{place} broke off: {error}; check that it runs") from error
        finally:
            # Answers left in the middle (a failed build) hold their connection.
            for answer in self._answers:
                answer.close()

    def interrupt(self) -> None:
        """Hang up, which makes the engine stop what it does for us."""
        self._interrupted = True
        for answer in self._answers[-1:]:
            # An answer that was read to its end has no socket left to close.
            with contextlib.suppress(AttributeError, OSError):
                docker.types.CancellableStream(None, answer).close()

    def version(self) -> str:
        return str(self._api.version()["Version"])

    def build_and_push(
        self, request: DockerBuildRequest, reference: Reference, login: Login | None
    ) -> str | None:
        """Digest as the engine tells it; None when it does not."""
        self._build(request, reference)
        return self._push(reference, login)

    def _connect(self, place: str) -> Any:
        address = self._address or _USUAL_SOCKET
        if address.startswith("unix://") and not Path(address.removeprefix("unix://")).exists():
            raise _unreachable(place, "there is no such socket")
        try:
            api = docker.APIClient(
                base_url=address, version="auto", timeout=self._timeout.total_seconds()
            )
        except docker.errors.DockerException as error:
            if "Permission denied" in str(error):
                raise PermanentFailure(
                    f"{place} does not let this user in; add the user to the group docker"
                ) from error
            raise _unreachable(place, str(error)) from error
        api.hooks["response"].append(self._remember)
        return api

    def _remember(self, response: Any, *_: object, **__: object) -> None:
        self._answers.append(response)
        if self._interrupted:
            self.interrupt()

    def _build(self, request: DockerBuildRequest, reference: Reference) -> None:
        log: deque[str] = deque(maxlen=_KEPT_LOG_LINES)
        lines = self._api.build(
            path=str(request.context),
            dockerfile=request.dockerfile,
            tag=str(reference),
            buildargs=request.arguments,
            labels=request.labels,
            network_mode=request.network,
            rm=True,
            forcerm=True,
            decode=True,
            timeout=self._timeout.total_seconds(),
        )
        is_built = False
        for line in self._told(lines):
            log.extend(str(line.get("stream", "")).splitlines())
            if "error" in line:
                raise _build_failure(request, str(line["error"]), log)
            is_built = is_built or "aux" in line or "Successfully built" in str(line.get("stream"))
        if not is_built:
            raise TransientFailure(
                f"building {request.dockerfile} in {request.context} broke off; it is tried again"
            )

    def _push(self, reference: Reference, login: Login | None) -> str | None:
        lines = self._api.push(
            reference.repository,
            tag=reference.tag,
            stream=True,
            decode=True,
            auth_config=_shown(login),
        )
        digest: str | None = None
        for line in self._told(lines):
            if "error" in line:
                raise _push_failure(reference, str(line["error"]))
            digest = (line.get("aux") or {}).get("Digest", digest)
        return digest

    def _told(self, lines: Iterable[Any]) -> Iterator[dict[str, Any]]:
        for line in lines:
            if self._interrupted:
                return
            if isinstance(line, dict):
                yield line


def _unreachable(place: str, reason: str) -> TransientFailure:
    return TransientFailure(
        f"{place} cannot be reached ({reason}); start it, "
        "or let the plan choose the builder `assemble`, which needs none"
    )


def _shown(login: Login | None) -> dict[str, str]:
    # An empty login is given on purpose: None would make the library look for one by itself.
    if login is None:
        return {}
    if login.identity_token:
        return {"identitytoken": login.identity_token}
    return {"username": login.user, "password": login.password}


def _engine_failure(place: str, error: Any) -> ReleaseError:
    status = error.response.status_code if error.response is not None else 500
    said = f"{place} answered {status}: {error.explanation or error}"
    if status == 404:
        return NotFound(f"{said}; check the name")
    if status >= 500 or status == 429:
        return TransientFailure(f"{said}; it is tried again")
    return PermanentFailure(said)


def _build_failure(request: DockerBuildRequest, reason: str, log: deque[str]) -> ReleaseError:
    said = f"building {request.dockerfile} in {request.context} failed: {reason.strip()}"
    # Only what the engine says of itself: a step's own output may speak of timeouts too.
    if _PASSING.search(reason) and "returned a non-zero code" not in reason:
        return TransientFailure(f"{said}; it is tried again")
    last = "\n".join(line for line in log if line.strip())
    return PermanentFailure(f"{said}; fix the Dockerfile or its context. Last lines:\n{last}")


def _push_failure(reference: Reference, reason: str) -> ReleaseError:
    said = f"pushing {reference} failed: {reason.strip()}"
    if _DENIED.search(reason):
        return PermanentFailure(
            f"{said}; log in as somebody who may write {reference.repository} "
            f"(docker login {reference.host})"
        )
    if "server gave HTTP response to HTTPS client" in reason:
        return PermanentFailure(f"{said}; add {reference.host} to the engine's insecure-registries")
    if _PASSING.search(reason):
        return TransientFailure(f"{said}; it is tried again")
    return PermanentFailure(said)
