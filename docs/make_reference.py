"""Write what the docs take from the code: python docs/make_reference.py.

commands.md from `--help`, reference.md from the public names, recipe.md from the recipe's models, score-schema.json
from the rows of a score.
"""

from __future__ import annotations

import inspect
import json
import types
import typing
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

import landscribe
from landscribe.cli.app import app
from landscribe.core import recipe
from landscribe.core.recipe import adapt, chips, data, models, mosaic, outputs, polygons, rules, scale, spectral, splits
from landscribe.core.recipe.notes import notes_of
from landscribe.core.score import areas, left_out, rows, score
from landscribe.core.score.score import score_schema

DOCS = Path(__file__).parent


def commands() -> str:
    """Return the reference of the command line."""
    group = typer.main.get_command(app)
    parts = ["# Commands", "", "Made from `--help`. Results go to stdout, everything else to stderr.", ""]
    parts += [str(app.info.epilog), ""]
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        parts += [f"## `{name}`", "", str(command.help or "").strip(), ""]
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        usage = " ".join(["[OPTIONS]", *(_label(p) if p.required else f"[{_label(p)}]" for p in arguments)])
        parts += [f"    landscribe {name} {usage}", "", "| option | meaning | default |", "| --- | --- | --- |"]
        for parameter in command.params:
            if parameter.name == "help":
                continue
            label = _label(parameter).replace("|", "\\|")
            default = (
                "" if parameter.default in (None, False) or callable(parameter.default) else f"`{parameter.default}`"
            )
            parts.append(f"| `{label}` | {getattr(parameter, 'help', '') or ''} | {default} |")
        parts.append("")
    return "\n".join(parts)


def _label(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name.upper())
    return ", ".join(parameter.opts)


GROUPS = {
    "In memory": "load_model Model ClassRaster trace burn score compare progress_bars",
    "Recipes and whole runs": "init load_recipe Recipe LoadedRecipe open_project Project run open_run Run",
    "Stages": "check stats prepare train adapt tune predict vectorize score_run submit write_report write_map pictures "
    "masks StageResult",
    "Nouns": "Grid Window Sensor Band Legend LandClass DSTL_LEGEND Scene Tracing Score",
    "Files": "open_raster write_raster read_features write_features",
    "In pixels": "burn_share burn_mask trace_pixels",
    "Submissions of DSTL": "merge vote clean Source",
    "Errors": "LandscribeError RecipeError DataError PartialError LimitError IntegrityError",
}
MEMBERS = {
    "Model": "classes legend sensors recipe notes predict polygons",
    "Project": "recipe root scenes legend",
    "Recipe": "of",
    "LoadedRecipe": "recipe root name text said",
    "Run": "root path probability features records failures",
    "Score": "mean classes scenes left_out to_json from_json",
    "Scene": "id place sensors label_files reference",
}
"""What is shown of nouns that have more than a program wants; of others all."""
REFERENCE = """# Python reference

Made from the docstrings. All names are taken from the package itself: `import landscribe as ls`, then `ls.trace`. They
are imported when they are first used. [As a library](library.md) is the way in.

Every example is run by the tests. `run` and `project` in them are those of a small world:

```python
>>> import landscribe as ls
>>> project = ls.open_project("runs/city")  # keeps its recipe
>>> run = ls.open_run("runs/city")
>>> ls.train(project, run).current  # what was up to date
['all', 'all~fold1', 'all~fold2']

```
"""


def names() -> str:
    """Return the reference of the public names.

    Raises:
        ValueError: If a name stands in no group, or one that is none.
    """
    grouped = [name for group in GROUPS.values() for name in group.split()]
    public = [name for name in landscribe.__all__ if name != "__version__"]
    if sorted(grouped) != sorted(public):
        raise ValueError(f"GROUPS: {sorted(set(grouped) ^ set(public))}")
    parts = [REFERENCE]
    for title, group in GROUPS.items():
        parts += [f"## {title}", ""]
        for name in group.split():
            home, own = landscribe.home_of(name)
            parts += [
                f"::: landscribe.{home}.{own}",
                "    options:",
                f"      heading: {name}",
                f"      toc_label: {name}",
            ]
            members = MEMBERS.get(name, "").split()
            parts += [f"      members: [{', '.join(members)}]"] if members else []
            parts += [""]
    return "\n".join(parts)


