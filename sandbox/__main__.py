"""`python -m sandbox`: the platform on loopback ports until SIGTERM, SIGINT or its parent's end."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import logging
import math
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from sandbox.platform import DEFAULT_TRAFFIC, ENVIRONMENTS, PORT_NAMES, Platform

WRONG_USE = 2
PARENT_POLL_SECONDS = 0.5
LARGEST_PORT = 65_535


class WrongUse(Exception):  # noqa: N818 - it is the person's mistake, said in one line
    """An option or the machine's state does not allow a start; the text says what to change."""


def main() -> int:
    """Run the sandbox; 0 after a clean stop, 2 with one line when it cannot start."""
    logging.basicConfig(level=logging.WARNING, format="sandbox: %(name)s: %(message)s")
    options = _options().parse_args()
    try:
        with _alone_in(options.state):
            asyncio.run(_serve(options))
    except WrongUse as problem:
        sys.stderr.write(f"sandbox: {problem}\n")
        return WRONG_USE
    return 0


async def _serve(options: argparse.Namespace) -> None:
    stop = _stop_event(options.parent_pid)
    try:
        async with _platform(options) as platform:
            line = f"sandbox ready control={platform.control_url} state={platform.state_path}"
            sys.stdout.write(f"{line} pid={os.getpid()}\n")
            sys.stdout.flush()
            await stop.wait()
    except OSError as error:
        why = error.strerror or str(error)
        raise WrongUse(f"cannot start: {why}; choose other --ports or another --state") from error


def _platform(options: argparse.Namespace) -> Platform:
    return Platform(
        options.state,
        speed=options.speed,
        traffic=options.traffic,
        seed=options.seed,
        ports=options.ports,
    )


def _stop_event(parent_pid: int | None) -> asyncio.Event:
    """Set by SIGTERM, SIGINT, and by the end of the parent when one is given."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, stop.set)
    if parent_pid is not None:
        _watch_parent(parent_pid, stop)
    return stop


def _watch_parent(pid: int, stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def poll() -> None:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            stop.set()
        except PermissionError:
            pass
        loop.call_later(PARENT_POLL_SECONDS, poll)

    if not hasattr(os, "pidfd_open"):
        poll()
        return
    try:
        # Unlike polling, it sees a parent that ended but was not yet waited for, and no reuse.
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        stop.set()
    except OSError:
        poll()
    else:
        loop.add_reader(descriptor, stop.set)


@contextlib.contextmanager
def _alone_in(state: Path) -> Iterator[None]:
    """Hold the state directory's lock; the system lets go of it however we end."""
    try:
        state.mkdir(parents=True, exist_ok=True)
        lock = (state / "lock").open("w")
    except OSError as error:
        raise WrongUse(f"cannot use --state {state}: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WrongUse(
                f"another sandbox runs in {state}; stop it or choose another --state"
            ) from None
        yield


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox",
        description="Two Kubernetes clusters, a registry, Prometheus and Slack, on loopback.",
    )
    rates = ",".join(f"{name}={rate:g}" for name, rate in DEFAULT_TRAFFIC.items())
    parser.add_argument(
        "--state", type=Path, required=True, metavar="DIR", help="where its files are"
    )
    parser.add_argument(
        "--speed",
        type=_speed,
        default=1.0,
        metavar="N",
        help="simulated time runs N times as fast (default: 1)",
    )
    parser.add_argument(
        "--traffic",
        type=_traffic,
        default={},
        metavar="ENV=RATE,...",
        help=f"users' requests per simulated second and routed service (default: {rates})",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of all chance")
    parser.add_argument(
        "--ports",
        type=_ports,
        default={},
        metavar="NAME=PORT,...",
        help=f"fixed ports, else free ones: {', '.join(PORT_NAMES)}",
    )
    parser.add_argument(
        "--parent-pid", type=int, metavar="PID", help="stop when this process is gone"
    )
    return parser


def _speed(text: str) -> float:
    speed = _number(text)
    if speed <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not above zero")
    return speed


def _traffic(text: str) -> dict[str, float]:
    rates = {name: _number(rate) for name, rate in _pairs(text, ENVIRONMENTS)}
    if any(rate < 0 for rate in rates.values()):
        raise argparse.ArgumentTypeError(f"{text} has a negative rate")
    return rates


def _ports(text: str) -> dict[str, int]:
    ports = {name: _number(port) for name, port in _pairs(text, PORT_NAMES)}
    if not all(port.is_integer() and 0 <= port <= LARGEST_PORT for port in ports.values()):
        raise argparse.ArgumentTypeError(f"{text} has no port number")
    return {name: int(port) for name, port in ports.items()}


def _pairs(text: str, known: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for part in text.split(","):
        name, _, value = part.partition("=")
        if name not in known:
            raise argparse.ArgumentTypeError(f"{name!r} is unknown; known: {', '.join(known)}")
        yield name, value


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text!r} is no number")
    return number


if __name__ == "__main__":
    raise SystemExit(main())
