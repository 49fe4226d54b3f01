"""A source that drips, floods or is asked too much: its own threads end, and nobody else waits."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from clients.http_json import HttpJson
from clients.prometheus import Prometheus
from clients.source_exchange import CONCURRENT
from clients.source_http import REQUEST_TIMEOUT
from domain.errors import PermanentFailure, TransientFailure
from domain.metrics.places import HttpJsonPlace, PrometheusPlace
from domain.metrics.source import MetricSource
from sandbox.listener import accept_no_more
from tests.cluster.certificates import Authority
from tests.support.sandbox import eventually
from tests.support.source_doubles import SINCE, Counted, asked

QUICK = timedelta(seconds=0.4)
# How often a drop falls; what is larger than that flows.
PACE, PACED = 0.02, 100
CANARY = {"c1": Counted((1,))}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
MANY = 3 * CONCURRENT


@dataclass
class Talker:
    """Says `begin` at once and then `drop` again and again, until the other hangs up."""

    begin: bytes = HEAD + b"Content-Length: 1000000\r\n\r\n"
    drop: bytes = b" "
    url: str = ""
    open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One conversation."""
        self.open.add(writer)
        try:
            await reader.readuntil(b"\r\n\r\n")
            hung_up = asyncio.create_task(reader.read())
            talk = asyncio.create_task(self._go_on(writer))
            await asyncio.wait((hung_up, talk), return_when=asyncio.FIRST_COMPLETED)
            talk.cancel()
            await asyncio.gather(hung_up, talk, return_exceptions=True)
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            self.open.discard(writer)
            writer.transport.abort()

    async def _go_on(self, writer: asyncio.StreamWriter) -> None:
        writer.write(self.begin)
        await writer.drain()
        while True:
            writer.write(self.drop)
            await writer.drain()
            await asyncio.sleep(0 if len(self.drop) > PACED else PACE)


@asynccontextmanager
async def talking(talker: Talker, tls: ssl.SSLContext | None = None) -> AsyncIterator[Talker]:
    """The talker, listening on a free loopback port."""
    server = await asyncio.start_server(talker.talk, "127.0.0.1", 0, ssl=tls)
    talker.url = "http{}://127.0.0.1:{}".format("s" * bool(tls), server.sockets[0].getsockname()[1])
    try:
        yield talker
    finally:
        await accept_no_more(server.sockets[0].fileno())
        server.close()
        for writer in tuple(talker.open):
            writer.transport.abort()
        await eventually(lambda: not talker.open, "every conversation is over")


def prometheus(talker: Talker) -> MetricSource:
    return Prometheus(talker.url, timeout=QUICK)


def http_json(talker: Talker) -> MetricSource:
    return HttpJson(HttpJsonPlace(kind="http-json", url=talker.url), timeout=QUICK)


async def failure(source: MetricSource) -> Exception:
    with pytest.raises((PermanentFailure, TransientFailure)) as raised:
        await source.arm(asked(CANARY, 1))
    return raised.value


def own_threads() -> set[threading.Thread]:
    return {one for one in threading.enumerate() if one.name.startswith("metrics-source")}


DRIPS = {
    "a body": Talker(),
    "headers": Talker(begin=HEAD + b"X-Slow: "),
    "an answer of HTTP 1.0": Talker(begin=b"HTTP/1.0 200 OK\r\n\r\n"),
    "chunks": Talker(begin=HEAD + b"Transfer-Encoding: chunked\r\n\r\n", drop=b"1\r\n \r\n"),
}


@pytest.mark.parametrize("of", [prometheus, http_json])
@pytest.mark.parametrize("dripped", DRIPS)
async def test_a_source_that_drips_is_hung_up_on_at_the_deadline(
    of: Callable[[Talker], MetricSource], dripped: str
) -> None:
    drip = Talker(DRIPS[dripped].begin, DRIPS[dripped].drop)
    async with talking(drip):
        source = of(drip)
        said = str(await failure(source))
        assert "did not answer" in said
        assert "0.8 s passed without its end" in said
        # The reader's thread hung up: nobody else could.
        await eventually(lambda: not drip.open, "the source is hung up on")
        await source.close()


