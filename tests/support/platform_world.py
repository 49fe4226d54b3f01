"""An organisation in a sandbox: clusters, registry, policy, people with keys, and our activities.

The activities are those of `worker.py`, run as Temporal runs them; what they did is read from the
sandbox itself: its objects, its audit logs, its users, its registry.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import aiohttp
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import ActivityEnvironment

import settings as connection
import worker
from activities.archive import Archive
from clients import kustomize
from clients.cluster import Cluster
from clients.plan_file import plan_of
from clients.prometheus import Prometheus
from clients.registry import Registry
from clients.ssh_signature import sign
from domain.bundle import Bundle, BundleReference, config_hash
from domain.commands import AcceptedCommand, Change, Command, CommandName, Statement
from domain.environments import RELEASE_ENVIRONMENTS, Environment
from domain.evidence import Proof
from domain.images import OCI_CONFIG, OCI_MANIFEST, descriptor
from domain.plan import Factor, Rehearsal, ServicePlan
from domain.policy import Floors, Person, Policy, Role
from domain.records import canonical_json, digest_of
from domain.release import ReleaseRequest, RollbackRehearsal
from domain.revision import Manifest, select
from domain.soak import SoakProgress, SoakRecord
from domain.steps import (
    CreatedRevision,
    CreateRevision,
    FreezeEvidence,
    FrozenEvidence,
    RevisionRequest,
    ShiftedTraffic,
    ShiftTraffic,
    StableQuery,
)
from domain.traffic import StableRevision, TrafficSplit
from sandbox.kubernetes.requests import RequestRecord
from sandbox.platform import Platform
from tests.support.git import Worktree
from tests.support.sandbox import running_platform
from tests.support.ssh_keys import KeyFile, written

SERVICE = "album"
SPEED = 100.0
CLOCK = Factor(planned=timedelta(seconds=SPEED), real=timedelta(seconds=1))
STAGING, PRODUCTION = Environment.STAGING, Environment.PRODUCTION
AUTHOR = "dana@isa.example"
CHANGES = ("create", "update", "patch", "delete", "deletecollection")
PLURALS = {
    "ConfigMap": "configmaps",
    "Deployment": "deployments",
    "HTTPRoute": "httproutes",
    "HorizontalPodAutoscaler": "horizontalpodautoscalers",
    "NetworkPolicy": "networkpolicies",
    "Pod": "pods",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "Service": "services",
    "ServiceAccount": "serviceaccounts",
}
OWN_KINDS = ("ConfigMap", "Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget", "Service")
Rendered = Mapping[str, Mapping[Environment, Sequence[Manifest]]]
Edit = Callable[[Manifest], None]


def render(checkouts: Mapping[str, Path]) -> Rendered:
    """The example's manifests by version and environment, rendered by kustomize."""

    async def all_of_them() -> Rendered:
        return {
            version: {
                environment: await kustomize.render(
                    checkout / f"deployment/k8s/overlays/{environment}"
                )
                for environment in RELEASE_ENVIRONMENTS
            }
            for version, checkout in checkouts.items()
        }

    return asyncio.run(all_of_them())


def example_plan(checkout: Path, **changes: Any) -> ServicePlan:
    """The example's plan of `album` at the pace of the sandbox."""
    plan = plan_of((checkout / "tidegate.yaml").read_bytes(), "tidegate.yaml", SERVICE, None)
    return plan.with_(rehearsal=Rehearsal(soak=CLOCK, canary=CLOCK), **changes)


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


@dataclass
class Activities:
    """Activities of one role by name, run as Temporal runs them."""

    methods: Mapping[str, Callable[..., Any]]
    heartbeats: list[tuple[Any, ...]] = field(default_factory=list)

    async def do(
        self,
        name: str,
        *arguments: Any,
        attempt: int = 1,
        details: Sequence[Any] = (),
        scheduled: datetime | None = None,
    ) -> Any:
        """Run an activity; `details` are what a lost worker's last heartbeat carried."""
        environment = ActivityEnvironment()
        converter = pydantic_data_converter.payload_converter
        environment.info = replace(
            environment.info,
            attempt=attempt,
            scheduled_time=scheduled or datetime.now(UTC),
            # As Temporal hands them over: through the wire, without types.
            heartbeat_details=converter.from_payloads(converter.to_payloads(details)),
        )
        environment.on_heartbeat = lambda *beat: self.heartbeats.append(beat)
        return await environment.run(self.methods[name], *arguments)


