"""What the settings of a recipe mean, taken from where they are defined."""

from __future__ import annotations

import inspect
import re

from pydantic import BaseModel

_DOCSTRING = re.compile(r'^    """.*?"""', re.DOTALL | re.MULTILINE)
_FIELD = re.compile(r'^    (\w+):[^\n]*(?:\n(?:        [^\n]*|    \)))*\n    """(.*?)"""', re.DOTALL | re.MULTILINE)


def notes_of(table: type[BaseModel]) -> dict[str, str]:
    """Return the text below each field of a table, on one line; nothing where the package has no source."""
    try:
        source = inspect.getsource(table)
    except OSError:
        return {}
    return {name: " ".join(text.split()) for name, text in _FIELD.findall(_DOCSTRING.sub("", source, count=1))}


def short_note(text: str) -> str:
    """Return the first sentence of a note, without its full stop."""
    return re.split(r"(?<=[a-z`)0-9])\. (?=[A-Z`])", text, maxsplit=1)[0].rstrip(".")
