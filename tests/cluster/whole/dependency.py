"""A service outside the clusters that every version of another one asks, and how it fails."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.cluster.whole.addresses import HUB

PORT = 8600
URL = f"http://{HUB}:{PORT}/"


class Dependency:
    """What it answers; shares are of all its answers, drawn anew for each.

    `broken`: answered with 503; `renamed`: in a form that only newer callers understand.
    """

    def __init__(self) -> None:
        self.broken = 0.0
        self.renamed = 0.0
        self._draw = random.Random(5)  # noqa: S311 - which request is hit is no secret

    def answer(self) -> tuple[HTTPStatus, dict[str, Any]]:
        """The next answer."""
        if self._draw.random() < self.broken:
            return HTTPStatus.SERVICE_UNAVAILABLE, {}
        name = "picture" if self._draw.random() < self.renamed else "avatar"
        return HTTPStatus.OK, {name: "blue.png"}


@contextmanager
def serving() -> Iterator[Dependency]:
    """It answers on the hub's address; whoever calls this must be in the hub's network."""
    dependency = Dependency()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, content = dependency.answer()
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Say nothing: it is asked often."""

    with ThreadingHTTPServer((HUB, PORT), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield dependency
        finally:
            server.shutdown()
            thread.join()
