"""`tidegate rehearse`: bad input before anything starts, and one rehearsal from end to end."""

from __future__ import annotations

import json
import os
import shutil
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from domain.release import ReleaseState, StageRecord
from starter import rehearsal_course
from starter.process_records import ProcessRecords
from tests.starter.conftest import Told
from tests.support.cli import Cli
from tests.support.conditions import eventually
from tests.support.git import Worktree
from tests.support.release_records import NOON, plan, request

EXAMPLE = Path(__file__).parents[2] / "examples" / "isa_user"
# A few planned minutes, judged as ever: the whole rehearsal takes some seconds.
QUICK = """\
    soak: {duration: 1h, window: 30m}
    canary: {steps: [50, 100], min_bake: 1m, deadline: 3m, watch: 1m}
"""


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--fault", "production:errors=2"), 2, "cannot read the fault 'production:errors=2'"),
        (("--fault", "errors=2%"), 2, "names no environment; write staging:... or production:..."),
        (("--fault", "local:errors=2%"), 2, "names local; write staging:... or production:..."),
        (("--fault", "production:crash@50%"), 2, "errors and latency may begin at a weight"),
        (("--traffic", "5"), 2, "'5' is no traffic"),
        (("--traffic", "0rps"), 2, "must be from 0.001rps to 10000rps"),
        (("--speed", "500"), 2, "--speed 500 must be from 1 to 200"),
        (("--commit", "nowhere"), 4, "nowhere"),
        (("--policy", "none.yaml"), 4, "none.yaml cannot be read"),
        (("--file", "none.yaml"), 4, "none.yaml cannot be read"),
    ],
)
def test_bad_input_is_one_clear_error_before_anything_starts(
    tidegate: Told,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    monkeypatch.setattr("starter.rehearsal_place.place", _not_to_be_reached)
    done = tidegate("rehearse", "album", *arguments)
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert len(done.err.splitlines()) == 1


def _not_to_be_reached(*_: object) -> None:
    raise AssertionError("something was started")


def test_a_dirty_tree_and_a_plan_with_its_own_clock_are_refused(
    tidegate: Told, repository: Worktree, tmp_path: Path
) -> None:
    text = (repository.path / "tidegate.yaml").read_text()
    own = tmp_path / "own.yaml"
    own.write_text(f"{text}    rehearsal: {{canary: 1m = 1s}}\n")
    clocked = tidegate("rehearse", "album", "--file", str(own))
    assert (clocked.code, clocked.out) == (2, "")
    assert "has a rehearsal clock of its own" in clocked.err
    repository.write("new.txt", "")
    dirty = tidegate("rehearse", "album")
    assert (dirty.code, dirty.out) == (2, "")
    assert "has changes that are not committed: new.txt" in dirty.err


def test_a_plan_below_the_given_policy_is_refused(tidegate: Told, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\nfloors: {soak: 48h, coverage: 0%}\n")
    done = tidegate("rehearse", "album", "--policy", str(policy))
    assert (done.code, done.out) == (2, "")
    assert "1d is below the policy's floor of 2d" in done.err


def test_a_hold_is_waited_out_for_as_long_as_a_step_may_take() -> None:
    on_clock = plan(rehearsal={"canary": "1m = 1s"})
    held, asked = (_state(on_clock, held=_hold(why)) for why in ("no_traffic", "asked"))
    whole = on_clock.pace.step_deadline * (1 + on_clock.canary.extensions)
    assert rehearsal_course._held(held, NOON + whole) is None
    assert rehearsal_course._held(held, NOON + 1.01 * whole) == "Holding: no traffic"
    assert rehearsal_course._held(asked, NOON) == "Holding: no traffic"


def test_a_halt_needs_a_person_at_once() -> None:
    stage = StageRecord(phase="settle", title="settle", started_at=NOON, sentence="it is broken")
    halted = _state(plan(), phase="settle", stages=(stage,), waiting_for="an operator's resume")
    assert rehearsal_course._held(halted, NOON) == "it is broken"


def _hold(reason: str) -> dict[str, Any]:
    return {
        "phase": "canary",
        "weight": 10,
        "reason": reason,
        "sentence": "Holding: no traffic",
        "since": NOON,
    }


def _state(on_clock: Any, **changes: Any) -> ReleaseState:
    asked = request(plan=on_clock)
    return ReleaseState.model_validate(
        {"request": asked.model_dump(mode="json"), "started_at": NOON, **changes}
    )


# --- from end to end ---------------------------------------------------------------------------


@pytest.fixture
def example(cli: Cli) -> Cli:
    """A person in the example's repository, whose plan takes a few planned minutes."""
    shutil.rmtree(cli.directory)
    ignored = shutil.ignore_patterns("versions", "__pycache__", ".*")
    shutil.copytree(EXAMPLE, cli.directory, ignore=ignored)
    file = cli.directory / "tidegate.yaml"
    file.write_text(file.read_text().replace("    port: 8219\n", f"    port: 8219\n{QUICK}", 1))
    worktree = Worktree(cli.directory)
    worktree.commit("example", author="dana@example.com")
    return cli


@pytest.mark.real
async def test_a_fault_from_half_of_the_users_on_is_rolled_back_there(
    example: Cli, tmp_path: Path
) -> None:
    """The plan's own canary; who saw errors is what the sandbox's users say."""
    example.variables["TMPDIR"] = str(tmp_path)
    running = await example.start(
        *("rehearse", "album", "--fault", "production:errors=30%@100%"),
        *("--traffic", "20rps", "--speed", "60", "--output", "json"),
    )
    # On a busy machine it takes longer than other commands may.
    out, problem = await running.process.communicate()
    assert running.process.returncode == 10, problem
    told = json.loads(out)
    assert told["ending"] == "ROLLED_BACK"
    half, whole = told["steps"]
    assert (half["weight"], half["spoken"]["judgement"]["verdict"]) == (50, "PROMOTE")
    # By the plan's clock: from its shortest time on, not after its deadline's third extension.
    assert timedelta(minutes=1) <= elapsed(half) <= timedelta(minutes=12.5)
    assert (whole["weight"], whole["spoken"]["judgement"]["verdict"]) == (100, "ROLL_BACK")
    assert told["soak_seconds"] == pytest.approx(3600, abs=60)
    users = told["users"]
    assert users["new version"]["failed"] > 20
    assert users["old version"]["failed"] < users["new version"]["failed"]
    assert told["judged"]["canary_requests"] <= users["new version"]["requests"]
    # A planned minute has the requests of one: 20 a second, half of them on the new version.
    requests = half["spoken"]["judgement"]["counts"]["errors"]["canary_requests"]
    assert 0.4 < requests / (10 * elapsed(half).total_seconds()) < 2
    assert list(tmp_path.glob("tidegate-rehearsal-*")) == []


@pytest.mark.real
@pytest.mark.skipif(not Path("/proc").exists(), reason="the system tells children on Linux only")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
async def test_nothing_is_left_of_a_rehearsal_that_is_stopped(
    example: Cli, tmp_path: Path, how: signal.Signals
) -> None:
    example.variables["TMPDIR"] = str(tmp_path)
    running = await example.start("rehearse", "album", "--traffic", "20rps")
    await running.line("releasing what serves now")
    (folder,) = tmp_path.glob("tidegate-rehearsal-*")
    running.process.send_signal(how)
    done = await running.end()
    assert (done.code, "nothing of the rehearsal is left" in done.err) == (130, True)
    assert not folder.exists()
    assert not _processes_of(folder)


@pytest.mark.real
@pytest.mark.skipif(not Path("/proc").exists(), reason="the system tells children on Linux only")
async def test_no_process_outlives_a_rehearsal_that_is_killed(example: Cli, tmp_path: Path) -> None:
    example.variables["TMPDIR"] = str(tmp_path)
    running = await example.start("rehearse", "album", "--traffic", "20rps")
    await running.line("releasing what serves now")
    (folder,) = tmp_path.glob("tidegate-rehearsal-*")
    assert _processes_of(folder)
    running.process.kill()
    await running.process.wait()
    await eventually(lambda: not _processes_of(folder))


@pytest.mark.real
async def test_a_program_that_dies_ends_the_rehearsal_with_its_last_words(
    example: Cli, tmp_path: Path
) -> None:
    example.variables["TMPDIR"] = str(tmp_path)
    running = await example.start("rehearse", "album", "--traffic", "20rps")
    await running.line("releasing what serves now")
    (folder,) = tmp_path.glob("tidegate-rehearsal-*")
    programs = ProcessRecords(folder / "processes.json").alive()
    worker = next(one for one in programs if one.name == "worker-clusters")
    os.kill(worker.pid, signal.SIGKILL)
    done = await running.end()
    assert done.code == 2
    assert "worker-clusters ended with exit code -9; its last words" in done.err
    assert not folder.exists()


def elapsed(step: dict[str, Any]) -> timedelta:
    return TypeAdapter(timedelta).validate_python(step["spoken"]["judgement"]["elapsed"])


def _processes_of(folder: Path) -> list[int]:
    """Processes whose command line or connection file is in the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            told = (
                process.joinpath("cmdline").read_bytes() + process.joinpath("environ").read_bytes()
            )
        except OSError:
            continue
        if str(folder).encode() in told:
            found.append(int(process.name))
    return found