class Site(Activities):
    """One environment: its activities, and its cluster as an outsider sees it."""

    def __init__(
        self, environment: Environment, platform: Platform, methods: Sequence[Callable[..., Any]]
    ) -> None:
        super().__init__({method.__name__: method for method in methods})
        self.environment = environment
        self.cluster = platform.clusters[environment]
        self._platform = platform
        self._heard = 0

    async def read_stable(self) -> StableRevision | None:
        """What serves, by our own activity."""
        query = StableQuery(environment=self.environment, service=SERVICE)
        return cast(StableRevision | None, await self.do("read_stable", query))

    async def create(self, target: RevisionRequest, weight: int = 100) -> CreatedRevision:
        """Create a revision."""
        request = CreateRevision(target=target, weight=weight)
        return cast(CreatedRevision, await self.do("create_revision", request))

    async def shift(
        self, target: RevisionRequest, weight: int = 100, old: TrafficSplit | None = None
    ) -> ShiftedTraffic:
        """Shift traffic; `old` is by default what stable had alone."""
        request = shift_request(target, weight, old)
        return cast(ShiftedTraffic, await self.do("shift_traffic", request))

    async def serve(self, target: RevisionRequest) -> StableRevision:
        """Bring a revision to all traffic, and read back what serves."""
        created = await self.create(target)
        assert created.healthy, created.sentence
        await self.shift(target)
        await self.do("point_entry", target)
        stable = await self.read_stable()
        assert stable is not None
        return stable

    def object(self, kind: str, name: str) -> Manifest | None:
        """An object as the cluster holds it."""
        return self.cluster.store.get(PLURALS[kind], self.environment.value, name)

    def must(self, kind: str, name: str) -> Manifest:
        """An object that must be there."""
        found = self.object(kind, name)
        assert found is not None, f"there is no {kind} {name} in {self.environment}"
        return found

    def objects(self, revision: str) -> dict[tuple[str, str], Manifest]:
        """Everything that carries a revision's label, by kind and name; pods left out."""
        short = revision.rpartition("-")[2]
        return {
            (kind, one["metadata"]["name"]): deepcopy(one)
            for kind in OWN_KINDS
            for one in self.cluster.store.list(PLURALS[kind], self.environment.value)
            if one["metadata"].get("labels", {}).get("tidegate.dev/revision") == short
        }

    def edit(self, kind: str, name: str, edit: Edit) -> None:
        """Somebody changes an object by hand, and the generation rises as in the API."""

        def change(manifest: Manifest) -> None:
            edit(manifest)
            manifest["metadata"]["generation"] = manifest["metadata"].get("generation", 1) + 1

        self.cluster.store.change(PLURALS[kind], self.environment.value, name, change)

    def weights(self) -> dict[str, int] | None:
        """What the route says: weight by Service; None without a route."""
        route = self.object("HTTPRoute", SERVICE)
        if route is None:
            return None
        refs = route["spec"]["rules"][0]["backendRefs"]
        return {ref["name"]: ref["weight"] for ref in refs}

    def entry(self) -> str | None:
        """Which revision the entry Service selects."""
        service = self.object("Service", SERVICE)
        return service and service["spec"]["selector"].get("tidegate.dev/revision")

    def replicas(self, revision: str) -> int:
        """How many pods a revision is asked to have."""
        return int(self.must("Deployment", revision)["spec"]["replicas"])

    def ready(self, revision: str) -> int:
        """How many of a revision's pods are ready."""
        status = self.must("Deployment", revision).get("status", {})
        return int(status.get("readyReplicas", 0))

    def writes(self) -> list[str]:
        """What the API was told to change, and did, since this was last asked."""
        records = list(self.cluster.requests.records)
        fresh, self._heard = records[self._heard :], len(records)
        return [_named(one) for one in fresh if one.verb in CHANGES and one.code < 400]

    def users(self) -> dict[str, Any]:
        """What users got so far."""
        traffic = self._platform.environments[self.environment].traffic
        return traffic.users.of(SERVICE)


