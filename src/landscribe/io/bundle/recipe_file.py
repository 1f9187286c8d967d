"""A whole recipe as TOML, every default in it."""

from __future__ import annotations

from typing import Any

from landscribe.core.recipe import Recipe
from landscribe.io.settings import recipe_dict
from landscribe.io.toml_text import value_text


def recipe_toml(recipe: Recipe, title: str) -> str:
    """Return the TOML of a recipe; reading it gives the same recipe.

    Args:
        recipe: The recipe.
        title: First line, without the sign of a comment.
    """
    said = _without_none(recipe_dict(recipe))
    plain = [f"{key} = {value_text(value)}" for key, value in said.items() if not isinstance(value, dict | list)]
    lines = [f"# {title}", *plain]
    for key, value in said.items():
        if isinstance(value, dict) and value:
            lines += ["", f"[{key}]", *(f"{name} = {value_text(v)}" for name, v in value.items())]
        elif isinstance(value, list):
            for row in value:
                lines += ["", f"[[{key}]]", *(f"{name} = {value_text(v)}" for name, v in row.items())]
    return "\n".join(lines) + "\n"


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    return [_without_none(inner) for inner in value] if isinstance(value, list) else value
