"""HTTP checks through a revision's own Service, as a cluster's callers would send them."""

from __future__ import annotations

from datetime import timedelta

from temporalio import activity

from clients.cluster import Cluster
from domain.checks import CheckResult, ChecksReport, HttpCheck, evaluate
from domain.errors import PermanentFailure, ReleaseError, TransientFailure
from domain.steps import CheckRevision

SLACK = timedelta(seconds=5)


class Checks:
    """Asks revisions; the answer is judged by pure rules."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    @activity.defn
    async def check_revision(self, request: CheckRevision) -> ChecksReport:
        """Send every check once; a transient failure of the way there is tried again as a whole."""
        service = await self._cluster.read("Service", request.target.revision)
        if service is None:
            raise PermanentFailure(f"Service {request.target.revision} does not exist")
        port = service["spec"]["ports"][0]["port"]
        results = [
            await self._ask(request.target.revision, port, check) for check in request.checks
        ]
        return ChecksReport(suite=request.suite, results=tuple(results))

    async def _ask(self, service: str, port: int, check: HttpCheck) -> CheckResult:
        try:
            answer = await self._cluster.ask_through_service(
                service, port, check.path, timeout=check.within + SLACK
            )
        except TransientFailure:
            if activity.info().attempt < 3:
                raise
            return CheckResult(
                path=check.path, status=None, elapsed=check.within, problem="did not answer"
            )
        except ReleaseError as error:
            return CheckResult(
                path=check.path, status=None, elapsed=timedelta(0), problem=str(error)
            )
        return evaluate(check, answer)
