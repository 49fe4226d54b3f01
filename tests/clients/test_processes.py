import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from clients import processes
from domain.errors import NotFound, PermanentFailure, TransientFailure

LONG = timedelta(seconds=60)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - a file and a process tell nobody
            await asyncio.sleep(0.01)


@pytest.fixture
async def lasting_tree(tmp_path: Path) -> AsyncIterator[tuple[list[str], Path]]:
    """A program with a child that ignores SIGTERM; both note their pids when they run."""
    pids = tmp_path / "pids"
    child = (
        "import signal,os,time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"open({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n'); time.sleep(600)"
    )
    parent = (
        "import subprocess,sys,os,time;"
        f"subprocess.Popen([sys.executable, '-c', {child!r}]);"
        f"open({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n'); time.sleep(600)"
    )
    yield python(parent), pids
    for pid in noted(pids):
        if alive(pid):
            os.kill(pid, signal.SIGKILL)


def noted(pids: Path) -> list[int]:
    return [int(line) for line in pids.read_text().split()] if pids.exists() else []


async def test_a_program_answers_with_its_exit_code_and_both_outputs() -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    finished = await processes.run(python(code), timeout=LONG)
    assert (finished.exit_code, finished.stdout, finished.stderr) == (3, b"out\n", b"err\n")
    assert finished.complaint == "err"


async def test_a_program_killed_by_a_signal_answers_with_its_negative_number() -> None:
    finished = await processes.run(python("import os; os.kill(os.getpid(), 9)"), timeout=LONG)
    assert finished.exit_code == -9


async def test_input_reaches_the_program_and_a_program_may_ignore_it() -> None:
    copy = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"
    content = os.urandom(300_000)
    assert (await processes.run(python(copy), timeout=LONG, stdin=content)).stdout == content
    deaf = await processes.run(python("import os; os.close(0)"), timeout=LONG, stdin=content)
    assert deaf.exit_code == 0


async def test_the_last_bytes_of_too_much_output_are_kept_and_it_is_not_taken_for_whole() -> None:
    finished = await processes.run(
        python("print('x' * 300_000, end='END')"), timeout=LONG, output_limit_bytes=1000
    )
    assert len(finished.stdout) == 1000
    assert finished.stdout.endswith(b"END")
    assert finished.dropped_bytes == 299_003
    with pytest.raises(PermanentFailure, match="299003 bytes too many"):
        finished.whole_output()


async def test_a_program_that_does_not_end_in_time_is_stopped_and_its_last_words_are_told() -> None:
    code = "import time; print('waiting for the base image', file=__import__('sys').stderr, flush=True); time.sleep(600)"  # noqa: E501
    with pytest.raises(TransientFailure, match="waiting for the base image"):
        await processes.run(python(code), timeout=timedelta(seconds=3))


async def test_cancelling_ends_the_program_and_its_children(
    lasting_tree: tuple[list[str], Path],
) -> None:
    arguments, pids = lasting_tree
    task = asyncio.create_task(processes.run(arguments, timeout=LONG))
    await until(lambda: len(noted(pids)) == 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: not any(alive(pid) for pid in noted(pids)))


async def test_cancelling_twice_still_leaves_no_process(
    lasting_tree: tuple[list[str], Path],
) -> None:
    arguments, pids = lasting_tree
    task = asyncio.create_task(processes.run(arguments, timeout=LONG))
    await until(lambda: len(noted(pids)) == 2)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: not any(alive(pid) for pid in noted(pids)))


async def test_a_child_left_behind_with_the_pipes_does_not_keep_us_waiting(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    code = (
        "import subprocess,sys;"
        "left = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        f"open({str(pids)!r}, 'w').write(str(left.pid)); print('done')"
    )
    finished = await processes.run(python(code), timeout=LONG)
    assert (finished.exit_code, finished.stdout) == (0, b"done\n")
    await until(lambda: not alive(noted(pids)[0]))


async def test_a_missing_program_and_a_missing_directory_are_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no program no-such-program"):
        await processes.run(["no-such-program"], timeout=LONG)
    with pytest.raises(NotFound, match="no such directory"):
        await processes.run(python(""), timeout=LONG, directory=tmp_path / "absent")


async def test_a_file_that_is_not_executable_is_a_permanent_failure(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("echo")
    with pytest.raises(PermanentFailure, match="may not be run"):
        await processes.run([str(script)], timeout=LONG)


async def test_only_the_accepted_variables_reach_a_child() -> None:
    ours = {"PATH": os.environ["PATH"], "SECRET_TOKEN": "hidden"}
    environment = processes.child_environment(ours, lambda name: name == "PATH", EXTRA="1")
    code = "import os; print(sorted(set(os.environ) - {'LC_CTYPE'}))"
    finished = await processes.run(python(code), timeout=LONG, environment=environment)
    assert finished.stdout == b"['EXTRA', 'PATH']\n"
