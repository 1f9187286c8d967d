"""Commands of the loop: `review`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from landscribe.cli.console import say, tell


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("review")(review)


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
