"""The one way to run a child program: bounded in time and output, ended with its whole group."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from domain.errors import NotFound, PermanentFailure, TransientFailure

OUTPUT_LIMIT_BYTES = 64 * 1024 * 1024
_GRACE_SECONDS = 2.0
_CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True)
class Finished:
    """A program that ended by itself: exit code (negative: by that signal) and what it printed."""

    program: str
    exit_code: int
    stdout: bytes
    stderr: bytes
    dropped_bytes: int

    @property
    def complaint(self) -> str:
        """The end of what it said on stderr (else on stdout), for a message."""
        text = (self.stderr.strip() or self.stdout.strip()).decode(errors="replace")
        return text[-2000:] if text else f"exit code {self.exit_code}"

    def whole_output(self) -> bytes:
        """Stdout, or PermanentFailure when it was too long to be kept whole."""
        if self.dropped_bytes:
            raise PermanentFailure(
                f"{self.program} printed more than can be kept: "
                f"{self.dropped_bytes} bytes too many; make what it reads smaller"
            )
        return self.stdout


@dataclass
class _Tail:
    limit: int
    content: bytearray = field(default_factory=bytearray)
    dropped: int = 0

    def append(self, data: bytes) -> None:
        self.content += data
        excess = len(self.content) - self.limit
        if excess > 0:
            del self.content[:excess]
            self.dropped += excess


class _Conversation(asyncio.SubprocessProtocol):
    """What a running program says; tells its exit apart from the closing of its pipes.

    (`asyncio.subprocess.Process.wait` of some Python versions waits for both.)
    """

    def __init__(self, limit: int) -> None:
        loop = asyncio.get_running_loop()
        self.outputs = {1: _Tail(limit), 2: _Tail(limit)}
        self.exited: asyncio.Future[None] = loop.create_future()
        self.pipes_closed: asyncio.Future[None] = loop.create_future()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.outputs[fd].append(data)

    def process_exited(self) -> None:
        self.exited.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.pipes_closed.set_result(None)


def child_environment(
    environment: Mapping[str, str], keep: Callable[[str], bool] = lambda _: True, **added: str
) -> dict[str, str]:
    """A child's environment: of the given one the variables that `keep` accepts, plus `added`."""
    return {name: value for name, value in environment.items() if keep(name)} | added


async def run(
    arguments: Sequence[str],
    *,
    timeout: timedelta,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    output_limit_bytes: int = OUTPUT_LIMIT_BYTES,
) -> Finished:
    """Run a program without a shell and wait for it; any exit code is an answer.

    `environment` replaces the inherited one. Of longer output the last `output_limit_bytes` of
    each stream are kept. Raises NotFound when there is no such program, TransientFailure when it
    did not end within `timeout`. On timeout and on cancel its process group is ended.
    """
    transport, said = await _start(arguments, directory, environment, output_limit_bytes)
    try:
        async with asyncio.timeout(timeout.total_seconds()):
            _feed(transport, stdin)
            await asyncio.shield(said.exited)
            await _within_grace(said.pipes_closed)
    except TimeoutError:
        last_words = bytes(said.outputs[2].content[-500:]).decode(errors="replace").strip()
        raise TransientFailure(
            f"{arguments[0]} did not end within {timeout.total_seconds():g} s and was stopped; "
            f"its last words: {last_words!r}"
        ) from None
    finally:
        await _end(transport, said)
    exit_code = transport.get_returncode()
    return Finished(
        program=arguments[0],
        exit_code=-signal.SIGKILL if exit_code is None else exit_code,
        stdout=bytes(said.outputs[1].content),
        stderr=bytes(said.outputs[2].content),
        dropped_bytes=said.outputs[1].dropped,
    )


async def _start(
    arguments: Sequence[str],
    directory: Path | None,
    environment: Mapping[str, str] | None,
    limit: int,
) -> tuple[asyncio.SubprocessTransport, _Conversation]:
    if directory is not None and not directory.is_dir():
        raise NotFound(f"{arguments[0]} cannot run in {directory}: there is no such directory")
    try:
        return await asyncio.get_running_loop().subprocess_exec(
            lambda: _Conversation(limit),
            *arguments,
            cwd=directory,
            env=environment,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise NotFound(f"there is no program {arguments[0]} on this machine; install it") from error
    except PermissionError as error:
        raise PermanentFailure(f"{arguments[0]} may not be run: {error.strerror}") from error


def _feed(transport: asyncio.SubprocessTransport, stdin: bytes) -> None:
    pipe = transport.get_pipe_transport(0)
    if isinstance(pipe, asyncio.WriteTransport):
        pipe.write(stdin)
        pipe.close()


async def _end(transport: asyncio.SubprocessTransport, said: _Conversation) -> None:
    if said.pipes_closed.done():
        transport.close()
        return
    ending = asyncio.ensure_future(_terminate(transport, said))
    try:
        await asyncio.shield(ending)
    except asyncio.CancelledError:
        # A second cancel must not leave the group behind: no more grace, but still no orphan.
        _signal_group(transport.get_pid(), signal.SIGKILL)
        await ending
        raise


async def _terminate(transport: asyncio.SubprocessTransport, said: _Conversation) -> None:
    group = transport.get_pid()
    if not said.exited.done():
        _signal_group(group, signal.SIGTERM)
        await _within_grace(said.exited)
    # A grandchild left behind keeps the pipes open: the whole group goes.
    _signal_group(group, signal.SIGKILL)
    await _within_grace(said.pipes_closed)
    transport.close()
    await said.exited


async def _within_grace(event: asyncio.Future[None]) -> None:
    await asyncio.wait([event], timeout=_GRACE_SECONDS)


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)
