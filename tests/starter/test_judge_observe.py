"""`tidegate judge observe` and `check`: what a team sees of a rollout that is not Tidegate's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from domain.canary import judge_rules
from domain.environments import Environment
from domain.judge.rules import JudgeRules
from domain.observed_rollout import Watching
from domain.plan import ServicePlan
from sandbox.platform import Platform
from settings import ClusterSettings
from starter import judge_observe
from starter.observing import Sight, plan_by_limits, sight_of
from tests.starter.conftest import Told
from tests.support.cli import Cli, Done
from tests.support.rollouts import CANARY, PLAN, STABLE, environment, running_rollout, told
from tests.support.web import answering_with

ARMS = ("--canary", CANARY, "--stable", STABLE)
BY_PLAN = ("--plan", "plan.yaml", "--service", "album")


@pytest.fixture
async def rollout(cli: Cli, tmp_path: Path) -> AsyncIterator[Platform]:
    """Two Deployments and a route in a sandbox, and a plan whose minutes last half a second."""
    async with running_rollout(tmp_path / "platform") as platform:
        cli.connect(environments={"production": environment(platform, tmp_path)})
        (cli.directory / "plan.yaml").write_text(PLAN)
        yield platform


@pytest.fixture(autouse=True)
def no_false_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge's false alarms are its own tests' business: here there are next to none."""

    def rules(plan: ServicePlan, weight: int, *, has_stable: bool) -> JudgeRules:
        found = judge_rules(plan, weight, has_stable=has_stable)
        return found.model_copy(update={"alpha": 1e-6})

    monkeypatch.setattr(judge_observe, "judge_rules", rules)


async def observed(cli: Cli, *arguments: str) -> Done:
    return await cli.run("judge", "observe", *ARMS, *arguments)


def asked_of(platform: Platform) -> set[tuple[str, str, str]]:
    """What our client asked the API server for, by its own log."""
    log = platform.clusters["production"].requests
    ours = (one for one in log.records if one.user_agent.startswith("tidegate/"))
    return {(one.verb, one.resource, one.subresource) for one in ours}


async def test_a_canary_with_five_percent_errors_would_be_rolled_back_and_nothing_is_written(
    cli: Cli, rollout: Platform
) -> None:
    fault = {"environment": "production", "revision": "album-v2", "fault": "errors=5%"}
    await told(rollout, "POST", "faults", **fault)
    done = await observed(cli, *BY_PLAN, "--record", "rollout.json")
    assert done.code == 10, done
    assert done.out.splitlines()[0].startswith("observing production read-only")
    assert "errors: canary " in done.out
    last = done.out.splitlines()[-1]
    assert last.startswith("ROLL_BACK: at ")
    assert "Tidegate would roll back after" in last
    assert asked_of(rollout) == {("list", "pods", "")}

    again = await cli.run("judge", "replay", "rollout.json")
    assert again.code == 0, again
    assert "blocks: as stored" in again.out
    assert "would roll back after" in again.out.splitlines()[-1]


async def test_an_identical_canary_would_be_promoted(cli: Cli, rollout: Platform) -> None:
    done = await observed(cli, *BY_PLAN, "--output", "json")
    assert (done.code, done.err) == (0, "")
    events = [json.loads(line) for line in done.out.splitlines()]
    assert events[-1]["verdict"] == "PROMOTE"
    assert events[-1]["would_promote_at"] == events[-2]["at"]
    assert events[-1]["would_roll_back_at"] is None
    assert events[-2]["would"].startswith("would promote: ")
    counted = [block["counts"]["errors"] for one in events[:-1] for block in one["blocks"]]
    assert len(counted) == events[-1]["blocks"]
    assert sum(counts["canary_requests"] for counts in counted) > 0


async def test_one_canary_of_a_wave_beside_a_young_baseline_is_judged_by_its_part_of_alpha(
    cli: Cli, rollout: Platform
) -> None:
    fault = {"environment": "production", "revision": "album-v2", "fault": "errors=20%"}
    await told(rollout, "POST", "faults", **fault)
    arms = ("--canary", CANARY, "--baseline", STABLE, "--canaries", "4")
    done = await cli.run("judge", "observe", *arms, *BY_PLAN, "--record", "wave.json")
    assert done.code == 10, done
    assert f"beside baseline {STABLE}" in done.out.splitlines()[0]
    assert "if it were no worse than 1.1x baseline" in done.out
    assert ": 4 canaries share " in done.out.splitlines()[-1]
    rules = json.loads((cli.directory / "wave.json").read_text())["watched"]["rules"]
    assert (rules["control"], rules["arms"]) == ("baseline", 4)
    again = await cli.run("judge", "replay", "wave.json")
    assert again.code == 0, again


