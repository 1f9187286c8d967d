"""Ids as file names and as cells."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landscribe.io.names import escape_cell, is_formula, safe_name, unescape_cell

HARMLESS = ["6120_2_2", "OAM-619227-523266-20", "img1", "a.b", "0"]
NAUGHTY = ["", ".", "..", "../../etc/passwd", "a/b", "a\\b", "con", "NUL.txt", "-rf", "~", "a\x00b", "a\nb", "名前",
           "😀", "=cmd|' /C calc'!A0", "<script>alert(1)</script>", "a" * 300, "x.", "%s%n", "C:\\a",
           "\ud800", "\u202e", " "]  # fmt: skip


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_ids_keep_their_name(text: str):
    assert safe_name(text) == text


@pytest.mark.parametrize("text", NAUGHTY)
def test_others_become_a_slug_and_a_hash(text: str):
    name = safe_name(text)
    assert re.fullmatch(r"[A-Za-z0-9-]{1,40}~[0-9a-f]{16}", name)


def test_names_differ_where_ids_do():
    assert len({safe_name(text) for text in HARMLESS + NAUGHTY}) == len(HARMLESS + NAUGHTY)
    assert safe_name("a b") != safe_name("a-b") != safe_name("a/b")
    assert safe_name(safe_name("a b")) != safe_name("a b")  # a made name is no harmless id


@given(st.text(), st.text())
def test_no_two_ids_share_a_name(one: str, other: str):
    assert (safe_name(one) == safe_name(other)) == (one == other)


@given(st.text())
def test_names_stay_in_their_folder(text: str):
    name = safe_name(text)
    assert 0 < len(name.encode()) <= 100
    assert "/" not in name
    assert "\\" not in name
    assert not name.startswith((".", "-"))
    assert not name.endswith(".")


@given(st.text() | st.sampled_from(["=1+1", "'=1", "''=1", "-3", "@x", "+", "\t1", "it's"]))
def test_cells_come_back_and_never_start_a_formula(text: str):
    cell = escape_cell(text)
    assert unescape_cell(cell) == text
    assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r")


@pytest.mark.parametrize(("text", "expected"), [("=a", True), ("-1", True), ("a=1", False), ("", False)])
def test_formulas_are_known(text: str, expected: bool):
    assert is_formula(text) is expected