@dataclass
class World:
    """Everything there is."""

    platform: Platform
    settings: connection.Settings
    registry: Registry
    archive: Archive
    people: People
    policy: PolicyRepository
    rendered: Rendered
    plan: ServicePlan
    staging: Site
    production: Site
    control: Activities
    build: Activities

    async def image(self, name: str) -> str:
        """Push a small image and return it by digest."""
        repository = f"{self.platform.registry.address}/isa/{SERVICE}"
        config = canonical_json({"architecture": "amd64", "os": "linux", "name": name})
        await self.registry.put_blob(repository, config)
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor(OCI_CONFIG, digest_of(config), len(config)),
            "layers": [],
        }
        digest = await self.registry.put_manifest(repository, canonical_json(manifest))
        return f"{repository}@{digest}"

    async def bundle(
        self,
        version: str = "v1",
        *,
        edit: Edit | None = None,
        image: str | None = None,
        **changes: Any,
    ) -> BundleReference:
        """Store the bundle of a version of the example; `edit` changes each rendered object."""
        manifests = {
            environment: deepcopy(select(objects, SERVICE))
            for environment, objects in self.rendered[version].items()
        }
        for one in (one for objects in manifests.values() for one in objects):
            if edit is not None:
                edit(one)
        plan = self.plan.with_(**changes)
        bundle = Bundle(
            service=SERVICE,
            commit=digest_of(version.encode()).removeprefix("sha256:")[:40],
            committed_at=datetime(2026, 1, 1, tzinfo=UTC),
            image=image or await self.image(version),
            plan=plan,
            plan_hash=digest_of(plan),
            config_hash=config_hash(manifests),
            manifests={name: digest_of(objects) for name, objects in manifests.items()},
        )
        repository = bundle.image.partition("@")[0]
        return await self.archive.store_bundle(repository, bundle, manifests)

    async def target(
        self,
        site: Site,
        bundle: BundleReference,
        stable: StableRevision | None = None,
        *,
        release: str = "release-album-1",
    ) -> RevisionRequest:
        """A revision request, with a good approval where production asks for one."""
        request = RevisionRequest(
            release_id=release,
            environment=site.environment,
            service=SERVICE,
            bundle=bundle,
            stable=stable,
        )
        return await self.approved(request) if site.environment is PRODUCTION else request

    async def serving(self, site: Site, version: str = "v1") -> StableRevision:
        """A first release of a version that serves everybody; its writes are not counted."""
        target = await self.target(site, await self.bundle(version), release="release-album-0")
        stable = await site.serve(target)
        site.writes()
        return stable

    async def freeze(self, target: RevisionRequest) -> FrozenEvidence:
        """Freeze the evidence of a change by dana, started by her."""
        bundle = await self.archive.load_bundle(target.bundle)
        request = FreezeEvidence(
            target=target,
            image=bundle.image,
            change=change_of(bundle.commit),
            records=(),
            soak=SoakRecord(plan=bundle.plan.soak, progress=SoakProgress(goal=timedelta(hours=24))),
            rehearsal=RollbackRehearsal(tried=True, seconds=0.1, sentence="rehearsed"),
            expires_in=bundle.plan.approval.expires,
        )
        return cast(FrozenEvidence, await self.control.do("freeze_evidence", request))

    async def approved(
        self, target: RevisionRequest, by: Collection[str] = ("ben",)
    ) -> RevisionRequest:
        """The request with evidence frozen now and signed by these people."""
        frozen = await self.freeze(target)
        approvals = tuple(self.approval(frozen, target.release_id, name) for name in by)
        return target.with_(proof=Proof(evidence=frozen.record, approvals=approvals))

    def approval(self, frozen: FrozenEvidence, release: str, name: str) -> AcceptedCommand:
        """A person's signed approval of this evidence."""
        statement = Statement(
            command=CommandName.APPROVE,
            release=release,
            evidence=frozen.record.digest,
            expires_at=frozen.expires_at,
        )
        return AcceptedCommand(
            command=self.people.sign(statement, name),
            principal=name,
            verified=True,
            at=datetime.now(UTC),
        )

    def release_request(self, source: Path, commit: str, **changes: Any) -> ReleaseRequest:
        """What a person asks for."""
        request = ReleaseRequest(
            release_id="release-album-1",
            service=SERVICE,
            source=str(source),
            commit=commit,
            started_by=AUTHOR,
            plan=self.plan,
        )
        return request.with_(**changes)

    async def fault(self, site: Site, revision: str, fault: str) -> None:
        """A running revision falls ill."""
        body = {"environment": site.environment.value, "revision": revision, "fault": fault}
        await self.tell("POST", "faults", body)

    async def tell(self, method: str, what: str, body: dict[str, Any] | None = None) -> None:
        """Say something to the sandbox's control port."""
        url = f"{self.platform.control_url}/sandbox/{what}"
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            await session.request(method, url, json=body)


