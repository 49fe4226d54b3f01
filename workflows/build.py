"""From a commit to a bundle with a clean vulnerability report."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.build import Build
    from activities.revisions import Revisions
    from activities.scan import Scan
    from domain.bundle import RecordReference
    from domain.decisions import Report, Signal
    from domain.environments import BUILD_QUEUE, CONTROL_QUEUE, Environment, cluster_queue
    from domain.gates import Gate, GateMode
    from domain.plan import HOUR
    from domain.steps import BuildRequest, BundleRequest, ScanRequest, StableQuery
    from domain.traffic import StableRevision
    from workflows import options
    from workflows.gating import Gating


def completed(sentence: str) -> Report:
    """The stage did what it is for."""
    return Report(signal=Signal.COMPLETED, sentence=sentence)


def closed(sentence: str) -> Report:
    """A gate says no."""
    return Report(signal=Signal.GATE_CLOSED, sentence=sentence)


class Building(Gating):
    """The stages before anything is deployed."""

    _refused_reports: tuple[str, ...] = ()

    async def _prepare(self) -> Report:
        service = self._state.request.service
        stable = await self._read_stable(Environment.PRODUCTION)
        self._tell(f"release of {service} {self._state.request.commit[:10]} started")
        if stable is None:
            return completed(f"first release: nothing of {service} serves in production yet")
        return completed(f"{stable.revision} serves in production ({stable.ready_pods} pods)")

    async def _build(self) -> Report:
        stable = self._state.stable[Environment.PRODUCTION]
        request = BuildRequest(release=self._state.request, base=stable.commit if stable else None)
        tests = await self._do(
            Build.run_unit_tests,
            request,
            queue=BUILD_QUEUE,
            options=options.BUILD,
            summary="unit tests",
        )
        self._keep(tests.record)
        if not tests.passed:
            problem = await self._pass_gate(Gate.TESTS, closed(tests.record.sentence))
            if problem is not None:
                return problem
        built = await self._do(
            Build.build_image,
            request,
            queue=BUILD_QUEUE,
            options=options.BUILD,
            summary="build the image",
        )
        stored = await self._do(
            Build.store_bundle,
            BundleRequest(build=request, image=built.image, records=self._state.records),
            queue=BUILD_QUEUE,
            options=options.BUILD,
            summary="render and store the bundle",
        )
        self._change(bundle=stored.bundle, image=built.image, change=stored.change)
        if stable is not None and stable.bundle == str(stored.bundle):
            return closed(f"this very bundle serves production already ({stable.revision})")
        return completed(f"{tests.record.sentence}; {built.sentence}; {stored.sentence}")

    async def _scan(self) -> Report:
        bundle, image = self._state.bundle, self._state.image
        assert bundle is not None  # noqa: S101 - the build stage has completed
        assert image is not None  # noqa: S101
        self._wait_note("a vulnerability report of the image")
        found = await self._watch_for(
            Scan.judge_report,
            ScanRequest(
                bundle=bundle,
                image=image,
                report=self._state.request.scan_report,
                handed_in_by=self._state.request.started_by,
                built_from_commit=self._state.request.image is None,
                known_refused=self._refused_reports,
                block=self._state.request.plan.scan.block,
                give_up_after=HOUR,
            ),
            queue=CONTROL_QUEUE,
            options=options.POLL,
            summary="look for the scan report",
        )
        if found is None or found.summary is None or found.record is None:
            self._refused_reports = found.refused if found else ()
            refused = f" ({'; '.join(self._refused_reports)})" if self._refused_reports else ""
            missing = Report(
                signal=Signal.NO_EVIDENCE,
                sentence=f"no scan report for {image}{refused}; attach one (grype -o json, trivy "
                "--format json) to the image as an OCI referrer",
            )
            if self._mode_of(Gate.SCAN) is GateMode.OBSERVE:
                return await self._pass_gate(Gate.SCAN, missing) or completed("no scan report")
            return missing
        self._keep(found.record)
        if found.summary.blocking:
            problem = await self._pass_gate(Gate.SCAN, closed(found.summary.sentence))
            return problem or completed(found.summary.sentence)
        return completed(found.summary.sentence)

    async def _read_stable(self, environment: Environment) -> StableRevision | None:
        """What serves now, remembered before anything is changed."""
        stable = await self._do(
            Revisions.read_stable,
            StableQuery(environment=environment, service=self._state.request.service),
            queue=cluster_queue(environment),
            options=options.QUICK,
            summary=f"what serves in {environment}?",
        )
        self._change(stable={**self._state.stable, environment: stable})
        return stable

    def _keep(self, record: RecordReference) -> None:
        """Remember a record as part of the evidence."""
        others = tuple(r for r in self._state.records if r.kind != record.kind)
        self._change(records=(*others, record))
