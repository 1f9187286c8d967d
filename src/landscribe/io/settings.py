"""TOML and overrides -> Recipe, with one line for each mistake and "did you mean" for unknown keys."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from landscribe.core.recipe import Recipe
from landscribe.errors import RecipeError, problem

MAX_RECIPE_BYTES = 1_000_000
SOURCE_TREE = Path(__file__).parents[3]
"""The repository, where the package runs from one."""


@dataclass(frozen=True)
class LoadedRecipe:
    """A recipe and where it came from."""

    recipe: Recipe
    folder: Path
    """A relative `[data].root` starts here."""
    name: str
    """File name, for messages."""
    text: str
    """The TOML as it was written."""

    @property
    def root(self) -> Path:
        """Folder that relative data paths start from."""
        return (self.folder / self.recipe.data.root).resolve()


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> LoadedRecipe:
    """Read a recipe file, or a built-in recipe by its name, and apply overrides.

    Args:
        path: A TOML file, or a name such as ``default`` or ``dstl-lopuhin``.
        overrides: ``table.key=value`` each; the value in TOML, or a bare word; list items by number. Without a value,
            ``table.key=``, what the recipe says there is taken out and the default holds.

    Raises:
        RecipeError: If the file is missing, is no TOML, or says something the recipe does not know.
    """
    file, text = _read_text(path)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(problem(str(path), f"not valid TOML: {error}")) from None
    for override in overrides:
        _override(table, override)
    folder = file.parent.resolve() if file else Path.cwd()
    return LoadedRecipe(_validate(table, str(path)), folder, Path(path).name, text)


def builtin_recipes() -> list[str]:
    """Return the names of the recipes that come with the package."""
    return sorted(_builtin())


def _builtin() -> dict[str, Any]:
    # The recipes of the reference methods lie in the repository's own folder, where people look for them; an installed
    # package has them beside the others.
    folders = [resources.files("landscribe") / "recipes", SOURCE_TREE / "recipes"]
    found = [item for folder in folders if folder.is_dir() for item in folder.iterdir()]
    return {item.name.removesuffix(".toml"): item for item in found if item.name.endswith(".toml")}


def recipe_dict(recipe: Recipe) -> dict[str, Any]:
    """Return the whole recipe, defaults included, as plain JSON values."""
    values: dict[str, Any] = recipe.model_dump(mode="json", by_alias=True)
    return values


def _read_text(path: str | Path) -> tuple[Path | None, str]:
    file = Path(path)
    if file.is_file():
        if file.stat().st_size > MAX_RECIPE_BYTES:
            raise RecipeError(
                problem(str(path), "too large for a recipe", got=f"{file.stat().st_size} bytes", need=MAX_RECIPE_BYTES)
            )
        try:
            return file, file.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise RecipeError(problem(str(path), f"not UTF-8 text: {error.reason} at byte {error.start}")) from None
    if str(path) in builtin_recipes():
        return None, _builtin()[str(path)].read_text(encoding="utf-8")
    raise RecipeError(
        problem(str(path), "no such recipe", need="a TOML file, or one of " + ", ".join(builtin_recipes()))
    )


def _override(table: dict[str, Any], override: str) -> None:
    key, equals, value_text = override.partition("=")
    if not equals or not key.strip():
        raise RecipeError(problem("--set", "not an override", got=repr(override), need="table.key=value"))
    *parents, last = key.strip().split(".")
    here: Any = table
    for parent in parents:
        here = here[_position(here, parent, override)] if isinstance(here, list) else here.setdefault(parent, {})
        if not isinstance(here, dict | list):
            raise RecipeError(problem("--set", f"{parent!r} is a value, not a table", got=repr(override)))
    if not value_text.strip():
        _take_out(here, (*parents, last), override)
        return
    try:
        value = tomllib.loads(f"value = {value_text}")["value"]
    except tomllib.TOMLDecodeError:
        value = value_text.strip()
    if isinstance(here, list):
        here[_position(here, last, override)] = value
    else:
        here[last] = value


def _take_out(here: Any, path: tuple[str, ...], override: str) -> None:
    if isinstance(here, list):
        raise RecipeError(problem("--set", "an item of a list needs a value", got=repr(override)))
    named = tuple(int(part) if part.isdigit() else part for part in path[:-1])
    if path[-1] not in here and path[-1] not in _fields_at(named):
        raise RecipeError(problem("--set", f"no setting {path[-1]!r} to take out", got=repr(override)))
    here.pop(path[-1], None)


def _position(items: list[Any], text: str, override: str) -> int:
    if not text.isdigit() or int(text) >= len(items):
        need = f"a number from 0 to {len(items) - 1}" if items else "a list with items"
        raise RecipeError(problem("--set", "no such item", got=repr(override), need=need))
    return int(text)


def _validate(table: dict[str, Any], name: str) -> Recipe:
    try:
        # Through JSON, since strict models take lists for tuples there and nothing else that TOML can say.
        return Recipe.model_validate_json(json.dumps(table))
    except TypeError:
        raise RecipeError(problem(name, "holds a date or time; no setting is one")) from None
    except ValidationError as errors:
        lines = [_explain(error) for error in errors.errors(include_url=False)]
        raise RecipeError(problem(name, "; ".join(dict.fromkeys(lines)))) from None


def _explain(error: Any) -> str:
    location = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        known = _fields_at(error["loc"][:-1])
        close = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known here: {', '.join(known)}"
        return f"unknown key {location!r}, {hint}"
    if error["type"] == "missing":
        return f"{location!r} is missing"
    return f"{location!r}: {error['msg'].lower()}, got {error['input']!r}"


def _fields_at(location: tuple[int | str, ...]) -> list[str]:
    here: Any = Recipe
    for part in location:
        if isinstance(part, int):
            continue
        if isinstance(here, type) and issubclass(here, BaseModel):
            named = {(field.alias or key): field.annotation for key, field in here.model_fields.items()}
            here = _model_in(named.get(str(part)))
    if isinstance(here, type) and issubclass(here, BaseModel):
        return [field.alias or key for key, field in here.model_fields.items()]
    return []


def _model_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in get_args(annotation):
        found = _model_in(inner)
        if found is not None:
            return found
    return None
