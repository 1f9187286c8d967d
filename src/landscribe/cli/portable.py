"""Commands that carry a finished run elsewhere: `export` and `verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from landscribe.cli.console import reporting, say, tell, tell_json
from landscribe.cli.flow import JsonOption, models_of, open_recipe
from landscribe.cli.submissions import SetOption
from landscribe.errors import RecipeError, problem


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("export")(export)
    app.command("verify")(verify)


def export(
    run: Annotated[Path, typer.Argument(help="A run folder with trained networks.", metavar="RUN")],
    to: Annotated[Path, typer.Option("--to", help="Bundle to write.", metavar="BUNDLE.zip")],
    overrides: SetOption = None,
) -> None:
    """Write the networks of a run as one bundle: an ONNX graph, files for Deepness, weights, recipe, a replay."""
    from landscribe.io.bundle.models import models_at
    from landscribe.io.run.runs import Run
    from landscribe.stages.bundles.export import export as write

    if not run.is_dir():
        raise RecipeError(problem(str(run), "no such run folder"))
    given = models_of(run)
    with models_at(given) as models, reporting() as progress:
        project = open_recipe(str(run), overrides, models, given=given)
        lines = write(project, Run(run), to, progress)
    for line in lines:
        say(line)
    tell(str(to))


def verify(
    bundle: Annotated[Path, typer.Argument(help="A bundle that `landscribe export` wrote.", metavar="BUNDLE.zip")],
    as_json: JsonOption = False,
) -> None:
    """Compare every byte of a bundle with its manifest, then predict its piece of a scene again."""
    from landscribe.stages.bundles.verify import verify as look

    with reporting() as progress:
        result = look(bundle, progress)
    if as_json:
        tell_json({"files": result.files, "polygons": result.polygons, "replayed": list(result.lines)})
        return
    tell(f"{result.files} files as they were written")
    for line in result.lines:
        tell(line)
