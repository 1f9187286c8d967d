"""Commands of the loop: `review`, `suggest`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from landscribe.cli.console import reporting, say, tell, tell_json, tell_table
from landscribe.cli.flow import JsonOption, models_of, open_recipe


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("review")(review)
    app.command("suggest")(suggest)


def review(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    to: Annotated[Path, typer.Option("--to", "--out", help="GeoPackage to write.")] = Path("review.gpkg"),
) -> None:
    """Write what a run found as a GeoPackage to correct in QGIS, with a verdict for each polygon."""
    from landscribe.io.run.runs import Run
    from landscribe.stages.review.review import review as write

    for path, n in write(Run(run), to).items():
        say(f"{n} polygons to look at")
        tell(str(path))


def suggest(
    run: Annotated[Path, typer.Argument(help="Run folder in which `predict` has run.")],
    windows: Annotated[int, typer.Option("--windows", help="How many to suggest.")] = 20,
    size: Annotated[
        str,
        typer.Option(
            "--size",
            help="Side of a window: 256px, 75m, or a number alone: metres where scenes have a CRS, else pixels.",
            metavar="LENGTH",
        ),
    ] = "256px",
    to: Annotated[Path, typer.Option("--to", help="GeoPackage to write.")] = Path("todo.gpkg"),
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out the disagreement of networks and views: do not run them again.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Name the windows of unlabelled ground whose labelling would help most."""
    from landscribe.core.suggest.windows import said, size_of
    from landscribe.io.bundle.models import models_at
    from landscribe.io.project import as_run
    from landscribe.io.run.owner import alone_in
    from landscribe.io.run.runs import Run
    from landscribe.stages.review.suggest import Wish
    from landscribe.stages.review.suggest import suggest as find

    wish, folder = Wish(windows, size_of(size), ask_networks=not quick), Run(run)
    with models_at(None if quick else models_of(run)) as ready:
        project = as_run(open_recipe(str(run), None, ready), folder)
        with alone_in(folder), reporting() as progress:
            result, found, files = find(project, folder, wish, to, progress)
    for note in (*result.notes, *found.notes):
        say(note)
    if as_json:
        tell_json([asdict(row) for row in found.windows])
    else:
        rows = [[str(row.rank), row.scene, f"{row.score:.2f}", row.why] for row in found.windows]
        tell_table(["rank", "scene", "score", "why"], rows, right=4)
    left = said(found.left_out.items())
    say(f"{len(found.windows)} of {found.looked_at:,} windows" + (f"; left out: {left}" if left else ""))
    for path, n in files.items():
        say(f"{path}: {n} windows")