def change_of(commit: str) -> Change:
    """Dana's work, started by dana."""
    return Change(commit=commit, base=None, authors=(AUTHOR,), started_by=AUTHOR)


def shift_request(
    target: RevisionRequest, weight: int, old: TrafficSplit | None = None
) -> ShiftTraffic:
    """From what stable had alone (or `old`) to a step."""
    stable = target.stable.revision if target.stable else None
    return ShiftTraffic(
        target=target,
        weight=weight,
        old=TrafficSplit.all_to(stable) if old is None else old,
        new=TrafficSplit.step(weight, target.revision, stable),
    )


@asynccontextmanager
async def running_world(
    directory: Path, checkout: Path, rendered: Rendered
) -> AsyncIterator[World]:
    """The platform with everybody's clients and activities, closed at the end."""
    people = People(directory / "keys")
    policy = PolicyRepository(directory / "policy", people)
    async with running_platform(directory / "platform", speed=SPEED) as platform:
        settings = _settings(platform, directory, policy)
        async with worker._registry(settings) as registry:
            sites = {
                environment: await _site(environment, settings, registry, platform)
                for environment in RELEASE_ENVIRONMENTS
            }
            nobody = cast(Client, None)  # only the lanes speak to Temporal
            try:
                yield World(
                    platform=platform,
                    settings=settings,
                    registry=registry,
                    archive=Archive(registry),
                    people=people,
                    policy=policy,
                    rendered=rendered,
                    plan=example_plan(checkout),
                    staging=sites[STAGING][0],
                    production=sites[PRODUCTION][0],
                    control=_named_activities(worker._control(settings, nobody, registry)),
                    build=_named_activities(worker._build(settings, registry)),
                )
            finally:
                for _, cluster, prometheus in sites.values():
                    await prometheus.close()
                    await cluster.close()


def _settings(platform: Platform, directory: Path, policy: PolicyRepository) -> connection.Settings:
    file = directory / "tidegate.toml"
    file.write_text(
        f'{platform.connection_sections()}\n[policy]\nrepository = "{policy.worktree.path}"\n'
        f'[build]\ncache = "{directory / "cache"}"\nwheelhouse = "{directory / "wheels"}"\n'
    )
    loaded = connection.load(file)
    clusters = {
        name: place.with_(scrape=timedelta(seconds=platform.environments[name].scrape_seconds))
        for name, place in loaded.environments.items()
    }
    registry = loaded.registry.with_(default=platform.registry.address)
    return loaded.with_(environments=clusters, registry=registry)


async def _site(
    environment: Environment, settings: connection.Settings, registry: Registry, platform: Platform
) -> tuple[Site, Cluster, Prometheus]:
    place = settings.cluster(environment)
    cluster = await Cluster.connect(place.kubeconfig, place.context, place.namespace)
    prometheus = Prometheus(place.prometheus)
    methods = worker._cluster(environment, settings, registry, cluster, prometheus)
    return Site(environment, platform, methods), cluster, prometheus


def _named_activities(methods: Sequence[Callable[..., Any]]) -> Activities:
    return Activities({method.__name__: method for method in methods})


def _named(record: RequestRecord) -> str:
    subresource = f"/{record.subresource}" if record.subresource else ""
    return f"{record.verb} {record.resource}{subresource} {record.name}"
