"""A sandboxed pod's HTTP answer: what the version does, not what its code would."""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections.abc import Callable
from urllib.parse import quote

from aiohttp import web

from sandbox.kubernetes.behaviour import Behaviour
from sandbox.kubernetes.status import Manifest

BASE_LATENCY_SECONDS = 0.020
LATENCY_SPREAD = 0.35  # sigma of the lognormal: p95 is about 1.8 times the median
LONGEST_WAIT_SECONDS = 2.0
# Of a pod template: the paths that the version has, with commas between; without it, every path.
PATHS = "sandbox.tidegate.dev/paths"
_PROBES = ("/health", "/ready")
REVISION_LABEL = "tidegate.dev/revision"

BehaviourOf = Callable[[Manifest], Behaviour]
ConfigOf = Callable[[Manifest], dict[str, str]]
OnRequest = Callable[[Manifest, int, float], None]


class PodAnswers:
    """Answers for pods and tells the metrics of each one."""

    def __init__(
        self,
        behaviour: BehaviourOf,
        config: ConfigOf,
        on_request: OnRequest | None,
        chance: random.Random,
    ) -> None:
        self._behaviour = behaviour
        self._config = config
        self._on_request = on_request
        self._chance = chance

    async def answer(self, pod: Manifest, path: str, query: str = "") -> web.Response:
        """The pod's answer to one request for a decoded path and raw query, after its latency.

        200 with JSON, or 500 with the probability of the errors fault; the probes' paths never
        fail, as a version with a bad business path stays ready. A version whose manifest says
        which paths it has (`PATHS`) answers 404 to others, and a redirect to a slash too many.
        """
        behaviour = self._behaviour(pod)
        seconds = latency_seconds(behaviour, self._chance)
        await asyncio.sleep(min(seconds, LONGEST_WAIT_SECONDS))
        probe = path in _PROBES
        failed = not probe and self._chance.random() < behaviour.error_share
        answer = _json(_error(pod, path), 500) if failed else self._said(pod, path, query)
        if self._on_request is not None:
            self._on_request(pod, answer.status, seconds)
        return answer

    def _said(self, pod: Manifest, path: str, query: str) -> web.Response:
        if _has(pod, path):
            return _json(self._body(pod, path), 200)
        if path.endswith("/") and _has(pod, path[:-1]):
            place = quote(path[:-1]) + (f"?{query}" if query else "")
            return web.Response(status=307, headers={"Location": place})
        return _json({"service": service_name(pod), "error": "Not Found"}, 404)

    def _body(self, pod: Manifest, path: str) -> Manifest:
        if path == "/health":
            return {"status": "healthy", "service": service_name(pod)}
        if path == "/ready":
            return {"status": "ready", "service": service_name(pod)}
        labels = pod["metadata"].get("labels") or {}
        return {
            "service": service_name(pod),
            "path": path,
            "revision": labels.get(REVISION_LABEL, ""),
            "pod": pod["metadata"]["name"],
            "version": image_version(pod["spec"]["containers"][0]["image"]),
            "config": self._config(pod),
        }


def latency_seconds(behaviour: Behaviour, chance: random.Random) -> float:
    """One draw of a version's latency: lognormal around 20 ms times its factor."""
    median = BASE_LATENCY_SECONDS * behaviour.latency_factor
    return chance.lognormvariate(math.log(median), LATENCY_SPREAD)


def service_name(pod: Manifest) -> str:
    """The service a pod belongs to, by its labels."""
    labels = pod["metadata"].get("labels") or {}
    names = (labels.get("tidegate.dev/service"), labels.get("app"), pod["metadata"]["name"])
    return next(str(name) for name in names if name)


def image_version(image: str) -> str:
    """The digest of an image reference, else its tag, else `latest`."""
    name, at, digest = image.partition("@")
    if at:
        return digest
    tag = name.rsplit("/", 1)[-1].partition(":")[2]
    return tag or "latest"


def _has(pod: Manifest, path: str) -> bool:
    listed = (pod["metadata"].get("annotations") or {}).get(PATHS)
    return listed is None or path in (*_PROBES, *(one.strip() for one in listed.split(",")))


def _json(body: Manifest, status: int) -> web.Response:
    # Not `json_response`: services name no character set for JSON, which has only one.
    headers = {"Content-Type": "application/json"}
    return web.Response(status=status, body=json.dumps(body).encode(), headers=headers)


def _error(pod: Manifest, path: str) -> Manifest:
    return {"error": "internal error", "service": service_name(pod), "path": path}
