"""The two releases of a rehearsal: what serves already, then the new version with its faults."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from temporalio.client import Client

from domain.commands import CommandName
from domain.errors import PermanentFailure, TransientFailure
from domain.faults import Fault
from domain.phases import Outcome, Phase
from domain.plan import ServicePlan
from domain.quantities import format_duration
from domain.rehearsal import MACHINE_LIMIT, longest
from domain.release import ReleaseRequest, ReleaseState
from starter.launch import start
from starter.output import Format
from starter.registry_check import with_registry
from starter.rehearsal_place import Place
from starter.releases import look
from starter.scan_report import ScanReport
from starter.signer import Signer
from starter.signing import signed
from starter.statements import statement_of
from starter.submission import submit
from starter.watching import show_until_end

POLL = timedelta(milliseconds=200)
HTTP_TIMEOUT_SECONDS = 10
# While the version that serves already is brought there: it needs some requests, soon.
BUSY = 100.0


@dataclass(frozen=True)
class Course:
    """How the rehearsed release ended, and what its users got from each revision."""

    state: ReleaseState
    held: str | None
    stable: str
    users: Mapping[str, Mapping[str, int]]


class Performance:
    """One rehearsal in one place."""

    def __init__(self, place: Place, service: str) -> None:
        self._place = place
        self._service = service
        self._client: Client = place.ready.client
        self._control = str(place.ready.urls["control"])

    async def bring_up(self, plan: ServicePlan) -> str:
        """Release what serves already; returns its revision."""
        await self._tell("traffic", {"production": BUSY, "staging": BUSY})
        release = await self._start(self._place.commits.stable, plan)
        deadline = time.monotonic() + MACHINE_LIMIT.total_seconds()
        while not (state := await self._state(release)).is_over:
            if time.monotonic() > deadline:
                raise TransientFailure(
                    f"the version that serves already is not up after {MACHINE_LIMIT}: "
                    f"{state.sentence or state.phase}"
                )
            await asyncio.sleep(POLL.total_seconds())
        if state.outcome is not Outcome.RELEASED:
            raise PermanentFailure(
                f"{self._service} cannot be rehearsed: already the version without a fault ends "
                f"{state.outcome}: {state.sentence}"
            )
        return state.revision

    async def release(
        self, plan: ServicePlan, faults: Sequence[Fault], stable: str, output: Format
    ) -> Course:
        """Release the new version, whose pods have the faults from their start on."""
        for fault in faults:
            where = {"environment": fault.environment, "service": self._service, "spared": stable}
            await self._tell("faults", {**where, "fault": str(fault)})
        before = await self._users()
        release = await self._start(self._place.commits.candidate, plan)
        held = await self._watched(release, plan, output)
        after = await self._users()
        return Course(await self._state(release), held, stable, _since(before, after))

    async def set_traffic(self, production: float, staging: float) -> None:
        """How many users come from now on, per simulated second."""
        await self._tell("traffic", {"production": production, "staging": staging})

    async def _start(self, commit: str, plan: ServicePlan) -> str:
        image = str(self._place.ready.urls["base_image"])
        request = ReleaseRequest(
            release_id="not started yet",
            service=self._service,
            source=str(self._place.commits.repository),
            commit=commit,
            image=image,
            started_by="rehearsal@example.com",
            plan=plan,
        )
        report = ScanReport(json.dumps(_clean(image)).encode())
        checked = await with_registry(request, report, self._place.settings)
        return (await start(self._client, checked)).release_id

    async def _watched(self, release: str, plan: ServicePlan, output: Format) -> str | None:
        """Attend to it while people look on; why it goes no further without a person, or None.

        The first failure of either ends both.
        """
        attending = asyncio.create_task(self._attend(release, plan))
        tasks: list[asyncio.Task[Any]] = [attending]
        if output is Format.TEXT:
            showing = show_until_end(self._client, release, output, MACHINE_LIMIT)
            tasks.append(asyncio.create_task(showing))
        try:
            held = await _first_of(attending, *tasks)
            if held is None:
                await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return held

    async def _attend(self, release: str, plan: ServicePlan) -> str | None:
        """Approve when asked, until it ends, or goes no further without a person: why."""
        deadline = time.monotonic() + longest(plan).total_seconds()
        approved: set[Path] = set()
        while not (state := await self._state(release)).is_over:
            if state.phase is Phase.APPROVAL and state.evidence is not None:
                for key in self._place.keys:
                    if key not in approved:
                        await self._approve(state, key)
                        approved.add(key)
            if (held := _held(state, datetime.now(UTC))) is not None:
                return held
            if time.monotonic() > deadline:
                return f"it did not end within {format_duration(longest(plan))}"
            await asyncio.sleep(POLL.total_seconds())
        return None

    async def _approve(self, state: ReleaseState, key: Path) -> None:
        statement = statement_of(CommandName.APPROVE, state, "")
        command = signed(statement, Signer(key=key, principal=key.name), None, key.name)
        answer = await submit(self._client, command)
        if not answer.accepted:
            raise PermanentFailure(f"the rehearsal's own approval is refused: {answer.sentence}")

    async def _state(self, release: str) -> ReleaseState:
        return (await look(self._client, release)).state

    async def _users(self) -> dict[str, dict[str, int]]:
        told = await self._ask(f"users/production/{self._service}")
        found: dict[str, dict[str, int]] = told["by_revision"]
        return found

    async def _tell(self, what: str, body: Mapping[str, Any]) -> None:
        await self._ask(what, json.dumps(body).encode())

    async def _ask(self, what: str, body: bytes | None = None) -> dict[str, Any]:
        url = f"{self._control}/sandbox/{what}"
        return await asyncio.to_thread(_http, url, body)


async def _first_of(wanted: asyncio.Task[str | None], *tasks: asyncio.Task[Any]) -> str | None:
    """What one of the tasks returns; the failure of any of them at once."""
    pending: set[asyncio.Task[Any]] = set(tasks)
    while not wanted.done():
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    return wanted.result()


def _held(state: ReleaseState, now: datetime) -> str | None:
    """Why it goes no further without a person, or None.

    Where a gate asks, it is at once. The judge's holds may end by themselves: they are waited out
    for as long as a step may take.
    """
    plan = state.request.plan
    if state.held is not None:
        if state.held.judged is None:
            return state.held.sentence
        whole = plan.pace.step_deadline * (1 + plan.canary.extensions)
        return state.held.sentence if now - state.held.since > whole else None
    last = state.stages[-1] if state.stages else None
    if state.phase is Phase.SCAN and last is not None and last.sentence:
        return last.sentence
    # Where users are on the new version for good, a broken machine halts until an operator resumes.
    halted = "resume" in (state.waiting_for or "")
    return (last.sentence if last else state.sentence) if halted else None


def _http(url: str, body: bytes | None) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, data=body, headers=headers)  # noqa: S310 - ours
    try:
        with urllib.request.urlopen(request, timeout=HTTP_TIMEOUT_SECONDS) as answer:  # noqa: S310
            told: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as error:
        why = error.read().decode(errors="replace").strip()
        raise PermanentFailure(f"the sandbox refuses {url}: {why}") from error
    return told


def _since(
    before: Mapping[str, Mapping[str, int]], after: Mapping[str, Mapping[str, int]]
) -> dict[str, dict[str, int]]:
    nothing = {"requests": 0, "failed": 0}
    return {
        revision: {name: count - before.get(revision, nothing)[name] for name, count in one.items()}
        for revision, one in after.items()
    }


def _clean(image: str) -> dict[str, Any]:
    """A scan of the image that found nothing, as grype writes it."""
    target = {"userInput": image, "repoDigests": [image]}
    return {"matches": [], "source": {"type": "image", "target": target}}
