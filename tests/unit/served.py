# SPDX-License-Identifier: Apache-2.0
"""Web servers of tests, on loopback."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STOP_LOOKS_S = 0.01


@contextmanager
def served(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[ThreadingHTTPServer]:
    """A server that lets `answer` answer each GET."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, format: str, *words: object) -> None:
            del format, words

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(STOP_LOOKS_S,)).start()
        try:
            yield server
        finally:
            server.shutdown()


def address_of(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}"


@contextmanager
def answering(code: Callable[[str], int]) -> Iterator[ThreadingHTTPServer]:
    """A server that answers each path with a status code, and nothing else."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(code(request.path))
        request.send_header("Content-Length", "0")
        request.end_headers()

    with served(answer) as server:
        yield server
