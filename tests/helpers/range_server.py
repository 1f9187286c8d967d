"""A server on this machine that gives files by ranges, and fails as servers do where it is told to."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import re
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Server:
    """What the server has, and what was asked of it."""

    folder: Path
    address: str = ""
    busy: int = 0
    """How often each file is answered with 503 before it is given."""
    codes: dict[str, int] = field(default_factory=dict)
    """Name of a file -> the code that it is always answered with."""
    cut: dict[str, int] = field(default_factory=dict)
    """Name of a file -> bytes after which each of its bodies is cut short."""
    away: dict[str, str] = field(default_factory=dict)
    """Name of a file -> where its address leads."""
    changing: set[str] = field(default_factory=set)
    """Files that have another ETag each time."""
    ranges: bool = True
    asked: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    """Bytes of bodies."""

    def of(self, name: str) -> str:
        return f"{self.address}/{name}"


@contextlib.contextmanager
def range_server(folder: Path) -> Iterator[Server]:
    known = Server(folder)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            name = self.path.lstrip("/")
            known.asked[name] += 1
            if name in known.away:
                self.answer(302, {"Location": known.away[name]})
            elif name in known.codes or known.asked[name] <= known.busy:
                self.answer(known.codes.get(name, 503), {})
            elif not (folder / name).is_file():
                self.answer(404, {})
            else:
                self.give(name, (folder / name).read_bytes())

        def give(self, name: str, content: bytes) -> None:
            etag = hashlib.sha256(content).hexdigest()[:16]
            headers = {"ETag": f'"{etag}{known.asked[name] if name in known.changing else ""}"'}
            span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            code, body = 200, content
            if span and known.ranges:
                first, last = int(span[1]), min(int(span[2] or len(content)), len(content) - 1)
                code, body = 206, content[first : last + 1]
                headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            self.answer(code, headers, body, known.cut.get(name))
            known.sent[name] += len(body)

        def answer(self, code: int, headers: dict[str, str], body: bytes = b"", cut: int | None = None) -> None:
            self.send_response(code)
            for key, value in {**headers, "Content-Length": str(len(body)), "Connection": "close"}.items():
                self.send_header(key, value)
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body[:cut])
            self.close_connection = True

        def log_message(self, *_arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    known.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield known
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
