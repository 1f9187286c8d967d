"""Headless Chromium over its debugging pipe: enough to open a page, ask it questions and listen to what it does.

A browser takes most of a second of a processor to start, so one stays for the next page, which has cookies, storage and
cache of its own (a browser context). It is ended where something went wrong, and with this process.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
TRAMPOLINE = (
    "import os, sys; high = [os.dup(os.dup(os.dup(int(n)))) for n in sys.argv[1:3]];"
    "[os.dup2(fd, n) for fd, n in zip(high, (3, 4))]; os.execv(sys.argv[3], sys.argv[3:])"
)


def find_chromium() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """A browser at work, of which one page at a time is asked."""

    def __init__(self) -> None:
        in_read, self.to_browser = os.pipe()
        self.from_browser, out_write = os.pipe()
        self.profile = tempfile.mkdtemp(prefix="chromium-")
        self.last, self.buffer = 0, b""
        # The browser reads commands from descriptor 3 and answers on 4.
        command = [sys.executable, "-S", "-c", TRAMPOLINE, str(in_read), str(out_write), str(find_chromium())]
        command += [*FLAGS, "--remote-debugging-pipe", f"--user-data-dir={self.profile}", "about:blank"]
        self.process = subprocess.Popen(
            command, pass_fds=(in_read, out_write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(in_read)
        os.close(out_write)
        atexit.register(self.close)

    def close(self) -> None:
        atexit.unregister(self.close)
        self.process.terminate()
        self.process.wait(20)
        os.close(self.to_browser)
        os.close(self.from_browser)
        shutil.rmtree(self.profile, ignore_errors=True)

    def send(self, method: str, session: str, params: dict[str, Any]) -> int:
        self.last += 1
        message: dict[str, Any] = {"id": self.last, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self.to_browser, json.dumps(message).encode() + b"\0")
        return self.last

    def next(self, seconds: float) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.from_browser], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise TimeoutError("the browser does not answer")
            got = os.read(self.from_browser, 1 << 20)
            if not got:
                raise EOFError("the browser went away")
            self.buffer += got
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)


_idle: list[Browser] = []


@dataclass
class Page:
    browser: Browser
    context: str = ""
    """What it shares with its tabs and with no other page."""
    session: str = ""
    sessions: set[str] = field(default_factory=set)
    events: list[dict[str, Any]] = field(default_factory=list)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = self.browser.send(method, self.session, params)
        while True:
            answer = self._next(30)
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def wait_for(self, method: str, seconds: float = 30) -> None:
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self._next(seconds))

    def open(self, width: int, height: int) -> None:
        """Open a tab, and speak to it from now on."""
        self.session = ""
        target = self.call("Target.createTarget", url="about:blank", browserContextId=self.context)["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.sessions.add(self.session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def evaluate(self, script: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def tab(self, url: str) -> str:
        """Open another tab of the same browser and go on in it; return the session of the one before."""
        before = self.session
        self.open(1300, 900)
        self.call("Page.navigate", url=url)
        return before

    def until(self, script: str, seconds: float = 20) -> None:
        """Wait until a script gives something true; a busy machine may need a while to act on a key."""
        end = time.monotonic() + seconds
        while not self.evaluate(script):
            if time.monotonic() > end:
                raise TimeoutError(script)
            time.sleep(0.02)

    def press(self, key: str, code: int) -> None:
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=code,
                text="\r" if key == "Enter" and kind == "keyDown" else "",
            )

    def named(self, *methods: str) -> list[dict[str, Any]]:
        return [event["params"] for event in self.events if event.get("method") in methods]

    def screenshot(self, path: Path, *, full: bool = True) -> None:
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=full)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _next(self, seconds: float) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while True:
            message = self.browser.next(max(0.0, end - time.monotonic()))
            if message.get("sessionId", self.session) in {"", self.session, *self.sessions}:  # else of a page before
                return message


@contextlib.contextmanager
def open_page(path: Path | str, *, width: int = 1300, height: int = 900, dark: bool = False) -> Iterator[Page]:
    """Open a file or an address in a browser that knows nothing of others and listen from the first moment on."""
    browser = _idle.pop() if _idle else Browser()
    fine = False
    try:
        page = Page(browser)
        page.context = page.call("Target.createBrowserContext")["browserContextId"]
        page.open(width, height)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        page.call("Emulation.setEmulatedMedia", features=[scheme])
        page.call("Page.navigate", url=path if isinstance(path, str) else path.as_uri())
        page.wait_for("Page.loadEventFired")
        yield page
        page.session = ""
        page.call("Target.disposeBrowserContext", browserContextId=page.context)
        fine = True
    finally:
        if fine:
            _idle.append(browser)
        else:
            browser.close()
