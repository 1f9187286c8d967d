"""Who may ask: the browser that was opened with the token, on this machine, by a page of ours."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

HEADER = "x-landscribe-token"
NAMES = ("127.0.0.1", "localhost")
TOKEN_BYTES = 24
FOREIGN = "this is no address of this server\n"
UNKNOWN = "open the address that `landscribe view` printed: it holds a token that this request lacks\n"
Refused = tuple[bytes, str, int, Mapping[str, str]]
"""Body, type, status, headers."""


@dataclass(frozen=True)
class Guard:
    """The secrets of one start.

    The cookie goes with every request of the browser, also one that another page of this machine makes it send; so
    what changes something also has to bring the token, which only our page knows.
    """

    token: str = field(default_factory=lambda: secrets.token_urlsafe(TOKEN_BYTES), repr=False)
    cookie: str = field(default_factory=lambda: secrets.token_urlsafe(TOKEN_BYTES), repr=False)

    def address(self, port: int) -> str:
        """Return what is opened in the browser."""
        return f"http://{NAMES[0]}:{port}/?token={self.token}"

    def refusal(self, method: str, path: str, headers: Mapping[str, str], port: int) -> Refused | None:
        """Return why a request is not answered, or the answer that swaps the token in the address for a cookie.

        Args:
            method: GET, HEAD or POST.
            path: With its query.
            headers: Of the request.
            port: Of this server.
        """
        headers = {name.lower(): text for name, text in headers.items()}
        # A name of another host that leads here (DNS rebinding) would make its pages of one origin with ours.
        hosts = [f"{name}:{port}" for name in NAMES]
        if headers.get("host", "").lower() not in hosts:
            return _no(HTTPStatus.MISDIRECTED_REQUEST, FOREIGN)
        origin = headers.get("origin")
        if origin is not None and origin.lower() not in [f"http://{host}" for host in hosts]:
            return _no(HTTPStatus.FORBIDDEN, "a page of another origin may not ask here\n")
        begins = method == "GET" and urlsplit(path).path == "/"
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none") and not begins:
            return _no(HTTPStatus.FORBIDDEN, "a page of another origin may not ask here\n")
        brought = parse_qs(urlsplit(path).query).get("token", [""])[0]
        if begins and brought:
            if not _same(brought, self.token):
                return _no(HTTPStatus.FORBIDDEN, UNKNOWN)
            # The token leaves the address, and with it the history and what is copied from the line.
            cookie = f"{_cookie_name(port)}={self.cookie}; Path=/; HttpOnly; SameSite=Strict"
            return b"", "text/plain", HTTPStatus.SEE_OTHER, {"Location": "/", "Set-Cookie": cookie}
        told = headers.get(HEADER, "")
        if told:
            return None if _same(told, self.token) else _no(HTTPStatus.FORBIDDEN, UNKNOWN)
        if method == "POST" or not _same(_cookie(headers.get("cookie", ""), port), self.cookie):
            return _no(HTTPStatus.FORBIDDEN, UNKNOWN)
        return None


def _no(status: int, text: str) -> Refused:
    return text.encode(), "text/plain; charset=utf-8", status, {}


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode())


def _cookie_name(port: int) -> str:
    # Cookies of 127.0.0.1 go to all its ports.
    return f"landscribe-{port}"


def _cookie(text: str, port: int) -> str:
    pairs = (part.strip().partition("=") for part in text.split(";"))
    return next((value for name, _, value in pairs if name == _cookie_name(port)), "")
