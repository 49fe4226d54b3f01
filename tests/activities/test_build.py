from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from activities.build import KeptTests
from domain.bundle import BundleReference
from domain.environments import RELEASE_ENVIRONMENTS
from domain.errors import NotFound, PermanentFailure
from domain.plan import BuildPlan, TestPlan
from domain.release import ReleaseRequest
from domain.soak_plan import SoakPlan
from domain.steps import BuildRequest, BuiltImage, BundleRequest, StoredBundle, UnitTestOutcome
from tests.support.git import Worktree
from tests.support.isa_user import run
from tests.support.platform_world import SandboxWorld
from tests.support.site import SERVICE
from tests.support.wheel import write_wheel
from tests.support.world import PRODUCTION, STAGING

JUNIT, COVERAGE = "junit.xml", "coverage.xml"
SUITE = '<testsuites><testsuite name="unit">{}</testsuite></testsuites>'
PASSED = '<testcase classname="album" name="test_pages"/>'
FAILED = '<testcase classname="album" name="test_photos"><failure message="no"/></testcase>'
# Stands for any test runner: writes what its arguments say and ends as the last one says.
RUNNER = """
import os, sys
_, junit, coverage, cases, rate, code = sys.argv
if cases:
    with open(junit, "w") as file:
        file.write(cases)
if rate:
    with open(coverage, "w") as file:
        file.write(f'<coverage line-rate="{rate}"/>')
seen = sorted(name for name in os.environ if "TOKEN" in name or name == "KUBECONFIG")
seen += os.listdir(os.path.expanduser("~"))
sys.exit(f"it sees {seen}" if seen else int(code))
"""


class Source:
    """A service's repository, small enough to be built in a moment."""

    def __init__(self, world: SandboxWorld, directory: Path) -> None:
        self.world = world
        self.worktree = Worktree(directory / "source")
        self.worktree.write("service/__init__.py", "")
        self.worktree.write("service/__main__.py", "import greeting\n")
        self.worktree.write("requirements.txt", "# pinned\ngreeting==1.0 \\\n    --hash=x\n")
        self.worktree.write("run_tests.py", RUNNER)
        for environment in RELEASE_ENVIRONMENTS:
            objects = world.rendered["v1"][environment]
            self.worktree.write(
                f"deploy/{environment}/all.yaml", yaml.safe_dump_all(objects, sort_keys=True)
            )
        self.first = self.worktree.commit("first", author="ann@example.com")
        wheels = world.settings.build.wheelhouse
        assert wheels is not None
        write_wheel(wheels, "greeting", {"greeting.py": b"text = 'hello'\n"})
        base = world.platform.registry.base_image.partition("/")[2]
        self.plan = world.plan.with_(
            path="service",
            manifests="deploy/{environment}",
            tests=TestPlan(unit="python run_tests.py"),
            build=BuildPlan(
                builder="assemble",
                base=base,
                requirements="requirements.txt",
                entrypoint=("python3", "-m", "service"),
            ),
        )

    def request(self, commit: str = "", base: str | None = None, **changes: Any) -> BuildRequest:
        """Build this commit."""
        plan = self.plan.with_(**changes)
        release = self.world.release_request(
            self.worktree.path, commit or self.first, plan=plan, started_by="ben@isa.example"
        )
        return BuildRequest(release=release, base=base)

    async def tested(
        self, cases: str, rate: str = "0.9", code: int = 0
    ) -> tuple[UnitTestOutcome, BuildRequest]:
        """The outcome of tests that wrote this and ended so."""
        unit = f"python run_tests.py {{junit}} {{coverage}} '{cases}' '{rate}' {code}"
        request = self.request(tests=TestPlan(unit=unit))
        outcome = await self.world.build.do("run_unit_tests", request)
        return cast(UnitTestOutcome, outcome), request

    async def built(self, request: BuildRequest | None = None) -> BuiltImage:
        answer = await self.world.build.do("build_image", request or self.request())
        return cast(BuiltImage, answer)

    async def stored(
        self, image: str, request: BuildRequest | None = None, *records: Any
    ) -> StoredBundle:
        asked = BundleRequest(build=request or self.request(), image=image, records=records)
        return cast(StoredBundle, await self.world.build.do("store_bundle", asked))


@pytest.fixture
async def source(world: SandboxWorld, tmp_path: Path) -> Source:
    return Source(world, tmp_path)


async def kept(source: Source, outcome: UnitTestOutcome) -> KeptTests:
    """The record of a test run, as the registry has it."""
    repository = f"{source.world.platform.registry.address}/isa/album"
    content = await source.world.registry.get_blob(repository, outcome.record.digest)
    return KeptTests.model_validate_json(content)


