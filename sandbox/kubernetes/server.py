"""The API server of one cluster: authentication, dispatch by verb, Status errors and audit.

Discovery and health are answered without an audit record, all other requests leave one.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from sandbox.kubernetes import discovery, openapi
from sandbox.kubernetes.authorization import Identities, may_do_everything, refusal
from sandbox.kubernetes.bodies import delete_options, manager, read_any, read_object
from sandbox.kubernetes.deletion import delete
from sandbox.kubernetes.eviction import evict
from sandbox.kubernetes.proxy import ServiceProxy
from sandbox.kubernetes.reading import read_list, read_one
from sandbox.kubernetes.request_info import RequestInfo, may_be_served, parse
from sandbox.kubernetes.requests import RequestLog, RequestRecord
from sandbox.kubernetes.reviews import review
from sandbox.kubernetes.scale import scale_of
from sandbox.kubernetes.status import Manifest, StatusError, not_implemented
from sandbox.kubernetes.store import Store
from sandbox.kubernetes.watching import Watch
from sandbox.kubernetes.writing import Writer

logger = logging.getLogger(__name__)
MAX_BODY_BYTES = 3 * 2**20
# What the server answers to their deletion is the object, to that of others a Status.
_DELETED_AND_SHOWN = ("pods", "resourcequotas", "serviceaccounts", "services")


class ApiServer:
    """Serves one store over HTTP; `app()` is the aiohttp application."""

    def __init__(self, store: Store, log: RequestLog, proxy: ServiceProxy, seed: int) -> None:
        self.identities = Identities()
        self._store = store
        self._log = log
        self._proxy = proxy
        self._writer = Writer(store, seed)
        self._watches: set[Watch] = set()
        self._verbs: dict[str, Callable[[web.Request, RequestInfo], Awaitable[web.Response]]] = {
            "get": self._get,
            "list": self._list,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }

    def app(self) -> web.Application:
        """The application; its shutdown ends every watch."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", self._handle)
        app.on_shutdown.append(self._end_watches)
        return app

    async def _end_watches(self, _: web.Application) -> None:
        for watch in self._watches:
            watch.stop()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        user = self._user(request)
        if user is None:
            return self._refused(request, StatusError(401, "Unauthorized", "Unauthorized"))
        if (denied := refusal(user, request.method, request.path, request.query)) is not None:
            return self._refused(request, denied)
        if (answer := self._about_the_server(request)) is not None:
            return answer
        info = parse(request.method, request.path, request.query)
        if info is None:
            return self._unknown(request)
        return await self._audited(request, info)

    def _unknown(self, request: web.Request) -> web.Response:
        if may_be_served(request.path):
            return self._refused(request, not_implemented(request.method, request.path))
        self._record(request, None, 404)
        return web.Response(status=404, text="404 page not found\n")

    def _refused(self, request: web.Request, error: StatusError) -> web.Response:
        self._record(request, parse(request.method, request.path, request.query), error.code)
        return _failure(error)

    async def _audited(self, request: web.Request, info: RequestInfo) -> web.StreamResponse:
        answer: web.StreamResponse
        try:
            if info.verb == "watch":
                return await self._watch(request, info)
            answer = await self._dispatch(request, info)
        except StatusError as error:
            answer = _failure(error)
        except web.HTTPException as error:
            answer = _failure(
                StatusError(error.status, error.reason.replace(" ", ""), error.reason)
            )
        except asyncio.CancelledError:
            self._record(request, info, 499)
            raise
        except Exception:
            logger.exception("%s %s failed", request.method, request.path)
            answer = _failure(StatusError(500, "InternalError", "an error on the server"))
        self._record(request, info, answer.status)
        return answer

    async def _dispatch(self, request: web.Request, info: RequestInfo) -> web.Response:
        if info.verb == "proxy" and info.resource.plural == "services":
            return await self._proxy.answer(request, info)
        if info.resource.plural == "selfsubjectaccessreviews" and info.verb == "create":
            return await self._review(request, info)
        if info.subresource == "eviction" and info.verb == "create":
            return _json(evict(self._store, info, await read_object(request)), 201)
        known = ("", "status", "scale") if "scale" in info.resource.subresources else ("", "status")
        handler = self._verbs.get(info.verb)
        if handler is None or info.subresource not in known or info.rest:
            raise not_implemented(request.method, request.path)
        return await handler(request, info)

    async def _review(self, request: web.Request, info: RequestInfo) -> web.Response:
        allowed = may_do_everything(self._user(request) or "")
        body = await read_object(request)
        return _json(review(info.resource, body, manager(request), allowed=allowed), 201)

    async def _get(self, request: web.Request, info: RequestInfo) -> web.Response:
        if info.subresource == "scale":
            manifest = self._store.require(info.resource.plural, info.namespace, info.name)
            return _json(scale_of(info.resource, manifest))
        return _json(read_one(self._store, info, request.headers.get("Accept", "")))

    async def _list(self, request: web.Request, info: RequestInfo) -> web.Response:
        return _json(read_list(self._store, info, request.headers.get("Accept", "")))

    async def _create(self, request: web.Request, info: RequestInfo) -> web.Response:
        if info.name:
            raise not_implemented(request.method, request.path)
        body = await read_object(request)
        return _json(self._writer.create(info, body, manager(request)), 201)

    async def _update(self, request: web.Request, info: RequestInfo) -> web.Response:
        body = await read_object(request)
        return _json(self._writer.update(info, body, manager(request)))

    async def _patch(self, request: web.Request, info: RequestInfo) -> web.Response:
        body = await read_any(request)
        existed = self._store.get(info.resource.plural, info.namespace, info.name) is not None
        manifest = self._writer.patch(info, request.content_type, body, manager(request))
        return _json(manifest, 200 if existed else 201)

    async def _delete(self, request: web.Request, info: RequestInfo) -> web.Response:
        if info.subresource:
            raise not_implemented(request.method, request.path)
        options = await delete_options(request, info)
        kind = info.resource
        manifest = delete(self._store, kind.plural, info.namespace, info.name, options)
        remains = self._store.get(kind.plural, info.namespace, info.name) is not None
        if remains or kind.plural in _DELETED_AND_SHOWN:
            return _json(manifest)
        details = {"name": info.name, "kind": kind.plural, "uid": manifest["metadata"]["uid"]}
        details |= {"group": kind.group} if kind.group else {}
        success = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        return _json({**success, "details": details})

    async def _delete_collection(self, request: web.Request, info: RequestInfo) -> web.Response:
        options = await delete_options(request, info)
        listed = read_list(self._store, info, "")
        for manifest in listed["items"]:
            metadata = manifest["metadata"]
            namespace = metadata.get("namespace")
            if self._store.get(info.resource.plural, namespace, metadata["name"]) is not None:
                delete(self._store, info.resource.plural, namespace, metadata["name"], options)
        return _json(listed)

    async def _watch(self, request: web.Request, info: RequestInfo) -> web.StreamResponse:
        watch = Watch(self._store, info, request.headers.get("Accept", ""))
        self._record(request, info, 200)
        self._watches.add(watch)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        try:
            await response.prepare(request)
            async for line in watch.lines():
                await response.write(line)
            await response.write_eof()
        except ConnectionError:
            logger.debug("the client of watch %s went away", request.path)
        finally:
            self._watches.discard(watch)
            watch.close()
        return response

    def _user(self, request: web.Request) -> str | None:
        return self.identities.user_of(request.headers.get("Authorization", ""))

    def _about_the_server(self, request: web.Request) -> web.Response | None:
        path, accept = request.path.rstrip("/"), request.headers.get("Accept", "")
        if request.method != "GET":
            return None
        if path in ("/healthz", "/livez", "/readyz"):
            return web.Response(text="ok")
        if path in ("/api", "/apis") and discovery.wants_aggregated(accept):
            answer = json.dumps(discovery.aggregated(path)).encode()
            return web.Response(body=answer, headers={"Content-Type": discovery.AGGREGATED})
        if path == "/sandbox/requests":
            agent = request.query.get("userAgent", "")
            counts = self._log.counts(lambda record: record.user_agent.startswith(agent))
            return _json({"requests": counts})
        found = _document(path)
        return None if found is None else _json(found)

    def _record(self, request: web.Request, info: RequestInfo | None, code: int) -> None:
        self._log.add(
            RequestRecord(
                verb=info.verb if info else request.method.lower(),
                resource=info.resource.plural if info else request.path,
                subresource=info.subresource if info else "",
                namespace=(info.namespace or "") if info else "",
                name=info.name if info else "",
                user_agent=request.headers.get("User-Agent", ""),
                code=code,
                time=time.time(),
            )
        )


def _json(manifest: Manifest, status: int = 200) -> web.Response:
    # Not `json_response`: the API server names no character set.
    body, headers = json.dumps(manifest).encode(), {"Content-Type": "application/json"}
    return web.Response(status=status, body=body, headers=headers)


def _failure(error: StatusError) -> web.Response:
    answer = _json(error.body(), error.code)
    if seconds := (error.details or {}).get("retryAfterSeconds"):
        answer.headers["Retry-After"] = str(seconds)
    return answer


def _document(path: str) -> Manifest | None:
    if path == "/version":
        return discovery.VERSION
    if path == "/openapi/v3":
        return openapi.index()
    if path.startswith("/openapi/v3/"):
        return openapi.document(path.removeprefix("/openapi/v3/"))
    return discovery.document(path)