async def test_a_source_that_does_not_answer_is_told_once_and_would_hold(
    cli: Cli, rollout: Platform
) -> None:
    await told(rollout, "POST", "outage", system="prometheus")
    done = await observed(cli, *BY_PLAN, "--for", "2s")
    assert done.code == 17, done
    assert done.err.count("no data") == 1
    assert done.out.splitlines()[-1].startswith("HOLD after ")


class Guard:
    """A proxy before Prometheus; from some moment on it lets nobody in."""

    def __init__(self, platform: Platform) -> None:
        self.url = platform.environments["production"].prometheus.url
        self.closed = False

    async def answer(self, request: web.Request) -> web.Response:
        if self.closed:
            return web.json_response({"error": "token expired"}, status=403)
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.url}{request.path_qs}") as answer,
        ):
            text = await answer.text()
            return web.Response(text=text, content_type=answer.content_type)


@asynccontextmanager
async def guarded(cli: Cli, rollout: Platform, directory: Path) -> AsyncIterator[Guard]:
    guard = Guard(rollout)
    async with answering_with(guard.answer) as url:
        place = environment(rollout, directory, prometheus=url)
        cli.connect(environments={"production": place})
        yield guard


async def test_a_source_that_refuses_us_at_the_first_look_is_refused_with_what_to_do(
    cli: Cli, rollout: Platform, tmp_path: Path
) -> None:
    async with guarded(cli, rollout, tmp_path) as guard:
        guard.closed = True
        done = await observed(cli, *BY_PLAN)
    assert (done.code, done.out) == (2, ""), done
    assert "answered 403" in done.err
    assert "check the credentials of this environment" in done.err


async def test_a_source_that_refuses_us_in_the_middle_of_a_watch_is_no_data_told_once(
    cli: Cli, rollout: Platform, tmp_path: Path
) -> None:
    async with guarded(cli, rollout, tmp_path) as guard:
        # No promotion comes before the refusal.
        (cli.directory / "plan.yaml").write_text(f"{PLAN}    canary: {{min_bake: 9m}}\n")
        running = await cli.start("judge", "observe", *ARMS, *BY_PLAN, "--for", "3s")
        await running.line("would hold")
        guard.closed = True
        done = await running.end()
    assert done.code == 17, done
    assert done.err.count("! no data: ") == 1
    assert "answered 403" in done.err


async def test_samples_that_do_not_fit_what_was_judged_are_no_data(
    rollout: Platform, tmp_path: Path
) -> None:
    place = ClusterSettings.model_validate(environment(rollout, tmp_path))
    question = judge_observe.Question(
        environment=Environment.PRODUCTION,
        canary=CANARY,
        control=judge_observe.control_of(STABLE, None),
        weight=10,
    )
    watched = judge_observe._watched(question, place, plan_by_limits(None), None)

    async def looked(sight: Sight) -> Watching:
        now = datetime.now(UTC)
        times = {"since": now - timedelta(seconds=3), "block": timedelta(seconds=0.5)}
        watching = Watching.begun(watched.model_copy(update=times)).judged(now)
        within = {"until": now - timedelta(seconds=1.25)}
        state = watching.state.model_copy(update=within)
        return await judge_observe._look(watching.with_(state=state), sight, now)

    async with asyncio.timeout(20), sight_of(place) as sight:
        while (after := await looked(sight)).heard:
            """The pods are too young for so many blocks."""
    assert "starts before" in after.left_out[0]