async def test_the_examples_own_tests_are_run_and_their_reports_kept(
    world: SandboxWorld, checkouts: dict[str, Path]
) -> None:
    checkout = checkouts["v2"]
    commit = run(checkout, "git", "rev-parse", "HEAD").strip()
    release: ReleaseRequest = world.release_request(checkout, commit)
    outcome = await world.build.do("run_unit_tests", BuildRequest(release=release, base=None))
    assert outcome.passed, outcome.record.sentence
    repository = f"{world.platform.registry.address}/isa/album"
    body = await world.registry.get_blob(repository, outcome.record.digest)
    record = KeptTests.model_validate_json(body)
    assert record.report.tests > 10
    assert (record.report.coverage or 0) > 0.8
    junit = await world.registry.get_blob(repository, record.files[JUNIT])
    assert b"test_albums_are_found_by_words_of_their_title" in junit
    assert b"line-rate" in await world.registry.get_blob(repository, record.files[COVERAGE])
    assert run(checkout, "git", "status", "--porcelain") == ""


async def test_passing_tests_open_the_gate(source: Source) -> None:
    outcome, _ = await source.tested(SUITE.format(PASSED))
    assert outcome.passed
    assert outcome.record.sentence == "1 unit tests passed, 90% covered"
    assert set((await kept(source, outcome)).files) == {JUNIT, COVERAGE}


@pytest.mark.parametrize(
    ("cases", "rate", "code", "sentence"),
    [
        (SUITE.format(PASSED + FAILED), "0.9", 1, "1 of 2 unit tests failed: album.test_photos"),
        (SUITE.format(""), "0.9", 5, "the unit tests reported no test: "),
        ("", "0.9", 0, "the unit tests reported no test: "),
        ("<testsuite", "0.9", 0, "a test report is not XML: "),
        (SUITE.format(PASSED), "0.9", 3, "the unit tests ended with exit code 3"),
        (SUITE.format(PASSED), "0.79", 0, "coverage 79% is below the plan's 80%"),
        (SUITE.format(PASSED), "", 0, "the unit tests wrote no coverage report"),
    ],
    ids=["failed", "no test", "no JUnit", "half JUnit", "exit code", "coverage", "no coverage"],
)
async def test_tests_that_did_not_pass_close_the_gate_and_are_kept(
    source: Source, cases: str, rate: str, code: int, sentence: str
) -> None:
    outcome, _ = await source.tested(cases, rate, code)
    assert not outcome.passed
    assert outcome.record.sentence.startswith(sentence)
    assert not (await kept(source, outcome)).report.passed


