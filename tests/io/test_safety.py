"""The limits before every decoder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from landscribe.errors import DataError, LimitError
from landscribe.io.safety import check_claim, check_output, check_size, require_local_file
from landscribe.workers import free_memory_bytes


def test_too_large_names_the_numbers():
    with pytest.raises(LimitError, match=r"a.tif: too large to read at once, got 7 MiB, need at most 3 MiB"):
        check_size("a.tif", 7 << 20, limit_bytes=3 << 20)
    check_size("a.tif", 3 << 20, limit_bytes=3 << 20)


def test_what_no_memory_holds_is_refused_without_a_limit():
    with pytest.raises(LimitError, match="too large"):
        check_size("a.tif", 1 << 60)


def test_a_bomb_is_known_by_its_ratio(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("landscribe.io.safety.free_memory_bytes", lambda: 1 << 45)
    need = 3_600_000_000
    with pytest.raises(LimitError, match=r"unpacks to 29752 times its size.*got 3433 MiB in a file of 121000 bytes"):
        check_size("a.tif", need, file_bytes=121_000)
    check_size("a.tif", need, file_bytes=need // 20)  # an image
    check_size("a.tif", 1 << 30, file_bytes=100)  # zeros of a size that does no harm
    check_size("a.tif", need, file_bytes=121_000, limit_bytes=1 << 40)  # somebody means it


def test_a_claim_is_refused_before_any_window_is_read():
    check_claim("a.tif", 1 << 30, 100)
    check_claim("mask.tif", 40_000**2, 40_000**2 // 1_030)  # zeros as deflate packs them
    with pytest.raises(LimitError, match=r"a.tif: unpacks to 39682539 times its size"):
        check_claim("a.tif", 100_000**2, 252)
    with pytest.raises(LimitError, match=r"a.tif: unpacks to 29752 times its size"):
        check_claim("a.tif", 3_600_000_000, 121_000)
    check_claim("a.tif", 1 << 37, 1 << 30)
    with pytest.raises(LimitError):
        check_claim("a.tif", 1 << 37, 1 << 27)


def test_what_the_disk_will_not_hold_is_not_begun(tmp_path: Path):
    out = tmp_path / "not yet" / "out.tif"
    check_output(out, 1 << 26)
    with pytest.raises(LimitError, match=r"out.tif: too large for the disk, got \d+ GiB, need at most 20 times the"):
        check_output(out, 1 << 60)
    assert not out.parent.exists()


def test_free_memory_is_a_size():
    assert 0 < free_memory_bytes() < 1 << 50


def test_only_files_pass(tmp_path: Path):
    (tmp_path / "empty").touch()
    (tmp_path / "full").write_text("abc")
    os.mkfifo(tmp_path / "pipe")
    assert require_local_file(tmp_path / "full") == 3
    for name, what in {
        "none": "no such file",
        "empty": "the file is empty",
        "pipe": "not a file",
        ".": "not a file",
    }.items():
        with pytest.raises(DataError, match=what):
            require_local_file(tmp_path / name)


def test_a_remote_path_is_no_file():
    for name in ("/vsicurl/http://127.0.0.1:9/a.tif", "http://127.0.0.1:9/a.tif", "/vsizip/a.zip/b.tif"):
        with pytest.raises(DataError, match="no such file"):
            require_local_file(Path(name))
