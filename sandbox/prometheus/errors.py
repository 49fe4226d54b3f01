"""How a query fails: the error types of the Prometheus HTTP API, and ours for what we do not do."""

from __future__ import annotations

import json

from aiohttp import web

STATUS_OF_TYPE = {"bad_data": 400, "execution": 422, "unsupported": 501}


class QueryError(Exception):
    """A query that has no answer; `error_type` as the API names it."""

    error_type = "bad_data"

    def response(self) -> web.Response:
        """`{"status": "error", "errorType", "error"}` with the status that goes with the type."""
        body = {"status": "error", "errorType": self.error_type, "error": str(self)}
        # Not `json_response`: the API names no character set.
        return web.Response(
            status=STATUS_OF_TYPE[self.error_type],
            body=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )


class ExecutionError(QueryError):
    """A valid query whose data cannot be combined."""

    error_type = "execution"


class Unsupported(QueryError):  # noqa: N818 - it names a gap of the sandbox, not a fault of the query
    """Valid PromQL, or a valid request, that the sandbox does not do."""

    error_type = "unsupported"

    def __init__(self, what: str) -> None:
        super().__init__(f"the sandbox's Prometheus does not do {what}")
