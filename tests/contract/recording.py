"""A pytest plugin: which request shapes our clients' tests send, seen by the servers they reach.

Every server of the tests, sandbox or double, is an aiohttp application; a middleware in each sees
all requests as they came over the wire. A test that sends a shape which `shapes.json` does not
have fails, and so does a whole run in which a listed shape was never sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler

from tests.contract.listed import WRITE, listed_shapes
from tests.contract.requests import KUBERNETES_AGENT, Request, shape_of

OBSERVED_FOLDERS = ("clients", "activities", "starter")
_SHAPES_OUTPUT = "tidegate_request_shapes"


class Recorder:
    """The shapes seen in this process, and those the listed ones do not have."""

    def __init__(self) -> None:
        self.all: set[str] = set()
        self.of_this_test: set[str] = set()
        self._listed = frozenset(listed_shapes())

    def add(self, shape: str | None) -> None:
        """Remember one."""
        if shape is not None:
            self.of_this_test.add(shape)

    def finish(self) -> set[str]:
        """End of a test or of its fixtures: the shapes they sent that nobody listed."""
        sent, self.of_this_test = self.of_this_test, set()
        self.all |= sent
        return sent - self._listed


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--request-shapes-to",
        metavar="FILE",
        help="write the request shapes that were seen, one per line, instead of checking them",
    )


def pytest_configure(config: pytest.Config) -> None:
    recorder = Recorder()
    config.stash[_RECORDER] = recorder
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    plain = web.Application.__init__

    def observed(application: web.Application, *rest: Any, **named: Any) -> None:
        plain(application, *rest, **named)
        application.middlewares.insert(0, _observing(recorder))

    patch.setattr(web.Application, "__init__", observed)


_RECORDER = pytest.StashKey[Recorder]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Forget what a test before this one sent."""
    item.config.stash[_RECORDER].of_this_test.clear()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Fail a test of our clients whose requests are not listed."""
    answer = yield
    _refuse_unlisted(item)
    return answer


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """The same of what its fixtures send when they end."""
    answer = yield
    _refuse_unlisted(item)
    return answer


def _refuse_unlisted(item: pytest.Item) -> None:
    if not _is_observed(item):
        return
    unlisted = item.config.stash[_RECORDER].finish()
    if unlisted and not _file_to_write(item.config):
        listed = "\n  ".join(sorted(unlisted))
        pytest.fail(
            f"this test makes our clients send requests without a contract:\n  {listed}\n"
            f"list them ({WRITE}) and write their contract in tests/contract/",
            pytrace=False,
        )


def pytest_sessionfinish(session: pytest.Session) -> None:
    seen = session.config.stash[_RECORDER].all
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_SHAPES_OUTPUT] = sorted(seen)
        return
    if file := _file_to_write(session.config):
        Path(file).write_text("".join(f"{shape}\n" for shape in sorted(seen)))
    elif _is_whole(session) and (unsent := sorted(set(listed_shapes()) - seen)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        session.config.stash[_UNSENT] = unsent


_UNSENT = pytest.StashKey[list[str]]()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker of xdist has ended: what it saw is ours."""
    seen = (getattr(node, "workeroutput", None) or {}).get(_SHAPES_OUTPUT, ())
    node.config.stash[_RECORDER].all |= set(seen)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for shape in config.stash.get(_UNSENT, []):
        terminalreporter.write_line(f"listed but never sent: {shape}; run {WRITE}", red=True)


def _is_whole(session: pytest.Session) -> bool:
    config = session.config
    # What the project leaves out by default (`not real ...`) sends nothing that is observed.
    marked = config.option.markexpr and not config.option.markexpr.startswith("not ")
    chosen = config.option.keyword or config.getoption("lf", default=False) or marked
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return whole and not chosen and not config.option.collectonly and not session.testsfailed


def _file_to_write(config: pytest.Config) -> str:
    return str(config.getoption("--request-shapes-to") or "")


def _is_observed(item: pytest.Item) -> bool:
    tests = item.config.rootpath / "tests"
    return any(item.path.is_relative_to(tests / folder) for folder in OBSERVED_FOLDERS)


def _observing(recorder: Recorder) -> Any:
    @web.middleware
    async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
        agent = request.headers.get("User-Agent", "")
        # Only small bodies are read ahead; a registry's are streamed by whoever answers.
        body = await request.read() if agent.startswith(KUBERNETES_AGENT) else b""
        content_type = request.content_type if "Content-Type" in request.headers else ""
        recorder.add(
            shape_of(
                Request(
                    request.method, request.path, request.query_string, content_type, body, agent
                )
            )
        )
        return await handler(request)

    return observe
