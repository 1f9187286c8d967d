"""Commands that look at data: `check`, and `stats`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landscribe.cli import submissions
from landscribe.cli.console import reporting, say, tell, tell_json, tell_table
from landscribe.cli.flow import JsonOption, ModelsOption, TrustOption, open_recipe
from landscribe.cli.sharing import How, OnOption
from landscribe.cli.submissions import RecipeArgument, SetOption
from landscribe.errors import DataError, PartialError, problem

if TYPE_CHECKING:
    from landscribe.core.ground import Ground


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("check")(check)
    app.command("stats")(stats)


def check(
    recipe: Annotated[
        str,
        typer.Argument(
            help="A TOML recipe, the name of a built-in one, or a DSTL submission.",
            metavar="RECIPE|SUBMISSION.csv[.gz]",
        ),
    ],
    models: ModelsOption = None,
    trust: TrustOption = False,
    overrides: SetOption = None,
    as_json: JsonOption = False,
    sample: submissions.SampleOption = None,
    decimals: Annotated[
        int | None, typer.Option(min=0, help="Submission: most decimals of a coordinate.", show_default="any number")
    ] = None,
    max_mb: Annotated[float | None, typer.Option(min=0, help="Submission: largest file in MB.")] = None,
    on: OnOption = None,
) -> None:
    """Look at all data of a recipe, or at every row of a submission, and list every problem at once."""
    if submissions.is_submission(recipe):
        submissions.check(Path(recipe), sample, decimals, max_mb, as_json=as_json)
        return
    from landscribe.io.bundle.models import models_at
    from landscribe.stages.check import check as look

    with models_at(models) as folder:
        project = open_recipe(recipe, overrides, folder, trust=trust, given=models)
        with How(on=on).way(project, folder) as way, reporting() as progress:
            result = look(project, progress, looks=way.look_at)
    if as_json:
        rows = [{"level": f.level, "text": f.text} for f in result.findings]
        ground = {name: asdict(own) for name, own in result.ground.items()}
        tell_json(
            {
                "scenes": result.scenes,
                "labelled": result.labelled,
                "classes": result.classes,
                "findings": rows,
                "ground": ground,
                "unit": result.unit,
            }
        )
    else:
        for finding in result.findings:
            tell(f"{finding.level}: {finding.text}")
        if result.ground:
            unit = result.unit
            columns = ["class", f"positive {unit}", "share", f"negative {unit}", f"unlabelled {unit}"]
            tell_table(columns, [_ground_row(name, own) for name, own in result.ground.items()])
        names = ", ".join(result.classes) or "of the models"
        tell(
            f"{result.scenes} scenes, {result.labelled} labelled, classes {names}: "
            f"{result.errors} errors, {len(result.findings) - result.errors} warnings"
        )
    if result.errors:
        raise typer.Exit(PartialError.exit_code if result.lost else DataError.exit_code)


def _ground_row(name: str, ground: Ground) -> list[str]:
    areas = [f"{area:,.0f}" for area in (ground.positive, ground.negative, ground.unlabelled)]
    return [name, areas[0], f"{ground.share:.2%}", *areas[1:]]


def stats(
    recipe: RecipeArgument,
    overrides: SetOption = None,
    as_json: JsonOption = False,
    images: Annotated[bool, typer.Option("--images", help="Size and type of every raster instead.")] = False,
) -> None:
    """Show area, perimeter and number of the labels per class and scene, or the sizes of the images."""
    from landscribe.stages.stats import shapes
    from landscribe.stages.stats import stats as measure

    project = open_recipe(recipe, overrides)
    with reporting() as progress:
        failed: dict[str, str] = {}
        look = shapes if images else measure
        rows: list[Any] = list(look(project, progress, failed=failed))
    _tell_stats(rows, project.legend.names if not images else (), as_json=as_json, images=images)
    for reason in failed.values():
        say(f"failed: {reason}")
    if failed:
        raise PartialError(problem(f"{len(failed)} failed, the others are done", ", ".join(failed)))


def _tell_stats(rows: list[Any], names: tuple[str, ...], *, as_json: bool, images: bool) -> None:
    if as_json:
        tell_json([row.__dict__ for row in rows])
        return
    if images:
        columns = ["scene", "sensor", "file", "dtype", "bands", "height", "width"]
        tell_table(columns, [[str(getattr(row, name)) for name in columns] for row in rows], right=4)
        return
    for title, field, scale, decimals, together in (
        ("area %", "area_share", 100, 4, "mean"),
        ("perimeter px", "perimeter_px", 1, 0, "sum"),
        ("count", "count", 1, 0, "sum"),
    ):
        scenes = list(dict.fromkeys(row.scene for row in rows))
        cells = {(row.scene, row.class_name): scale * getattr(row, field) for row in rows}
        table = [[scene, *(f"{cells[scene, name]:.{decimals}f}" for name in names)] for scene in scenes]
        divisor = len(scenes) if together == "mean" else 1
        totals = [sum(cells[scene, name] for scene in scenes) / max(divisor, 1) for name in names]
        tell_table([title, *names], [*table, [together, *(f"{total:.{decimals}f}" for total in totals)]])
        tell("")
