"""Ids become file names and table cells: neither may do more than name something."""

from __future__ import annotations

import hashlib
import re
import unicodedata

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "'")


def safe_name(text: str) -> str:
    """Return a file name without suffix for an id: the id itself where it is harmless, else a slug and a hash.

    Harmless is up to 80 ASCII letters, digits, `_`, `.` and `-`, beginning with a letter or digit, not ending with
    `.`, and no device name of Windows. Two ids never share a name, except that ids which differ in nothing but case
    do on a file system that ignores case.

    Args:
        text: Any string, the empty one included.
    """
    if _SAFE.fullmatch(text) and not text.endswith(".") and not _RESERVED.fullmatch(text):
        return text
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    slug = re.sub(r"[^A-Za-z0-9]+", "-", plain).strip("-")[:40].strip("-")
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{slug or 'id'}~{digest}"


def escape_cell(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula; `unescape_cell` is the inverse."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def unescape_cell(text: str) -> str:
    """Return the text that `escape_cell` was given."""
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULA_STARTS) else text


def is_formula(text: str) -> bool:
    """Say whether a spreadsheet could take the text for a formula."""
    return text.startswith(_FORMULA_STARTS)
