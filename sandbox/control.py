"""The sandbox's own port: what users got, what there is, and how to break it on purpose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import web

from sandbox.faults import LiveFault
from sandbox.listener import Listener
from sandbox.outage import Outage

if TYPE_CHECKING:
    from sandbox.platform import Platform

PATHS = {
    "GET /sandbox/state": "routes, revisions, users, faults, outages, urls",
    "GET /sandbox/users/{environment}/{service}": "requests and failures, by revision",
    "GET|POST|DELETE /sandbox/faults": "{environment, service [, spared] or revision, fault}",
    "GET|POST|DELETE /sandbox/outage": "{system: registry, environment, seconds, mode: hang}",
    "POST /sandbox/traffic": "{production: 20} requests per second and service",
}


class Control:
    """The handlers; every bad input is a 400 with a sentence."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        application = web.Application()
        application.add_routes(
            [
                web.get("/", self._help),
                web.get("/sandbox/state", self._state),
                web.get("/sandbox/users/{environment}/{service}", self._users),
                web.get("/sandbox/faults", self._faults),
                web.post("/sandbox/faults", self._add_fault),
                web.delete("/sandbox/faults", self._clear_faults),
                web.get("/sandbox/outage", self._outages),
                web.post("/sandbox/outage", self._begin_outage),
                web.delete("/sandbox/outage", self._end_outage),
                web.post("/sandbox/traffic", self._set_traffic),
            ]
        )
        self._listener = Listener(application)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen on `port` (0 = any free one); OSError when it is taken."""
        await self._listener.start(host, port)

    async def close(self) -> None:
        """Stop listening."""
        await self._listener.close()

    @property
    def url(self) -> str:
        """`http://host:port`."""
        return self._listener.url

    async def _help(self, _request: web.Request) -> web.Response:
        return web.json_response(PATHS)

    async def _state(self, _request: web.Request) -> web.Response:
        return web.json_response(self._platform.state())

    async def _users(self, request: web.Request) -> web.Response:
        environment = self._environment(request.match_info["environment"])
        users = self._platform.environments[environment].traffic.users
        return web.json_response(users.of(request.match_info["service"]))

    async def _faults(self, _request: web.Request) -> web.Response:
        return web.json_response({"faults": self._platform.live_faults.records()})

    async def _add_fault(self, request: web.Request) -> web.Response:
        given = await _body(request)
        service, revision = _text(given, "service"), _text(given, "revision")
        if bool(service) == bool(revision):
            raise _bad("name either a service or a revision")
        environment = self._environment(_text(given, "environment"))
        spared = _text(given, "spared")
        fault = LiveFault(environment, _text(given, "fault"), service, revision, spared)
        if not fault.fault:
            raise _bad("name a fault, such as errors=5%, latency=3x or crash")
        try:
            self._platform.live_faults.add(fault)
        except ValueError as error:
            raise _bad(str(error)) from error
        self._platform.environments[environment].replace_pods(fault)
        return await self._faults(request)

    async def _clear_faults(self, request: web.Request) -> web.Response:
        given = {**request.query, **await _body(request)}
        environment = _text(given, "environment")
        if environment:
            self._environment(environment)
        name = _text(given, "service") or _text(given, "revision")
        ended = self._platform.live_faults.clear(environment, name)
        for fault in ended:
            self._platform.environments[fault.environment].replace_pods(fault)
        return web.json_response({"ended": len(ended)})

    async def _outages(self, _request: web.Request) -> web.Response:
        return web.json_response({"outages": self._platform.outages()})

    async def _begin_outage(self, request: web.Request) -> web.Response:
        given = await _body(request)
        seconds = given.get("seconds")
        if seconds is not None and (not isinstance(seconds, int | float) or seconds <= 0):
            raise _bad("seconds must be a number above zero, or absent: until DELETE")
        mode = given.get("mode", "refuse")
        if mode not in ("refuse", "hang"):
            raise _bad(f"no mode {mode!r}; there are: refuse, hang")
        for outage in self._chosen(given):
            outage.begin(seconds, hang=mode == "hang")
        return await self._outages(request)

    async def _end_outage(self, request: web.Request) -> web.Response:
        given = {**request.query, **await _body(request)}
        for outage in self._chosen(given) if given else self._platform.all_outages():
            outage.end()
        return await self._outages(request)

    async def _set_traffic(self, request: web.Request) -> web.Response:
        given = await _body(request)
        for name, rate in given.items():
            self._environment(name)
            if not isinstance(rate, int | float) or not 0 <= rate < float("inf"):
                raise _bad(f"{name}: {rate!r} is no number of requests per second")
        for name, rate in given.items():
            self._platform.environments[name].traffic.rate = float(rate)
        rates = {one.name: one.traffic.rate for one in self._platform.environments.values()}
        return web.json_response(rates)

    def _environment(self, name: str) -> str:
        if name not in self._platform.environments:
            known = ", ".join(self._platform.environments)
            raise _bad(f"no environment {name!r}; there are: {known}")
        return name

    def _chosen(self, given: Mapping[str, Any]) -> list[Outage]:
        system, environment = _text(given, "system"), _text(given, "environment")
        if environment:
            self._environment(environment)
        chosen = self._platform.outages_of(system, environment)
        if not chosen:
            raise _bad(f"no system {system!r}; there are: registry, slack, prometheus, kubernetes")
        return chosen


async def _body(request: web.Request) -> dict[str, Any]:
    if not request.can_read_body:
        return {}
    try:
        given = await request.json()
    except ValueError as error:
        raise _bad(f"the body is no JSON: {error}") from error
    if not isinstance(given, dict):
        raise _bad("the body is no JSON object")
    return given


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name) or ""
    if not isinstance(value, str):
        raise _bad(f"{name} must be a text")
    return value


def _bad(problem: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=f"{problem}\n")
