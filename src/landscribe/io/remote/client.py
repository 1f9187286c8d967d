"""Reading files from servers: ranges and whole copies, tried again where that may help, refused in one line.

A redirect is followed on the same server only. Of a server that fails, cuts a body short or is busy, the rest is asked
again from where it ended, as long as the file is the same by its ETag.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, BinaryIO
from urllib.parse import urlsplit

from landscribe import __version__
from landscribe.errors import DataError, problem
from landscribe.io.remote.addresses import LOOPBACK, ask_of
from landscribe.workers import stop_if_asked

TRIES = 4
WAIT_S = 0.5
"""Before the second try; twice as long before each further one."""
MOST_WAIT_S = 20.0
"""However long a server says that one should wait."""
SILENCE_S = 30.0
CHUNK_BYTES = 1 << 18
BUSY = frozenset((408, 425, 429, 500, 502, 503, 504))
"""Answers after which it may go well."""
REDIRECTS = frozenset((301, 302, 303, 307, 308))
_SPAN = re.compile(r"bytes (\d+)-(\d+)/(\d+)", re.ASCII)


@dataclass(frozen=True)
class Facts:
    """What a server says of a file."""

    size: int
    """Bytes."""
    etag: str
    """Empty where it gives none."""


@dataclass(frozen=True)
class _Answer:
    body: IO[bytes]
    facts: Facts
    start: int
    """First byte of the body in the file."""
    length: int
    """Bytes that the body should have."""


@dataclass(frozen=True)
class _Failure:
    """A try that may go better next time."""

    what: str
    wait_s: float = 0.0


class _AgainError(Exception):
    """Carries a failure to where it is tried again."""


class _OtherServerError(Exception):
    """Carries the server that a redirect leads to."""


class _SameServer(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        here, there = urlsplit(req.full_url), urlsplit(newurl)
        if (here.scheme, here.netloc) != (there.scheme, there.netloc):
            fp.close()
            raise _OtherServerError(there.hostname or there.scheme)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def read_range(address: str, start: int, stop: int, known: Facts | None = None) -> tuple[bytes, Facts]:
    """Read the bytes of a file from `start` up to `stop`, or to its end where that comes first.

    Args:
        address: As `require_address` returned it.
        start: First byte.
        stop: The byte after the last one.
        known: What the server said of the file before.

    Raises:
        DataError: If the server refuses, has no such file, cannot be reached, knows no ranges, leads to another server,
            or the file is another one than before.
    """
    for number in range(1, TRIES + 1):
        try:
            with _asked(address, f"bytes={start}-{stop - 1}") as answer:
                _require_same(address, known, answer.facts)
                _require_range(address, answer, start, stop)
                content = answer.body.read(answer.length)
                _require_whole(len(content), answer.length)
                return content, answer.facts
        except _AgainError as again:
            _wait_or_give_up(address, again.args[0], number)
    raise AssertionError


def copy_file(address: str, file: BinaryIO, known: Facts | None = None) -> Facts:
    """Copy a whole file into one that is open and empty; errors as `read_range`, and `OSError` where it cannot hold it.

    Args:
        address: As `require_address` returned it.
        file: Open for writing.
        known: What the server said of the file before.
    """
    facts, done, failed = known, 0, 0
    while facts is None or done < facts.size:
        try:
            with _asked(address, f"bytes={done}-" if done else None) as answer:
                _require_same(address, facts, answer.facts)
                facts = answer.facts
                if answer.start != done:  # it knows no ranges: from the beginning
                    file.seek(0)
                    file.truncate()
                    done = 0
                before = done
                done += _pour(answer, file)
                failed = 0 if done - before >= CHUNK_BYTES * 4 else failed
                _require_whole(done, facts.size)
        except _AgainError as again:
            failed += 1
            _wait_or_give_up(address, again.args[0], failed)
    return facts


def _require_whole(found: int, wanted: int) -> None:
    if found < wanted:
        raise _AgainError(_Failure(f"the body was cut short: {found} of {wanted} bytes"))


def _require_range(address: str, answer: _Answer, start: int, stop: int) -> None:
    if answer.start != start or answer.length > stop - start:
        do = "serve it by one that knows them, as nginx and S3 do, or copy it to this disk"
        raise DataError(problem(address, "the server gives whole files only", need="Range requests", do=do))


def _pour(answer: _Answer, file: BinaryIO) -> int:
    poured = 0
    while poured < answer.length:
        stop_if_asked()
        try:
            chunk = answer.body.read(min(CHUNK_BYTES, answer.length - poured))
        except (http.client.HTTPException, ConnectionError, TimeoutError):
            break
        if not chunk:
            break
        file.write(chunk)
        poured += len(chunk)
    return poured


@contextlib.contextmanager
def _asked(address: str, span: str | None) -> Iterator[_Answer]:
    ask = ask_of(address, span)
    headers = {"User-Agent": f"landscribe/{__version__}", "Accept-Encoding": "identity", **ask.headers}
    request = urllib.request.Request(ask.url, headers=headers)  # noqa: S310  (the scheme was looked at)
    direct = [urllib.request.ProxyHandler({})] if urlsplit(ask.url).hostname in LOOPBACK else []
    try:
        with urllib.request.build_opener(_SameServer, *direct).open(request, timeout=SILENCE_S) as response:
            yield _read_answer(address, response)
    except _OtherServerError as error:
        do = "name the file where it is; for s3://, set AWS_REGION"
        raise DataError(problem(address, "leads to another server, which is not followed", got=error, do=do)) from None
    except urllib.error.HTTPError as error:
        error.close()
        raise _refusal(address, error) from None
    except urllib.error.URLError as error:
        raise _AgainError(_Failure(f"cannot be reached: {error.reason}")) from None
    except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
        raise _AgainError(_Failure(f"broke off: {error or type(error).__name__}")) from None


def _read_answer(address: str, response: http.client.HTTPResponse) -> _Answer:
    etag = response.headers.get("ETag", "")
    length = response.headers.get("Content-Length", "")
    if not length.isascii() or not length.isdigit():
        raise DataError(problem(address, "the server does not say how large the file is"))
    if response.status != http.HTTPStatus.PARTIAL_CONTENT:
        return _Answer(response, Facts(int(length), etag), 0, int(length))
    span = _SPAN.fullmatch(response.headers.get("Content-Range", ""))
    if span is None or int(span[2]) - int(span[1]) + 1 != int(length):
        raise DataError(problem(address, "odd answer", got=f"Content-Range {response.headers.get('Content-Range')!r}"))
    return _Answer(response, Facts(int(span[3]), etag), int(span[1]), int(length))


def _refusal(address: str, error: urllib.error.HTTPError) -> Exception:
    if error.code in BUSY:
        said = error.headers.get("Retry-After", "")
        wait_s = float(said) if said.isascii() and said.isdigit() else 0.0
        return _AgainError(_Failure(f"the server does not give it now ({error.code})", wait_s))
    if error.code in (401, 403):
        do = "s3:// takes credentials from the environment (AWS_ACCESS_KEY_ID and so on), https:// has none"
        return DataError(problem(address, f"the server refuses it ({error.code})", do=do))
    if error.code in (404, 410):
        return DataError(problem(address, f"no such file on the server ({error.code})", do="check the address"))
    if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        return DataError(problem(address, "the file is shorter than it was, or empty (416)"))
    if error.code in REDIRECTS:
        return DataError(problem(address, f"the server sends from one address to the next without end ({error.code})"))
    reason = " ".join(str(error.reason).split())[:80]
    return DataError(problem(address, f"the server answers {error.code} {reason}", do="look at it in a browser"))


def _require_same(address: str, known: Facts | None, found: Facts) -> None:
    if known is not None and known != found:
        got = f"ETag {found.etag or 'none'}, {found.size} bytes"
        need = f"ETag {known.etag or 'none'}, {known.size} bytes, as at first"
        raise DataError(problem(address, "changed on the server while it was read", got=got, need=need, do="run again"))


def _wait_or_give_up(address: str, failure: _Failure, number: int) -> None:
    if number >= TRIES:
        do = "run again later: what is done stays done"
        raise DataError(problem(address, failure.what, got=f"{number} tries", do=do))
    end = time.monotonic() + min(max(WAIT_S * 2 ** (number - 1), failure.wait_s), MOST_WAIT_S)
    while (left := end - time.monotonic()) > 0:
        stop_if_asked()
        time.sleep(min(left, 0.2))
