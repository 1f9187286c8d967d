"""Files on servers: tried again where that helps, refused in one line where it does not."""

from __future__ import annotations

import io
import socket
from datetime import UTC, datetime

import numpy as np
import pytest

from landscribe.errors import DataError, RecipeError
from landscribe.io.remote import client
from landscribe.io.remote.addresses import ask_of, require_address, signed
from landscribe.io.remote.client import copy_file, read_range
from range_server import Server, range_server

CONTENT = np.random.default_rng(3).bytes(3_000_017)


@pytest.fixture
def file(server: Server) -> str:
    (server.folder / "a.tif").write_bytes(CONTENT)
    return server.of("a.tif")


def copied(address: str) -> bytes:
    target = io.BytesIO()
    copy_file(address, target)
    return target.getvalue()


def test_ranges_and_copies_are_the_file(server: Server, file: str) -> None:
    content, facts = read_range(file, 7, 1009)
    assert (content, facts.size) == (CONTENT[7:1009], len(CONTENT))
    assert read_range(file, len(CONTENT) - 5, len(CONTENT) + 100)[0] == CONTENT[-5:]
    assert copied(file) == CONTENT
    assert server.asked["a.tif"] == 3


def test_a_busy_server_is_asked_again(server: Server, file: str) -> None:
    server.busy = 2
    assert copied(file) == CONTENT
    assert server.asked["a.tif"] == 3
    server.busy = 99
    with pytest.raises(DataError, match=r"a\.tif: the server does not give it now \(503\), got 4 tries; run again"):
        copied(file)
    with pytest.raises(DataError, match="503"):
        read_range(file, 0, 9)


def test_a_body_that_is_cut_short_goes_on_where_it_ended(server: Server, file: str) -> None:
    server.cut["a.tif"] = 1_100_003
    assert copied(file) == CONTENT
    assert server.asked["a.tif"] == 3
    assert server.sent["a.tif"] < 2 * len(CONTENT) + 1_000_000  # what came was not asked for again
    server.cut["a.tif"] = 11
    with pytest.raises(DataError, match=r"a\.tif: the body was cut short: 44 of 3000017 bytes, got 4 tries"):
        copied(file)


def test_a_server_without_ranges_gives_all_of_it_anew(server: Server, file: str) -> None:
    server.ranges = False
    assert copied(file) == CONTENT
    with pytest.raises(DataError, match="whole files only, need Range requests"):
        read_range(file, 5, 10)


def test_a_file_that_changes_meanwhile_is_not_mixed(server: Server, file: str) -> None:
    server.cut["a.tif"], server.changing = 1_100_003, {"a.tif"}
    with pytest.raises(DataError, match="changed on the server while it was read"):
        copied(file)


@pytest.mark.parametrize(
    ("code", "words"),
    [(403, "refuses it \\(403\\)"), (401, "refuses it \\(401\\)"), (404, "no such file on the server \\(404\\)"),
     (410, "no such file"), (418, "answers 418")],
)  # fmt: skip
def test_a_refusal_is_one_line_and_asked_once(server: Server, file: str, code: int, words: str) -> None:
    server.codes["a.tif"] = code
    with pytest.raises(DataError, match=rf"^http://127\S+/a\.tif: .*{words}") as caught:
        copied(file)
    assert "\n" not in str(caught.value)
    assert server.asked["a.tif"] == 1


def test_a_redirect_to_another_server_is_not_followed(server: Server, file: str) -> None:
    (server.folder / "other").mkdir()
    with range_server(server.folder / "other") as elsewhere:
        (elsewhere.folder / "a.tif").write_bytes(CONTENT)
        server.away["here.tif"], server.away["there.tif"] = file, elsewhere.of("a.tif")
        assert copied(server.of("here.tif")) == CONTENT
        with pytest.raises(DataError, match=r"there\.tif: leads to another server, which is not followed"):
            copied(server.of("there.tif"))
        assert not elsewhere.asked


def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/a.tif"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "WAIT_S", 0.01)
        with pytest.raises(DataError, match=r"cannot be reached: .*refused.*, got 4 tries"):
            copied(address)


@pytest.mark.parametrize(
    ("text", "words"),
    [("ftp://h/a.tif", "unknown kind"), ("http://example.org/a.tif", "unknown kind"), ("file:///etc/passwd", "unknown"),
     ("https://me:hunter2@h/a.tif", "a name or a password"), ("https://h/a.tif?sig=hunter2", "with a query"),
     ("https:///a.tif", "without a server"), ("https://h/", "without a server"), ("https://h/../a.tif", "climbs"),
     ("s3://bucket", "without a server or a file")],
)  # fmt: skip
def test_odd_addresses_are_refused_and_no_secret_is_said(text: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words) as caught:
        require_address(text, "[data].sensors.RGB.path")
    assert "hunter2" not in str(caught.value)


def test_an_address_of_a_bucket_is_signed_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    when = datetime(2013, 5, 24, tzinfo=UTC)
    # The example of a GET that Amazon publishes for its signature, version 4.
    headers = signed("https://examplebucket.s3.amazonaws.com/test.txt", {"Range": "bytes=0-9"}, "us-east-1", when)
    signature = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    assert headers["Authorization"].endswith(f"Signature={signature}")
    ask = ask_of("s3://bucket/a b/c.tif", None, when)
    assert ask.url == "https://bucket.s3.eu-central-1.amazonaws.com/a%20b/c.tif"
    monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "YES")
    assert "Authorization" not in ask_of("s3://bucket/c.tif", None).headers
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://example.org")
    with pytest.raises(RecipeError, match="in the clear"):
        ask_of("s3://bucket/c.tif", None)
