"""Addresses that a recipe may name, and what is asked of which server for them.

Credentials come from the environment only: `s3://` takes AWS's variables, `https://` none. An address that holds a
name, a password or a query is refused, since recipes and records are kept and shown.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from landscribe.errors import RecipeError, problem

SCHEMES = ("https", "s3")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Servers on this machine may be asked without TLS."""
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class Ask:
    """A request: where, with which headers."""

    url: str
    headers: Mapping[str, str]


def is_address(text: str) -> bool:
    """Tell whether a path of a recipe is an address on a server."""
    return "://" in text


def require_address(text: str, where: str) -> str:
    """Return an address that may be asked.

    Raises:
        RecipeError: If it is of another scheme, names no server or file, or holds what may be a secret.
    """
    parts = urlsplit(text)
    loopback = parts.scheme == "http" and parts.hostname in LOOPBACK
    if parts.scheme not in SCHEMES and not loopback:
        raise RecipeError(problem(where, "unknown kind of address", got=parts.scheme + "://", need="https:// or s3://"))
    if parts.username or parts.password or "@" in parts.netloc:
        do = "take it out; s3:// reads AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY from the environment"
        raise RecipeError(problem(where, "an address with a name or a password in it", got=parts.hostname, do=do))
    if parts.query or parts.fragment:
        do = "take a plain address: a query may hold a secret, and recipes and records are kept"
        raise RecipeError(problem(where, "an address with a query", got=f"{parts.scheme}://{parts.hostname}", do=do))
    if not parts.hostname or not parts.path.strip("/"):
        raise RecipeError(problem(where, "an address without a server or a file", got=text))
    if any(part in (".", "..") for part in parts.path.split("/")):
        raise RecipeError(problem(where, "an address that climbs", got=text))
    return text


def ask_of(address: str, span: str | None, now: datetime | None = None) -> Ask:
    """Return the request for an address.

    Args:
        address: As `require_address` returned it.
        span: Value of the header `Range`; None asks for all.
        now: For the signature.
    """
    headers = {} if span is None else {"Range": span}
    parts = urlsplit(address)
    if parts.scheme != "s3":
        return Ask(parts._replace(path=quote(parts.path, safe="/%+:@,;=~!$&'()*")).geturl(), headers)
    bucket, key = parts.netloc, quote(parts.path.lstrip("/"), safe="/~")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        url = f"{endpoint.rstrip('/')}/{bucket}/{key}"
        ours = urlsplit(url)
        if ours.scheme != "https" and ours.hostname not in LOOPBACK:
            raise RecipeError(problem("AWS_ENDPOINT_URL", "sends credentials in the clear", got=endpoint, need="https"))
    else:
        url = f"https://{bucket}.s3.{region}.amazonaws.com/{key}"
    if os.environ.get("AWS_REQUEST_PAYER") == "requester":
        headers["x-amz-request-payer"] = "requester"
    if os.environ.get("AWS_ACCESS_KEY_ID") and os.environ.get("AWS_NO_SIGN_REQUEST", "").upper() != "YES":
        headers = signed(url, headers, region, now or datetime.now(UTC))
    return Ask(url, headers)


def signed(url: str, headers: Mapping[str, str], region: str, now: datetime) -> dict[str, str]:
    """Return headers with AWS's signature, version 4, of a GET without a body, by the keys of the environment."""
    parts, when = urlsplit(url), now.strftime("%Y%m%dT%H%M%SZ")
    own = {**headers, "x-amz-content-sha256": EMPTY_SHA256, "x-amz-date": when}
    token = os.environ.get("AWS_SESSION_TOKEN")
    if token:
        own["x-amz-security-token"] = token
    lower = {name.lower(): value.strip() for name, value in {**own, "host": parts.netloc}.items()}
    names = ";".join(sorted(lower))
    lines = "".join(f"{name}:{lower[name]}\n" for name in sorted(lower))
    canonical = "\n".join(["GET", parts.path, "", lines, names, EMPTY_SHA256])
    scope = f"{when[:8]}/{region}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", when, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + os.environ.get("AWS_SECRET_ACCESS_KEY", "")).encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    who = f"Credential={os.environ['AWS_ACCESS_KEY_ID']}/{scope}"
    return {**own, "Authorization": f"AWS4-HMAC-SHA256 {who},SignedHeaders={names},Signature={signature}"}