async def test_labels_by_which_a_pod_is_in_both_arms_are_refused(
    cli: Cli, rollout: Platform
) -> None:
    done = await cli.run("judge", "observe", "--canary", CANARY, "--stable", "app=album", *BY_PLAN)
    assert done.code == 5
    assert "carries the labels of both arms" in done.err
    assert done.out == ""


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--limits", "errors=1"), "limits.errors: "),
        (("--limits", "latency=1s"), "limits.latency: "),
        (("--for", "soon"), "--for: 'soon' is not a duration"),
        (("--for", "0s"), "--for 0s is not between zero and 30 days"),
        (("--plan", "plan.yaml"), "name one by --service"),
        (("--plan", "none.yaml", "--service", "album"), "plan none.yaml cannot be read"),
        (("--metrics", "nothing"), "nothing is no template"),
        (("--metrics", "traefik"), "traefik counts by proxies"),
        (("--record", "tidegate.yaml"), "record tidegate.yaml exists already"),
        (("--record", "nowhere/file"), "its folder does not exist"),
        (("--stable", "version!=album-v2"), "write labels as name=value"),
        (("--baseline", STABLE), "--stable and --baseline are two arms"),
        (("--limits", "errors=1%,errors=2%"), "--limits says errors more than once"),
        (("--canaries", "0"), "should be greater than or equal to 1"),
        (("--canaries", "9" * 400), "should be less than or equal to 10000"),
        (("--record", "9" * 400), "cannot be written: File name too long"),
        (("--weight", "100"), "should be less than or equal to 99"),
        (("--plan", "tidegate.yaml", "--limits", "errors=2%"), "the plan has limits and metrics"),
    ],
)
def test_what_cannot_be_judged_is_refused_before_anything_is_asked(
    cli: Cli, tidegate: Told, arguments: tuple[str, ...], problem: str
) -> None:
    place = {"kubeconfig": "/none", "namespace": "x", "prometheus": "http://127.0.0.1:1"}
    cli.connect(environments={"production": place})
    done = tidegate("judge", "observe", *ARMS, *arguments)
    assert done.code in (2, 4), done
    assert problem in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    "arms",
    [
        ("--canary", "x=y", "--stable", " x=y"),
        ("--canary", "x=y,a=b", "--baseline", "a=b,x=y"),
        ("--canary", "x=y", "--baseline", "x=y,a=b"),
    ],
)
def test_one_arm_named_twice_is_refused_before_a_pod_is_there(
    cli: Cli, tidegate: Told, arms: tuple[str, ...]
) -> None:
    place = {"kubeconfig": "/none", "namespace": "x", "prometheus": "http://127.0.0.1:1"}
    cli.connect(environments={"production": place})
    done = tidegate("judge", "observe", *arms)
    assert (done.code, done.out) == (5, ""), done
    assert f"and {arms[2]} {arms[3]}: a pod of one arm carries the labels of both" in done.err


async def checked(cli: Cli, *arguments: str) -> Done:
    return await cli.run("judge", "check", "album", *arguments)


async def test_check_shows_what_is_seen_of_each_arm(cli: Cli, rollout: Platform) -> None:
    done = await checked(cli, *ARMS)
    assert done.code == 0, done
    header, canary, stable = done.out.splitlines()[:3]
    assert header.split()[:4] == ["arm", "labels", "ready", "pods"]
    assert canary.split()[:4] == ["canary", CANARY, "1", "1"]
    assert stable.split()[:4] == ["stable", STABLE, "3", "3"]
    assert "✔ the observer sees exactly each arm's pods" in done.out


async def test_check_names_what_is_wrong_with_what_to_correct(cli: Cli, rollout: Platform) -> None:
    done = await checked(cli, "--canary", CANARY, "--stable", "app=album", "--output", "json")
    assert done.code == 5
    found = json.loads(done.out)
    assert found["fitness"] == "unfit"
    assert [one["fault"] for one in found["findings"]] == ["overlapping"]
    assert "name each arm by a label" in found["findings"][0]["remedy"]


async def test_check_says_which_source_does_not_answer(cli: Cli, rollout: Platform) -> None:
    await told(rollout, "POST", "outage", system="prometheus")
    done = await checked(cli, *ARMS)
    assert done.code == 3
    assert "Prometheus at http" in done.err


async def test_check_of_pods_that_tidegate_did_not_deploy_says_how_to_name_them(
    cli: Cli, rollout: Platform
) -> None:
    done = await checked(cli)
    assert done.code == 2
    assert "name the pods of each arm by --canary LABELS and --stable LABELS" in done.err


async def test_check_finds_the_arms_of_a_service_by_itself(cli: Cli, tmp_path: Path) -> None:
    names = ("1111111111", "2222222222")
    async with running_rollout(tmp_path / "platform", names=names, managed=True) as platform:
        platform.clusters["production"].store.change(
            "httproutes", "production", "album", _all_to_the_first
        )
        cli.connect(environments={"production": environment(platform, tmp_path)})
        done = await checked(cli)
    assert done.code == 0, done
    assert "canary  tidegate.dev/revision=2222222222  1" in done.out
    assert "stable  tidegate.dev/revision=1111111111  3" in done.out


def _all_to_the_first(route: dict[str, object]) -> None:
    rule = route["spec"]["rules"][0]  # type: ignore[index]
    rule["backendRefs"] = rule["backendRefs"][:1]


async def test_ctrl_c_ends_the_watch_and_tells_what_was_seen(cli: Cli, rollout: Platform) -> None:
    running = await cli.start("judge", "observe", *ARMS, "--for", "5m", "--record", "part.json")
    await running.line("would hold on errors")
    running.interrupt()
    done = await running.end()
    assert done.code == 17, done
    assert done.out.splitlines()[-1].startswith("HOLD after ")
    assert "Traceback" not in done.err
    assert (await cli.run("judge", "replay", "part.json")).code == 0
