"""Synthetic requests: through a revision's own Service, GET only, at most so many in a second."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from temporalio import activity

from activities.beat import heartbeats
from activities.gatekeeper import Gatekeeper
from clients.cluster import Cluster
from domain.checks import evaluate
from domain.errors import PermanentFailure, TransientFailure
from domain.load import LoadReport, SendLoad, Tally, requests_of, to_canary
from domain.probes import Probe

SLACK = timedelta(seconds=5)
# A poll's attempt lasts a minute at most; whoever answers so slowly has told enough.
LONGEST_SENDING = timedelta(seconds=40)


class Sender:
    """Sends one request after the other, never faster than the probe's rate."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def port_of(self, revision: str) -> int:
        """The port of a revision's own Service; PermanentFailure when it is gone."""
        service = await self._cluster.read("Service", revision)
        if service is None:
            raise PermanentFailure(f"Service {revision} does not exist; nobody can be asked")
        return int(service["spec"]["ports"][0]["port"])

    async def send(self, revision: str, port: int, probe: Probe) -> str:
        """Ask once; what is not as declared, or the empty string."""
        try:
            answer = await self._cluster.ask_through_service(
                revision, port, probe.path, timeout=probe.within + SLACK
            )
        except TransientFailure:
            return "did not answer"
        return evaluate(probe, answer).problem

    async def send_all(self, revision: str, probe: Probe, requests: int) -> Tally:
        """Send so many to one revision; stops when they are no use, or take too long."""
        port, tally = await self.port_of(revision), Tally()
        clock = asyncio.get_running_loop().time
        until = clock() + LONGEST_SENDING.total_seconds()
        while tally.sent < requests and clock() < until:
            async with _paced(probe):
                tally = tally.add(await self.send(revision, port, probe))
            if tally.is_wrong():
                break
        return tally


class Load:
    """Sends the load that a plan declares for a quiet canary, to both arms as users are sent."""

    def __init__(self, gatekeeper: Gatekeeper, sender: Sender) -> None:
        self._gatekeeper = gatekeeper
        self._sender = sender

    @activity.defn
    async def send_load(self, request: SendLoad) -> LoadReport:
        """Send all of it, or stop with PermanentFailure when an arm answers something else.

        A lost worker's successor goes on where the last heartbeat was.
        """
        bundle = await self._gatekeeper.admit(request.target)
        target, probe = request.target, bundle.plan.canary.load
        if probe is None:
            raise PermanentFailure(f"the plan of {target.bundle} declares no canary.load")
        requests = requests_of(bundle.plan, probe, request.weight)
        ports = {one: await self._sender.port_of(one) for one in _arms(request)}
        report = _resumed()
        async with heartbeats(report) as pulse:
            while report.sent < requests:
                canary = to_canary(report.sent, request.weight)
                arm = _arms(request)[0 if canary else 1]
                async with _paced(probe):
                    problem = await self._sender.send(arm, ports[arm], probe)
                pulse.details = report = report.add(problem, canary=arm == target.revision)
                _refuse_wrong(report.of(canary=arm == target.revision), arm, probe)
        return report


def _arms(request: SendLoad) -> tuple[str, str]:
    """Canary and stable; where the canary has all users there is nobody else to ask."""
    canary, stable = request.target.revision, request.target.stable
    if stable is None or request.weight == 100:
        return canary, canary
    return canary, stable.revision


@asynccontextmanager
async def _paced(probe: Probe) -> AsyncIterator[None]:
    """What a request leaves of its part of a second is waited."""
    clock = asyncio.get_running_loop().time
    due = clock() + 1 / probe.rate
    yield
    await asyncio.sleep(max(0.0, due - clock()))


def _resumed() -> LoadReport:
    details = activity.info().heartbeat_details
    return LoadReport.model_validate(details[0]) if details else LoadReport()


def _refuse_wrong(tally: Tally, arm: str, probe: Probe) -> None:
    if tally.is_wrong():
        raise PermanentFailure(
            f"the declared load is stopped: GET {probe.path} of {arm}: {tally.sentence}; look at "
            "that version, or correct canary.load in the plan"
        )