def recipes() -> str:
    """Return the reference of the recipe."""
    parts = [
        "# Recipe",
        "",
        "One TOML file says a whole run. Unknown keys are refused. Every default is written into `run.json`.",
        "Lengths and areas are metres where scenes have a CRS and pixels where they have none, unless the name or",
        "`unit` says otherwise. `--set table.key=value` overrides a setting from the command line; list items go by",
        "number, by name, or all by a star: `--set models.0.chips.batch=8`, `models.roads.chips.batch=8`,",
        "`'models.*.chips.batch=8'`. Without a value, `--set predict.patch=`, what the recipe says is taken out and",
        "the default below holds; `None` there means none.",
        "",
    ]
    for module in (data, models, chips, adapt, spectral, polygons, rules, mosaic, outputs, scale, splits, recipe):
        for table in vars(module).values():
            if isinstance(table, type) and issubclass(table, BaseModel) and table.__module__ == module.__name__:
                parts += _table(table)
    return "\n".join(parts)


def _table(table: type[BaseModel]) -> list[str]:
    title, _, rest = inspect.cleandoc(table.__doc__ or table.__name__).partition("\n")
    parts = [
        f"## {title.rstrip('.')}",
        "",
        rest.partition("\nRaises:")[0].partition("\nExamples:")[0].strip(),  # the rest is for programs
        "",
        "| key | type | default | meaning |",
        "| --- | --- | --- | --- |",
    ]
    notes = _notes(table)
    for name, field in table.model_fields.items():
        default = "" if field.default is PydanticUndefined else f"`{_say(field.default)}`"
        kind = _kind(field.annotation)
        parts.append(f"| `{field.alias or name}` | {kind} | {default} | {notes.get(name, '')} |")
    return [*parts, ""]


def _notes(table: type[BaseModel]) -> dict[str, str]:
    return {name: text.replace("|", "\\|") for name, text in notes_of(table).items()}


def _say(value: object) -> str:
    if isinstance(value, BaseModel) or (isinstance(value, tuple) and value and isinstance(value[0], BaseModel)):
        return "its own defaults"
    return (
        {True: "true", False: "false", None: "none"}.get(value, str(value))
        if isinstance(value, bool | None)
        else str(value)
    )


def _kind(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _kind(arguments[0])
    if origin is typing.Literal:
        return " \\| ".join(f"`{choice}`" for choice in arguments)
    if origin in (typing.Union, types.UnionType):
        return " \\| ".join(dict.fromkeys(_kind(argument) for argument in arguments if argument is not type(None)))
    if origin is tuple:
        return f"list of {_kind(arguments[0])}"
    if origin is dict:
        return f"table of {_kind(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "table"
    return {str: "text", int: "whole number", float: "number", bool: "true or false"}[annotation]


def scores() -> str:
    """Return the JSON schema of `score.json`, each key with what its field says of itself."""
    schema = score_schema()
    for row, shape in ((score.Score, schema), *((_row(name), shape) for name, shape in schema["$defs"].items())):
        # Versions of pydantic differ in what they take from docstrings.
        shape.pop("description", None)
        shape["description"] = " ".join((row.__doc__ or "").partition("Examples:")[0].split())
        for key, note in _notes(row).items():
            shape["properties"][key]["description"] = note
    return json.dumps(schema, indent=1) + "\n"


def _row(name: str) -> type:
    return next(getattr(module, name) for module in (areas, left_out, rows, score) if hasattr(module, name))


if __name__ == "__main__":
    (DOCS / "commands.md").write_text(commands())
    (DOCS / "recipe.md").write_text(recipes())
    (DOCS / "reference.md").write_text(names())
    (DOCS / "score-schema.json").write_text(scores())
