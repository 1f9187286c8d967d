"""A web server for one person on this machine: a fixed number of threads, a queue of limited length, no more.

Only HTTP is known here: connections, sizes, who may ask. What is answered, `_routes` knows.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from landscribe import __version__
from landscribe.stages.maps._guard import Guard
from landscribe.workers import stop_if_asked, thread_pool

HOST = "127.0.0.1"
THREADS = 16
WAITING = 400
"""Connections that are taken in at most; those that come then are refused with 503."""
LINGERING, LINGER_S = 200, 1.0
"""Refused connections that are kept open for a moment, so that the answer is read before the line is cut."""
LOOK_S, IDLE_S, SLOW_S = 0.05, 5.0, 20.0
"""How often a thread that waits looks up; how long a connection may be silent; how long a request may take to come."""
MOST_BODY = 8 << 20
BUSY = b"too many requests at once: ask again\n"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True)
class Answer:
    """What goes back."""

    body: bytes = b""
    kind: str = "text/plain; charset=utf-8"
    status: int = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)


def line(status: int, text: str) -> Answer:
    """Return a status with one line of text."""
    return Answer(f"{' '.join(text.split())}\n".encode(), status=status)


def as_json(values: Any, status: int = HTTPStatus.OK) -> Answer:
    """Return JSON."""
    body = json.dumps(values, separators=(",", ":"), allow_nan=False).encode()
    return Answer(body, "application/json", status)


Handle = Callable[[str, str, bytes], Answer]
"""Method, path with its query, body -> answer."""


class _Server(HTTPServer):
    """Takes connections in, and hands each to a thread; refuses what is too many."""

    request_queue_size = 512
    allow_reuse_address = True

    def __init__(
        self, port: int, guard: Guard, handle: Handle, often: Callable[[], None], pool: ThreadPoolExecutor
    ) -> None:
        self.guard, self.handle, self.often, self.pool = guard, handle, often, pool
        self.tidying: Future[None] | None = None
        self.taken, self.waiting, self.count = 0, 0, threading.Lock()
        self.refused: deque[tuple[float, socket.socket]] = deque()
        super().__init__((HOST, port), _Requests)

    def server_bind(self) -> None:
        # HTTPServer asks for the machine's name here, which may go to the network.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = HOST, self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        with self.count:
            if self.taken >= WAITING:
                self._refuse(request)
                return
            self.taken += 1
            self.waiting += 1
        self.pool.submit(self._serve, request, client_address)

    def _serve(self, request: socket.socket, client_address: Any) -> None:
        with self.count:
            self.waiting -= 1
        try:
            with contextlib.suppress(OSError, KeyboardInterrupt):  # a line that broke, or the end of the program
                _Requests(request, client_address, self)
        finally:
            self.shutdown_request(request)
            with self.count:
                self.taken -= 1

    def _refuse(self, request: socket.socket) -> None:
        head = f"HTTP/1.1 503 Service Unavailable\r\nContent-Length: {len(BUSY)}\r\nRetry-After: 1\r\n"
        with contextlib.suppress(OSError):
            request.setblocking(False)
            request.send(f"{head}Connection: close\r\nContent-Type: text/plain\r\n\r\n".encode() + BUSY)
            request.shutdown(socket.SHUT_WR)
        self.refused.append((time.monotonic(), request))
        self._let_go()

    def service_actions(self) -> None:
        """Do what is to be done now and then: called after each connection, and when none comes."""
        self._let_go()
        if self.tidying is None or self.tidying.done():
            self.tidying = self.pool.submit(self.often)

    def _let_go(self) -> None:
        while self.refused and (len(self.refused) > LINGERING or time.monotonic() - self.refused[0][0] > LINGER_S):
            self.refused.popleft()[1].close()

    def server_close(self) -> None:
        """Close the port and the lines that were refused."""
        super().server_close()
        while self.refused:
            self.refused.popleft()[1].close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a line that broke."""


class _Requests(BaseHTTPRequestHandler):
    """The requests of one connection, one after the other."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = f"Landscribe/{__version__}", ""
    timeout = SLOW_S
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def handle(self) -> None:
        self.close_connection, first = False, True
        while not self.close_connection and self._comes(first=first):
            first = False
            self.handle_one_request()

    def _comes(self, *, first: bool) -> bool:
        """Wait for the next request; let the line go if nothing comes or, once it had an answer, where others wait."""
        end = time.monotonic() + (SLOW_S if first else IDLE_S)
        self.connection.settimeout(LOOK_S)
        while time.monotonic() < end:
            stop_if_asked()
            try:
                came = self.connection.recv(1, socket.MSG_PEEK)
            except TimeoutError:
                if self.server.waiting and not first:
                    return False
                continue
            self.connection.settimeout(SLOW_S)
            return bool(came)
        return False

    def do_GET(self) -> None:
        """Answer a question."""
        self._answer()

    def do_HEAD(self) -> None:
        """Answer without a body."""
        self._answer()

    def do_POST(self) -> None:
        """Take an edit."""
        self._answer()

    def _answer(self) -> None:
        answer = self._refusal()
        if answer is None:
            body = self._body()
            answer = body if isinstance(body, Answer) else self.server.handle(self.command, self.path, body)
        if answer.status >= HTTPStatus.BAD_REQUEST and self.command == "POST":
            self.close_connection = True  # its body may still be on the line
        self._send(answer)

    def _refusal(self) -> Answer | None:
        refused = self.server.guard.refusal(self.command, self.path, dict(self.headers), self.server.server_port)
        return None if refused is None else Answer(*refused)

    def _body(self) -> bytes | Answer:
        if self.command != "POST":
            return b""
        text = self.headers.get("Content-Length", "")
        if not text.isascii() or not text.isdigit() or self.headers.get("Transfer-Encoding"):
            return line(HTTPStatus.LENGTH_REQUIRED, "the length of the body is not said")
        if int(text) > MOST_BODY:
            return line(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"body: got {text} bytes, need at most {MOST_BODY}")
        body = self.rfile.read(int(text))
        if len(body) < int(text):
            return line(HTTPStatus.BAD_REQUEST, "the body was cut short")
        return body

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, text in {**HEADERS, **answer.headers}.items():
            self.send_header(name, text)
        if "Cache-Control" not in answer.headers:
            self.send_header("Cache-Control", "no-store")
        if self.server.waiting:
            self.close_connection = True
        if self.close_connection:
            self.send_header("Connection", "close")
        if answer.status != HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of each request."""


@contextlib.contextmanager
def serving(port: int, guard: Guard, handle: Handle, often: Callable[[], None]) -> Iterator[_Server]:
    """Yield a server that has its port and answers once `serve_forever` is called.

    Args:
        port: 0 for any that is free.
        guard: Who may ask.
        handle: What is answered.
        often: Done in a thread several times a second.

    Raises:
        OSError: If the port is taken.
    """
    with thread_pool(THREADS, "view") as pool:
        server = _Server(port, guard, handle, often, pool)
        try:
            yield server
        finally:
            server.server_close()
