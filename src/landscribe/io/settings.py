"""TOML and overrides -> Recipe, with one line for each mistake and "did you mean" for unknown keys."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from landscribe.core.legend import LandClass, Legend
from landscribe.core.recipe import Recipe
from landscribe.core.recipe.mistakes import fields_at
from landscribe.core.recipe.shown import show_recipe
from landscribe.core.seal import unseal
from landscribe.errors import DataError, RecipeError, problem

MAX_RECIPE_BYTES = 1_000_000
RUN_FILE = "run.json"
"""What a run folder says of itself: the recipe, the data, versions, seconds."""
SOURCE_TREE = Path(__file__).parents[3]
"""The repository, where the package runs from one."""


@dataclass(frozen=True)
class LoadedRecipe:
    """A recipe and where it came from.

    Examples:
        >>> import landscribe as ls
        >>> ls.load_recipe("default").name
        'default'
    """

    recipe: Recipe
    folder: Path
    """A relative `[data].root` starts here."""
    name: str
    """File name, for messages."""
    text: str
    """The TOML as it was written."""
    found: Path | None = None
    """Where the data were when the recipe was first read, if it comes from a run."""
    images: tuple[Path, ...] = ()
    """Images that were given one by one in place of patterns."""
    said: tuple[str, ...] = ()
    """What was taken for what where nobody said it, if it was written for a folder."""

    @property
    def root(self) -> Path:
        """Folder that relative data paths start from."""
        return self.found or (self.folder / self.recipe.data.root).resolve()

    def _repr_html_(self) -> str:
        return show_recipe(self.recipe, f"Recipe {self.name}", [f"data in {self.root}", *self.said])


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> LoadedRecipe:
    """Read a recipe file, or a built-in recipe by its name, and apply overrides.

    Args:
        path: A TOML file, or a name such as ``default`` or ``dstl-lopuhin``.
        overrides: ``table.key=value`` each; the value in TOML, or a bare word; list items by number, by name, or all
            by ``*``: ``models.all.schedule.epochs=3``. Without a value, ``table.key=``, what the recipe says there is
            taken out and the default holds.

    Raises:
        RecipeError: If the file is missing, is no TOML, or says something the recipe does not know.

    Examples:
        >>> import landscribe as ls
        >>> loaded = ls.load_recipe("default", ["models.*.schedule.epochs=3", "seed=7"])
        >>> loaded.recipe.seed
        7
        >>> ls.load_recipe("default", ["sede=7"])
        Traceback (most recent call last):
        landscribe.errors.RecipeError: default: unknown key 'sede', did you mean 'seed'?
    """
    file, text = _read_text(path)
    folder = file.parent.resolve() if file else Path.cwd()
    return parse_recipe(text, folder, str(path), overrides)


def parse_recipe(text: str, folder: Path, name: str, overrides: Sequence[str] = ()) -> LoadedRecipe:
    """Read the text of a recipe.

    Args:
        text: TOML.
        folder: Where a relative `[data].root` starts from.
        name: Of the file, for messages.
        overrides: As in `load_recipe`.

    Raises:
        RecipeError: If it is no TOML, or says something the recipe does not know.
    """
    try:
        table = tomllib.loads(text)
    except ValueError as error:  # a number of thousands of digits is one that TOML's own error does not cover
        raise RecipeError(problem(name, f"not valid TOML: {error}")) from None
    except RecursionError:
        raise RecipeError(problem(name, "nested too deeply")) from None
    for override in overrides:
        _override(table, override)
    return LoadedRecipe(Recipe.of(table, name), folder, Path(name).name, text)


def recipe_of_run(folder: Path, overrides: Sequence[str] = ()) -> LoadedRecipe:
    """Return the recipe that a run was made from, as its `run.json` holds it, with overrides applied.

    Args:
        folder: A run folder.
        overrides: As in `load_recipe`.

    Raises:
        RecipeError: If the folder holds no run that says its recipe.
    """
    file = folder / RUN_FILE
    try:
        said = unseal(file.read_bytes(), str(file), do="give the recipe and --run", sealed=False)
        table, name, text, root = said["recipe"], said["recipe_name"], said["recipe_text"], Path(said["data_root"])
        images = tuple(Path(path) for path in said.get("images", ()))
        home = Path(said.get("recipe_folder", root))
    except (OSError, ValueError, KeyError, TypeError):
        need = "a TOML file, or a run folder with its run.json"
        raise RecipeError(problem(str(folder), "a folder, not a recipe", need=need)) from None
    for override in overrides:
        _override(table, override)
    moved = any(override.partition("=")[0].strip() == "data.root" for override in overrides)
    loaded = LoadedRecipe(Recipe.of(table, name), home, name, text, images=images)
    # A root that was moved is one that somebody has just typed here.
    return replace(loaded, found=(Path.cwd() / loaded.recipe.data.root).resolve() if moved else root)


def read_run_facts(folder: Path) -> dict[str, Any]:
    """Return what `run.json` of a run folder says.

    Raises:
        DataError: If there is none.
        IntegrityError: If it was changed.
    """
    file = folder / RUN_FILE
    if not folder.is_dir():
        what = "is a file, and no run folder" if folder.is_file() else "there is no such run folder"
        raise DataError(problem(str(folder), what))
    if not file.is_file():
        raise DataError(problem(str(folder), f"no {RUN_FILE}", do="run `landscribe run` to its end first"))
    return unseal(file.read_bytes(), str(file), do="delete it; `landscribe run` writes it again", sealed=False)


def legend_of_run(facts: Mapping[str, Any], where: str) -> Legend:
    """Return the classes of a run in band order.

    Raises:
        DataError: If its `run.json` names none.
    """
    try:
        return Legend(tuple(LandClass(int(c["id"]), c["name"], c["colour"]) for c in facts["classes"]))
    except (KeyError, TypeError, ValueError):
        raise DataError(problem(where, f"{RUN_FILE} names no classes", do="run `landscribe run` again")) from None


def make_recipe(table: dict[str, Any], name: str, overrides: Sequence[str] = ()) -> LoadedRecipe:
    """Return a recipe that nobody wrote.

    Args:
        table: What it says, as TOML would.
        name: What it is called in messages and reports.
        overrides: As in `load_recipe`.

    Raises:
        RecipeError: If it says something that a recipe does not know.
    """
    for override in overrides:
        _override(table, override)
    return LoadedRecipe(Recipe.of(table, name), Path.cwd(), name, json.dumps(table, indent=1))


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
            return file, file.read_text(encoding="utf-8-sig")  # Windows' editors begin with a mark
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
    path = tuple(key.strip().split("."))
    for here, last in _places(table, path, override):
        if not value_text.strip():
            _take_out(here, (*path[:-1], last), override)
        else:
            here[last] = _value(value_text)


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text.strip()


def _places(table: dict[str, Any], path: tuple[str, ...], override: str) -> list[tuple[Any, Any]]:
    """Return the tables or lists that an override changes, each with the key or number that it changes there.

    A table that is not there yet is made. Items of a list go by number, by their `name`, or all of them by `*`.
    """
    here: list[Any] = [table]
    for depth, parent in enumerate(path[:-1]):
        inner: list[Any] = []
        for one in here:
            if isinstance(one, list):
                inner += [one[k] for k in _positions(one, parent, override)]
            else:
                inner.append(one.setdefault(parent, _default_items(path[: depth + 1])))
            if not isinstance(inner[-1], dict | list):
                raise RecipeError(problem("--set", f"{parent!r} is a value, not a table", got=repr(override)))
        here = inner
    last = path[-1]
    keys = [(one, _positions(one, last, override) if isinstance(one, list) else [last]) for one in here]
    return [(one, key) for one, found in keys for key in found]


def _default_items(path: tuple[str, ...]) -> dict[str, Any] | list[Any]:
    """Return what stands for a table or list that a recipe does not spell out: `[[models]]` has one row then."""
    default = Recipe.model_fields[path[0]].default if len(path) == 1 and path[0] in Recipe.model_fields else None
    return [{"name": row.name} for row in default if hasattr(row, "name")] if isinstance(default, tuple) else {}


def _take_out(here: Any, path: tuple[str, ...], override: str) -> None:
    if isinstance(here, list):
        raise RecipeError(problem("--set", "an item of a list needs a value", got=repr(override)))
    named = tuple(0 if _goes_into_list(path[:k]) else part for k, part in enumerate(path[:-1]))
    if path[-1] not in here and path[-1] not in fields_at(Recipe, named):
        raise RecipeError(problem("--set", f"no setting {path[-1]!r} to take out", got=repr(override)))
    here.pop(path[-1], None)


def _goes_into_list(path: tuple[str, ...]) -> bool:
    return len(path) == 1 and path[0] in Recipe.model_fields and isinstance(Recipe.model_fields[path[0]].default, tuple)


def _positions(items: list[Any], text: str, override: str) -> list[int]:
    """Return which items of a list are meant: by number, by name, or all."""
    if text == "*" and items:
        return list(range(len(items)))
    named = [k for k, item in enumerate(items) if isinstance(item, dict) and item.get("name") == text]
    if named:
        return named
    if text.isdigit() and int(text) < len(items):
        return [int(text)]
    names = [str(item["name"]) for item in items if isinstance(item, dict) and "name" in item]
    need = f"a number from 0 to {len(items) - 1}" if items else "a list with items"
    need += f", a name of {', '.join(names)}, or *" if names else ""
    raise RecipeError(problem("--set", "no such item", got=repr(override), need=need))
