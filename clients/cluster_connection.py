"""Requests to one API server: kubeconfig and TLS by `kubernetes.aio`, bodies as plain JSON."""

from __future__ import annotations

import difflib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from yarl import URL

from clients.cluster_errors import failure
from clients.http import connection_failures, own_version
from domain.errors import NotFound, PermanentFailure, ReleaseError

REQUEST_TIMEOUT = timedelta(seconds=20)
CONNECT_TIMEOUT = timedelta(seconds=5)
JSON_PATCH = "application/json-patch+json"


@dataclass(frozen=True)
class Call:
    """One request; `action` and `permission` tell in messages what was tried by which right."""

    method: str
    path: str
    action: str
    permission: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: object = None
    content_type: str = "application/json"
    timeout: timedelta = REQUEST_TIMEOUT
    root: str = "/"


@dataclass(frozen=True)
class Answer:
    """Whatever came back, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Connection:
    """One HTTP session to one API server; safe to share, to be closed."""

    def __init__(self, kubeconfig: Path | None, context: str | None, api: Any) -> None:
        self._kubeconfig = kubeconfig
        self._context = context
        self._api = api

    @classmethod
    async def open(cls, kubeconfig: Path | None, context: str | None) -> Connection:
        """Read the configuration (None: in-cluster); nothing is sent yet.

        Raises PermanentFailure for a missing file or context, naming the contexts there are.
        """
        # The library takes a second to import: only a process that really connects pays for it.
        from kubernetes.aio.client import ApiClient, Configuration  # noqa: PLC0415

        configuration = Configuration()
        await _load(configuration, kubeconfig, context)
        api = ApiClient(configuration)
        api.user_agent = f"tidegate/{own_version()}"
        return cls(kubeconfig, context, api)

    @property
    def address(self) -> str:
        """The API server's URL."""
        return str(self._api.configuration.host)

    async def close(self) -> None:
        await self._api.close()

    async def exchange(self, call: Call) -> Any:
        """Send and return the decoded JSON; every unsuccessful answer raises (`cluster_errors`)."""
        return self.decoded(call, await self.ask(call))

    async def ask(self, call: Call) -> Answer:
        """Send and return any answer; raises only when none arrives."""
        async with self.stream(call) as response:
            return Answer(response.status, response.headers, await response.read())

    def decoded(self, call: Call, answer: Answer) -> Any:
        """The JSON of a successful answer, else its error."""
        if answer.status // 100 != 2:
            raise self.failure(call, answer)
        try:
            return json.loads(answer.body)
        except ValueError as error:
            raise PermanentFailure(
                f"cannot {call.action}: {self.address} does not answer like a Kubernetes API; "
                "check `server` in the kubeconfig"
            ) from error

    def failure(self, call: Call, answer: Answer) -> ReleaseError:
        """What an unsuccessful answer means."""
        return failure(call.action, call.permission, answer.status, answer.headers, answer.body)

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send and hand over the answer, of any status, to be read while the context is open."""
        with connection_failures(f"cannot {call.action}", self.address):
            response, used = await self._send(call)
            if response.status == 401 and await self._renewed(used):
                response.release()
                response, _ = await self._send(call)
            try:
                yield response
            finally:
                if response.content.is_eof():
                    response.release()
                else:
                    response.close()

    async def _send(self, call: Call) -> tuple[aiohttp.ClientResponse, str | None]:
        headers = {**self._api.default_headers, "Accept": "application/json"}
        await self._api.update_params_for_auth(
            headers, [], ["BearerToken"], call.path, call.method, None
        )
        data = None
        if call.body is not None:
            headers["Content-Type"] = call.content_type
            data = json.dumps(call.body).encode()
        response = await self._session.request(
            call.method,
            self._url(call),
            headers=headers,
            data=data,
            timeout=aiohttp.ClientTimeout(
                total=call.timeout.total_seconds(), sock_connect=CONNECT_TIMEOUT.total_seconds()
            ),
            # What a service behind the API server answers is its answer: also a redirect.
            allow_redirects=False,
            proxy=self._api.rest_client.proxy,
            server_hostname=self._api.configuration.tls_server_name or None,
        )
        return response, headers.get("authorization")

    def _url(self, call: Call) -> URL:
        url = URL(self.address + call.path).update_query(dict(call.query))
        # `..` in a path that a plan wrote must not lead to another part of the API.
        if not url.path.startswith(URL(self.address).path.rstrip("/") + call.root):
            raise PermanentFailure(f"cannot {call.action}: the path leads out of {call.root}")
        return url

    @property
    def _session(self) -> aiohttp.ClientSession:
        rest = self._api.rest_client
        if rest.pool_manager is None:
            rest.pool_manager = rest._create_pool_manager()
        session: aiohttp.ClientSession = rest.pool_manager
        return session

    async def _renewed(self, used: str | None) -> bool:
        """Load the credentials again (they rotate); whether they differ from the refused ones."""
        await _load(self._api.configuration, self._kubeconfig, self._context)
        headers: dict[str, str] = {}
        await self._api.update_params_for_auth(headers, [], ["BearerToken"], "", "", None)
        return headers.get("authorization") != used


async def _load(configuration: Any, kubeconfig: Path | None, context: str | None) -> None:
    from kubernetes.aio import config  # noqa: PLC0415

    try:
        if kubeconfig is None:
            config.load_incluster_config(configuration)
            return
        _check_context(kubeconfig, context)
        await config.load_kube_config(
            str(kubeconfig), context, client_configuration=configuration, persist_config=False
        )
    except (config.ConfigException, OSError) as error:
        origin = kubeconfig or "the cluster's service account"
        raise PermanentFailure(
            f"cannot connect by {origin}: {error}; set kubeconfig and context in the configuration"
        ) from error


def _check_context(kubeconfig: Path, context: str | None) -> None:
    if not kubeconfig.is_file():
        raise NotFound(
            f"there is no kubeconfig {kubeconfig}; correct the path in the configuration"
        )
    try:
        found = yaml.safe_load(kubeconfig.read_bytes())
        names = [str(entry["name"]) for entry in found.get("contexts") or ()]
        chosen = context or found.get("current-context")
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise PermanentFailure(f"{kubeconfig} is not a kubeconfig: {error}") from error
    if chosen in names:
        return
    nearest = difflib.get_close_matches(str(chosen), names, n=1)
    guess = f"did you mean {nearest[0]!r}? " if nearest else ""
    raise NotFound(
        f"{kubeconfig} has no context {chosen!r}; {guess}It has {', '.join(names) or 'none'}"
    )
