"""Request bodies: JSON or YAML, delete options, and the name of the writer."""

from __future__ import annotations

import json
from typing import Any

import yaml
from aiohttp import web

from sandbox.kubernetes.deletion import DeleteOptions
from sandbox.kubernetes.request_info import RequestInfo
from sandbox.kubernetes.status import Manifest, StatusError, bad_request

_ACCEPTED = ("application/json", "application/yaml")


def manager(request: web.Request) -> str:
    """Who writes: the fieldManager query, else the user agent's first word."""
    named = request.query.get("fieldManager")
    return named or request.headers.get("User-Agent", "unknown").split("/")[0][:128]


async def read_object(request: web.Request) -> Manifest:
    """The body as an object; 415 for another format (protobuf), 400 for what is not an object."""
    if request.content_type not in _ACCEPTED:
        message = "the body of the request was in an unknown format - accepted media types include"
        hint = "the sandbox reads no protobuf, `kubectl apply -f` sends JSON"
        text = f"{message}: {', '.join(_ACCEPTED)} ({hint})"
        raise StatusError(415, "UnsupportedMediaType", text)
    loaded = await read_any(request)
    if not isinstance(loaded, dict):
        raise bad_request("the body of the request is not an object")
    return loaded


async def read_any(request: web.Request) -> Any:
    """The decoded body, whatever it is; patches may be lists."""
    text = await request.text()
    try:
        return yaml.safe_load(text) if request.content_type.endswith("yaml") else json.loads(text)
    except (ValueError, yaml.YAMLError) as error:
        raise bad_request(f"the body of the request cannot be decoded: {error}") from error


async def delete_options(request: web.Request, info: RequestInfo) -> DeleteOptions:
    """Delete options from the body and, for what it leaves out, from the query."""
    options = await read_object(request) if request.body_exists else {}
    query = info.query
    grace = options.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
    policy = options.get("propagationPolicy") or query.get("propagationPolicy") or "Background"
    return DeleteOptions(
        propagation=policy,
        grace=None if grace is None else int(grace),
        preconditions=options.get("preconditions") or {},
        dry_run=info.dry_run or options.get("dryRun") == ["All"],
    )
