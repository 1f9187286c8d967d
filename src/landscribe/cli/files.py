"""Commands on plain files and finished runs: `burn`, `compare`, `merge-features`, and `score`, which takes both."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from landscribe.cli.console import reporting, say, tell_counts, tell_table, tell_text
from landscribe.cli.flow import JsonOption, open_recipe
from landscribe.cli.in_worker import SECONDS, SecondsOption, in_worker
from landscribe.cli.results import raise_failures, say_left_out, tell_result, tell_score
from landscribe.cli.sharing import How, OnlyOption, OnOption, PartOption, do_stage_as
from landscribe.cli.submissions import SetOption
from landscribe.errors import RecipeError, problem

if TYPE_CHECKING:
    from landscribe.core.score.score import Score


class BurnMode(StrEnum):
    """What a pixel of `burn` says."""

    share = "share"
    gdal = "gdal"
    touched = "touched"
    opencv = "opencv"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("burn")(burn)
    app.command("score")(score)
    app.command("compare")(compare)
    app.command("merge-features")(merge_features)


def burn(
    labels: Annotated[Path, typer.Argument(help="Polygons in any vector format.")],
    out: Annotated[Path, typer.Argument(help="GeoTIFF to write.")],
    like: Annotated[Path, typer.Option("--like", help="Raster whose grid the result has.")],
    class_field: Annotated[str | None, typer.Option(help="Column that names the class: one band each.")] = None,
    mode: Annotated[BurnMode, typer.Option(help="Covered share 0..255, or a 0/1 mask.")] = BurnMode.share,
    seconds: SecondsOption = SECONDS,
) -> None:
    """Turn polygons into a raster: the covered share of each pixel, or a mask."""
    from landscribe.stages.files.burn import burn_file

    work = partial(burn_file, labels, like, out, class_field=class_field, mode=mode.value)
    tell_counts(in_worker([labels, like], work, seconds), out)


def score(
    first: Annotated[
        str, typer.Argument(help="A recipe with --run, or the predicted polygons.", metavar="RECIPE|PREDICTED")
    ],
    truth: Annotated[Path | None, typer.Argument(help="The true polygons.")] = None,
    run: Annotated[Path | None, typer.Option("--run", help="Run folder to score.", metavar="DIR")] = None,
    class_field: Annotated[str | None, typer.Option(help="Column that names the class in both files.")] = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
    seconds: SecondsOption = SECONDS,
    part: PartOption = None,
    only: OnlyOption = None,
    on: OnOption = None,
) -> None:
    """Score a run, or any two vector files, submissions included."""
    how = How(part, tuple(only or ()), on)
    if truth is None and run is None and Path(first).is_dir():
        run = Path(first)
    if (truth is None) == (run is None):
        need = "RECIPE --run DIR, or PREDICTED TRUTH"
        raise RecipeError(
            problem("score", "neither a run nor two files" if run is None else "a run and two files", need=need)
        )
    if truth is not None:
        how.require_none("two files")
        from landscribe.stages.files.score_files import score_files

        work = partial(score_files, Path(first), truth, class_field=class_field)
        _tell_score(in_worker([Path(first), truth], work, seconds), as_json)
        return
    from landscribe.io.run.runs import Run, open_run
    from landscribe.io.run.scored import SCORE, read_score
    from landscribe.pipeline import do_stage

    folder = Run(run) if run is not None and run.is_dir() else open_run(run)  # type: ignore[arg-type]
    if how.is_part:
        result = do_stage_as(how, "score", open_recipe(first, overrides), folder.root)
        tell_result(result)
        raise_failures([result])
        return
    project = open_recipe(first, overrides)
    with how.way(project, None) as way, reporting() as progress:
        result = do_stage("score", project, folder, progress, way=way)
    for note in result.notes:
        say(note)
    raise_failures([result])
    _tell_score(read_score(folder.path(SCORE)), as_json)


def compare(
    first: Annotated[Path, typer.Argument(help="A run folder or a score.json.")],
    second: Annotated[Path, typer.Argument(help="Another one, scored on the same scenes.")],
    as_json: JsonOption = False,
) -> None:
    """Say which differences between two scores are real."""
    from landscribe.stages.files.compare import compare_runs, comparison_lines, comparison_table

    result = compare_runs(first, second)
    if as_json:
        tell_text(result.to_json())
    else:
        columns, rows = comparison_table(result)
        tell_table(columns, rows)
    for line in comparison_lines(result):
        say(line)


def _tell_score(score: Score, as_json: bool) -> None:
    if as_json:
        tell_text(score.to_json())
        say_left_out(score)
    else:
        tell_score(score)


def merge_features(
    runs: Annotated[list[Path], typer.Argument(help="Finished run folders.", metavar="RUN...")],
    out: Annotated[Path, typer.Option("--out", help="GeoPackage or FlatGeobuf to write.", metavar="FILE")],
    in_order: Annotated[
        bool, typer.Option("--in-order", help="Earlier runs own all ground that they show, however near its edge.")
    ] = False,
) -> None:
    """Make one map of the polygons of finished runs: ground that several show once, what borders cut whole."""
    from landscribe.stages.files.merge_features import merge_features as merge

    tell_counts(merge(runs, out, in_order=in_order), out)
