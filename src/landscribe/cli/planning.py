"""`plan`: settings that follow from the data, and what a run takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from landscribe.cli.console import reporting, say, tell, tell_json
from landscribe.cli.flow import JsonOption, open_recipe
from landscribe.cli.results import tell_costs
from landscribe.cli.submissions import RecipeArgument, SetOption
from landscribe.errors import LandscribeError, RecipeError, problem

if TYPE_CHECKING:
    from landscribe.stages.plan import Plan

MINUTES = 20.0
MinutesOption = Annotated[float, typer.Option("--minutes", help="That the whole run may take on this machine.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("plan")(plan)


def plan(
    recipe: RecipeArgument,
    minutes: MinutesOption = MINUTES,
    write: Annotated[
        bool, typer.Option("--write", help="Put the settings into the recipe; its comments and all else stay.")
    ] = False,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Choose the settings of a recipe's networks from labels, imagery, machine and minutes, each with its reason."""
    file = Path(recipe)
    if write and not file.is_file():
        raise RecipeError(problem(recipe, "is no file to write to", need="a TOML recipe", do="leave --write out"))
    found = make_plan(recipe, minutes, overrides)
    if as_json:
        tell_json(plan_as_json(found))
    else:
        for line in plan_lines(found):
            tell(line)
        tell_costs(found)
    if write:
        write_plan(file, found)
        say(f"written into {recipe}")
    elif file.is_file() and not as_json:
        say(f"nothing is written; landscribe plan {recipe} --minutes {minutes:g} --write puts these into it")


def make_plan(recipe: str, minutes: float, overrides: list[str] | None = None) -> Plan:
    """Make the plan of a recipe."""
    from landscribe.stages.plan import plan as choose

    with reporting() as progress:
        return choose(open_recipe(recipe, overrides), minutes, progress)


def plan_lines(found: Plan) -> list[str]:
    """Return a line for each choice, or for several with one reason: settings as `--set` takes them, and why."""
    from landscribe.io.toml_text import value_text

    lines: dict[str, list[str]] = {}
    for choice in found.choices:
        lines.setdefault(choice.why, []).append(f"{choice.name} = {value_text(choice.value)}")
    return [f"{', '.join(settings)}: {why}" for why, settings in lines.items()]


def plan_as_json(found: Plan) -> dict[str, object]:
    """Return a plan as JSON values."""
    choices = [{"setting": choice.name, "value": choice.value, "because": choice.why} for choice in found.choices]
    costs = [
        {
            "model": cost.name,
            "networks": cost.networks,
            "steps": cost.steps,
            "step_s": round(cost.pace.step_s, 4),
            "train_s": round(cost.train_s),
            "predict_s": round(cost.predict_s),
            "memory_bytes": round(cost.memory_bytes),
        }
        for cost in found.costs
    ]
    return {"choices": choices, "costs": costs, "notes": list(found.notes)}


def write_plan(file: Path, found: Plan) -> None:
    """Put the settings of a plan into a recipe.

    Raises:
        RecipeError: If they cannot be put in; the file is then as it was.
    """
    from landscribe.io.atomic import write_text
    from landscribe.io.settings import parse_recipe
    from landscribe.io.toml_text import put_settings

    text = put_settings(
        file.read_text(encoding="utf-8"), [(choice.key, choice.value) for choice in found.choices], str(file)
    )
    parse_recipe(text, file.parent.resolve(), str(file))
    write_text(file, text)


def plan_new(file: Path, minutes: float) -> None:
    """Plan a recipe that was just written, and write the plan into it; where that cannot be, say why and go on."""
    try:
        found = make_plan(str(file), minutes)
        write_plan(file, found)
    except LandscribeError as error:
        say(f"no plan, all settings are defaults: {error}")
        return
    for line in plan_lines(found):
        say(line)
    tell_costs(found, say)