async def test_a_source_that_drips_by_tls_is_hung_up_on_as_well(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca", "test")
    pair = authority.server("source", ["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    async with talking(Talker(), context) as drip:
        place = PrometheusPlace(url=drip.url, ca_file=authority.certificate)
        source = Prometheus(place, timeout=QUICK)
        assert "0.8 s passed without its end" in str(await failure(source))
        await eventually(lambda: not drip.open, "the source is hung up on")
        await source.close()


async def test_a_source_that_drips_keeps_nobody_else_waiting_and_few_threads() -> None:
    async with talking(Talker()) as drip:
        # Those of the tests before may end meanwhile.
        source, before = http_json(drip), own_threads()
        questions = [asyncio.create_task(failure(source)) for _ in range(MANY)]
        await eventually(lambda: len(drip.open) == CONCURRENT, "all its threads are taken")
        loop = asyncio.get_running_loop()
        assert await loop.getaddrinfo("localhost", 80)
        assert not any(question.done() for question in questions)
        assert len(own_threads() - before) == CONCURRENT
        assert all("did not answer" in str(one) for one in await asyncio.gather(*questions))
        await eventually(lambda: not drip.open, "the source is hung up on")
        # And it is asked again: its threads are free.
        assert "0.8 s passed without its end" in str(await failure(source))
        await source.close()


async def test_who_stops_asking_and_who_closes_the_source_leaves_no_thread() -> None:
    async with talking(Talker()) as drip:
        source, before = http_json(drip), own_threads()
        question = asyncio.create_task(failure(source))
        await eventually(lambda: bool(drip.open), "it is asked")
        question.cancel()
        await eventually(lambda: not drip.open, "the source is hung up on")
        question = asyncio.create_task(failure(source))
        await eventually(lambda: bool(drip.open), "it is asked")
        await source.close()
        assert "did not answer" in str(await question)
        await eventually(lambda: own_threads() <= before, "its threads are gone")


async def test_closing_a_source_ends_what_is_asked_and_what_waits_at_once() -> None:
    async with talking(Talker()) as drip:
        source = HttpJson(HttpJsonPlace(kind="http-json", url=drip.url))
        questions = [asyncio.create_task(failure(source)) for _ in range(MANY)]
        await eventually(lambda: len(drip.open) == CONCURRENT, "all its threads are taken")
        await source.close()
        async with asyncio.timeout(REQUEST_TIMEOUT.total_seconds()):
            said = [str(one) for one in await asyncio.gather(*questions)]
    assert sum("is closed" in one for one in said) == MANY - CONCURRENT


async def test_one_that_is_closed_is_not_asked() -> None:
    source = HttpJson(HttpJsonPlace(kind="http-json", url="http://127.0.0.1:1"))
    await source.close()
    assert "is closed" in str(await failure(source))


BOMB = gzip.compress(b" " * (65 * 2**20))
FLOODS = {
    "a flood": Talker(begin=b"HTTP/1.0 200 OK\r\n\r\n", drop=b" " * 2**20),
    "a flood after an error": Talker(begin=b"HTTP/1.0 500 Oh\r\n\r\n", drop=b" " * 2**20),
    "a packed flood": Talker(
        HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB, b""
    ),
}


@pytest.mark.parametrize("flood", FLOODS)
async def test_more_bytes_than_can_be_read_are_refused_with_the_limit(flood: str) -> None:
    async with talking(Talker(FLOODS[flood].begin, FLOODS[flood].drop)) as talker:
        source = Prometheus(talker.url)
        said = await failure(source)
        assert isinstance(said, PermanentFailure)
        assert "with more than the limit of 50,000 series or 64 MiB: narrow" in str(said)
        await source.close()
        await eventually(lambda: not talker.open, "the source is hung up on")


async def test_a_server_that_ignores_the_limit_is_told_the_limit() -> None:
    one = b'{"metric":{"pod":"c1"},"values":[[%d,"1"]]}' % SINCE.timestamp()
    text = b'{"status":"success","data":{"result":[' + b",".join([one] * 100_000) + b"]}}"
    begin = HEAD + b"Content-Length: %d\r\n\r\n" % len(text) + text
    async with talking(Talker(begin, b"")) as server:
        source = Prometheus(server.url)
        assert "matches more than 50000 series, the limit" in str(await failure(source))
        await source.close()


async def test_one_that_takes_too_long_for_so_much_is_told_the_limit_as_well() -> None:
    async with talking(Talker(b"", b"")) as silent:
        source = prometheus(silent)
        said = str(await failure(source))
        assert "did not answer" in said
        assert "imed out" in said or "passed without its end" in said
        assert "whether it answers more than 50,000 series or 64 MiB, the limit" in said
        await source.close()
