"""How a recipe looks in a notebook."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel

from landscribe.core.shown import box, folded, lines, table

LONGEST = 100
"""Characters of a value that are shown."""


def show_recipe(recipe: BaseModel, title: str, notes: Sequence[str] = ()) -> str:
    """Return what a recipe says besides the defaults as a table, and all of it below a title to click."""
    said = recipe.model_dump(mode="json", by_alias=True, exclude_unset=True)
    every = recipe.model_dump(mode="json", by_alias=True)
    rows = [[key, _short(value)] for key, value in _settings(said)]
    text = json.dumps(every, indent=1, ensure_ascii=False)
    return box(title, lines(list(notes)), table(["setting", "value"], rows, text=2), folded("all settings", text))


def _settings(values: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the settings of nested tables by the keys that overrides have."""
    if isinstance(values, dict) and values:
        pairs = [(str(key), value) for key, value in values.items()]
    elif isinstance(values, list) and values and all(isinstance(one, dict) for one in values):
        pairs = [(str(one.get("name", number)), one) for number, one in enumerate(values)]
    else:
        yield above, values
        return
    for key, value in pairs:
        yield from _settings(value, f"{above}.{key}" if above else key)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