async def test_the_services_tests_see_no_credentials_of_the_worker(
    source: Source, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    (home / ".docker").mkdir(parents=True)
    (home / ".docker/config.json").write_text("{}")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("FORGE_TOKEN", "secret")
    monkeypatch.setenv("KUBECONFIG", "/somewhere")
    outcome, _ = await source.tested(SUITE.format(PASSED))
    assert outcome.passed, outcome.record.sentence


async def test_a_plan_without_unit_tests_does_not_pass_where_coverage_is_wanted(
    source: Source,
) -> None:
    outcome = await source.world.build.do("run_unit_tests", source.request(tests=TestPlan()))
    assert not outcome.passed
    assert outcome.record.sentence.startswith("the plan wants 80% of lines covered and has no unit")
    assert not (await kept(source, outcome)).report.passed


async def test_a_plan_without_unit_tests_says_so_where_no_coverage_is_wanted(
    source: Source,
) -> None:
    request = source.request(tests=TestPlan(coverage=0.0))
    outcome = await source.world.build.do("run_unit_tests", request)
    assert outcome.passed
    assert outcome.record.sentence == "no unit test was run"
    assert (await kept(source, outcome)).report.tests == 0


async def test_a_plan_without_unit_tests_becomes_no_bundle_under_a_floor_of_coverage(
    source: Source,
) -> None:
    image = (await source.built()).image
    with pytest.raises(PermanentFailure, match=r"looser than the policy.*tests\.unit is missing"):
        await source.stored(image, source.request(tests=TestPlan()))


async def test_the_same_commit_is_the_same_image(source: Source) -> None:
    first, second = await source.built(), await source.built()
    assert first.image == second.image
    assert source.world.platform.registry.image_exists(first.image)
    other = source.worktree.commit("another")
    assert (await source.built(source.request(other))).image != first.image


async def test_a_requirement_without_a_wheel_is_named(source: Source) -> None:
    source.worktree.write("requirements.txt", "greeting==1.0\nwelcome==2.0\n")
    commit = source.worktree.commit()
    with pytest.raises(PermanentFailure, match=r"the wheelhouse has no wheel of welcome==2.0"):
        await source.built(source.request(commit))
    source.worktree.write("requirements.txt", "greeting>=1.0\n")
    with pytest.raises(PermanentFailure, match=r"'greeting>=1.0' is not pinned as name==version"):
        await source.built(source.request(source.worktree.commit()))


async def test_an_image_that_somebody_else_built_is_taken_by_its_digest(source: Source) -> None:
    image = await source.world.image("theirs")
    request = source.request()
    given = request.with_(release=request.release.with_(image=image))
    assert (await source.built(given)).image == image
    missing = f"{image.partition('@')[0]}@sha256:{'0' * 64}"
    with pytest.raises(NotFound):
        await source.built(request.with_(release=request.release.with_(image=missing)))


async def test_a_commit_that_does_not_exist_is_named(source: Source) -> None:
    with pytest.raises(NotFound, match="f" * 10):
        await source.built(source.request("f" * 40))


async def test_a_bundle_stored_twice_is_one_bundle(source: Source) -> None:
    image = (await source.built()).image
    first, second = await source.stored(image), await source.stored(image)
    assert first == second
    assert first.sentence == f"bundle {first.bundle.short}"


async def test_a_bundle_holds_what_is_released_and_nothing_of_other_services(
    source: Source,
) -> None:
    image = (await source.built()).image
    stored = await source.stored(image)
    archive = source.world.archive
    bundle = await archive.load_bundle(stored.bundle)
    assert (bundle.service, bundle.commit, bundle.image) == (SERVICE, source.first, image)
    assert (bundle.plan, bundle.plan_hash) == (source.plan, source.plan.digest)
    for environment in (STAGING, PRODUCTION):
        manifests = await archive.load_manifests(stored.bundle, environment)
        assert {one["metadata"]["labels"]["app"] for one in manifests} == {SERVICE}
        assert {one["metadata"]["namespace"] for one in manifests} == {environment.value}
        assert len(manifests) == 8


async def test_another_commit_plan_or_configuration_is_another_bundle(source: Source) -> None:
    image = (await source.built()).image
    base = (await source.stored(image)).bundle
    longer = source.request(soak=SoakPlan(duration="48h"))
    assert (await source.stored(image, longer)).bundle != base
    text = (source.worktree.path / "deploy/staging/all.yaml").read_text()
    source.worktree.write("deploy/staging/all.yaml", text.replace("'20'", "'21'"))
    changed = await source.stored(image, source.request(source.worktree.commit()))
    assert changed.bundle != base
    hashes = [
        (await source.world.archive.load_bundle(one)).config_hash for one in (base, changed.bundle)
    ]
    assert hashes[0] != hashes[1]


async def test_the_reports_live_as_long_as_the_bundle(source: Source) -> None:
    outcome, request = await source.tested(SUITE.format(PASSED))
    stored = await source.stored((await source.built()).image, request, outcome.record)
    layers = await referrer_layers(source.world, stored.bundle, "unit-tests")
    assert layers[0]["digest"] == outcome.record.digest
    titles = [one["annotations"]["org.opencontainers.image.title"] for one in layers[1:]]
    assert titles == [COVERAGE, JUNIT]
    junit = await source.world.registry.get_blob(stored.bundle.repository, layers[2]["digest"])
    assert junit.decode() == SUITE.format(PASSED)


async def referrer_layers(
    world: SandboxWorld, bundle: BundleReference, kind: str
) -> list[dict[str, Any]]:
    """The layers of the only referrer of a kind."""
    (found,) = await world.registry.referrers(
        bundle.repository, bundle.digest, f"application/vnd.tidegate.{kind}.v1+json"
    )
    _, _, body = await world.registry.get_manifest(bundle.repository, found["digest"])
    layers: list[dict[str, Any]] = json.loads(body)["layers"]
    return layers


async def test_the_change_names_everybody_between_production_and_the_commit(
    source: Source,
) -> None:
    source.worktree.commit("second", author="bob@example.com", committer="Carl@example.com")
    last = source.worktree.commit("third\n\nCo-authored-by: Dora <dora@example.com>")
    image = (await source.built()).image
    change = (await source.stored(image, source.request(last, base=source.first))).change
    assert change.authors == (
        "ann@example.com",
        "bob@example.com",
        "carl@example.com",
        "dora@example.com",
    )
    assert (change.base, change.commit) == (source.first, last)
    assert change.started_by == "ben@isa.example"
    alone = (await source.stored(image, source.request(source.first))).change
    assert alone.authors == ("ann@example.com",)


async def test_a_plan_looser_than_the_policy_becomes_no_bundle(source: Source) -> None:
    image = (await source.built()).image
    source.world.policy.change(rehearsal=False)
    before = source.world.platform.registry.requests.count("PUT", "manifests")
    with pytest.raises(PermanentFailure, match=r"is looser than the policy.*rehearsal"):
        await source.stored(image)
    assert source.world.platform.registry.requests.count("PUT", "manifests") == before


async def test_manifests_without_the_services_label_become_no_bundle(source: Source) -> None:
    image = (await source.built()).image
    request = source.request()
    other = request.with_(release=request.release.with_(service="photo"))
    with pytest.raises(PermanentFailure, match="no rendered object has the label app: photo"):
        await source.stored(image, other)
