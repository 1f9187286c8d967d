"""A served run and somebody who asks it, without a browser."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from landscribe.stages.maps.view import serve

TOKEN = "X-Landscribe-Token"


@dataclass(frozen=True)
class Client:
    port: int
    token: str

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, bytes, Any]:
        """Ask on a line of its own with the token; `header=""` leaves one out."""
        own = {TOKEN: self.token} | {name.replace("_", "-"): text for name, text in headers.items()}
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            line.request(method, path, body, {name: text for name, text in own.items() if text})
            answer = line.getresponse()
            return answer.status, answer.read(), answer.headers
        finally:
            line.close()

    def values(self, path: str) -> Any:
        status, body, _ = self.ask(path)
        assert status == 200, body
        return json.loads(body)

    def edit(self, *edits: dict[str, Any], path: str = "/e/a/0") -> tuple[int, Any]:
        """Send edits; each begins as an accepted drawn house."""
        status, body, _ = self.ask(path, "POST", json.dumps({"edits": [DRAWN | one for one in edits]}).encode())
        return status, json.loads(body) if status == 200 else body.decode()


DRAWN = {
    "was": 0, "kind": "feature", "class_name": "house", "verdict": "accept", "source": "drawn", "note": "",
}  # fmt: skip


def box(left: float, bottom: float, right: float, top: float) -> dict[str, Any]:
    """Return a shape as the page sends it."""
    ring = [[left, bottom], [right, bottom], [right, top], [left, top], [left, bottom]]
    return {"type": "Polygon", "coordinates": [ring]}


@contextlib.contextmanager
def served(*folders: Path) -> Iterator[Client]:
    with serve(folders, port=0, who="tester") as server:
        thread = threading.Thread(target=server.forever)
        thread.start()
        try:
            yield client_of(server.address)
        finally:
            server.stop()
            thread.join()


def client_of(address: str) -> Client:
    parts = urlsplit(address)
    return Client(int(parts.port or 0), parse_qs(parts.query)["token"][0])


def manifest_of(client: Client) -> Any:
    """Return the manifest that stands in the page."""
    _, body, _ = client.ask("/")
    text = body.decode().partition('id="manifest"')[2].partition(">")[2].partition("</script>")[0]
    return json.loads(text)
