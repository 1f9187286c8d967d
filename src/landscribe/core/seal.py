"""JSON that tells whether a byte of it was changed: its last value is the SHA-256 of all the rest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from landscribe.errors import IntegrityError, problem

SEAL = "seal"
_OPEN = "0" * 64
"""What stands in the seal's place while it is computed."""


def seal(values: Mapping[str, Any], *, allow_nan: bool = True) -> str:
    """Return an object as JSON text with a seal; NaN is written as JavaScript does, or refused."""
    text = json.dumps({**values, SEAL: _OPEN}, indent=1, ensure_ascii=False, allow_nan=allow_nan) + "\n"
    before, _, after = text.rpartition(_OPEN)
    return before + hashlib.sha256(text.encode("utf-8")).hexdigest() + after


def seal_pieces(pieces: Iterable[str]) -> Iterator[str]:
    """Return a long object as pieces of JSON text with a seal.

    Args:
        pieces: Of the text, from the opening brace on; the last one ends with a comma, and the object is left open.
    """
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece.encode("utf-8"))
        yield piece
    end = f'\n "{SEAL}": "{_OPEN}"\n}}\n'
    digest.update(end.encode("utf-8"))
    yield end.replace(_OPEN, digest.hexdigest())


def unseal(content: bytes, where: str, *, do: str, sealed: bool | None = None, trusted: bool = False) -> dict[str, Any]:
    """Return the object of a sealed JSON text, without its seal.

    Args:
        content: The text.
        where: Name of the file, for errors.
        do: What the user can do about it.
        sealed: Whether there has to be a seal; None where what an older version wrote is taken without one, which
            its `format`, 1 or none, says.
        trusted: Take it though the seal is broken.

    Raises:
        IntegrityError: If it is no JSON object, or a byte of it was changed.
    """
    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(problem(where, "damaged", got=type(error).__name__, do=do)) from None
    if not isinstance(values, dict):
        raise IntegrityError(problem(where, "damaged", got=type(values).__name__, do=do))
    own = values.pop(SEAL, None)
    wanted = values.get("format", 1) != 1 if sealed is None else sealed
    if trusted or (own is None and not wanted):
        return values
    if own is None or own != _digest(content, str(own)):
        raise IntegrityError(problem(where, "was changed since it was written", got="a broken seal", do=do))
    return values


def _digest(content: bytes, own: str) -> str:
    before, found, after = content.rpartition(own.encode("utf-8"))
    return hashlib.sha256(before + _OPEN.encode() + after).hexdigest() if found and own else ""
