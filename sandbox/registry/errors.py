"""The error codes of the distribution spec and their one JSON shape."""

from __future__ import annotations

import json

from aiohttp import web
from aiohttp.typedefs import Handler

# Statuses as the registries in the field answer them; the spec names the codes, rarely the status.
STATUS_OF_CODE = {
    "BLOB_UNKNOWN": 404,
    "BLOB_UPLOAD_INVALID": 400,
    "BLOB_UPLOAD_UNKNOWN": 404,
    "DIGEST_INVALID": 400,
    "MANIFEST_BLOB_UNKNOWN": 400,
    "MANIFEST_INVALID": 400,
    "MANIFEST_UNKNOWN": 404,
    "NAME_INVALID": 400,
    "NAME_UNKNOWN": 404,
    "SIZE_INVALID": 400,
    "TAG_INVALID": 400,
    "UNAUTHORIZED": 401,
    "UNSUPPORTED": 501,
}


class RegistryError(Exception):
    """A refusal of the registry: a code of the spec and a sentence."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int | None = None,
        headers: dict[str, str] | None = None,
        more: tuple[str, ...] = (),
    ) -> None:
        """`more`: further sentences under the same code, each an error of its own."""
        super().__init__(message)
        self.messages = (message, *more)
        self.code = code
        self.status = STATUS_OF_CODE[code] if status is None else status
        self.headers = headers or {}

    def response(self) -> web.Response:
        """The answer a client gets: `{"errors": [{"code", "message", "detail"}]}`."""
        errors = [{"code": self.code, "message": one, "detail": None} for one in self.messages]
        return web.Response(
            status=self.status,
            headers={**self.headers, "Content-Type": "application/json"},
            body=json.dumps({"errors": errors}).encode(),
        )


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn a RegistryError into its answer."""
    try:
        return await handler(request)
    except RegistryError as error:
        return error.response()
