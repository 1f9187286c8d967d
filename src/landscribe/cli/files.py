"""Commands on plain files: `burn`, `trace`, and `score`, which also takes a run."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from landscribe.cli.console import reporting, say, tell, tell_table, tell_text
from landscribe.cli.flow import JsonOption, open_recipe, say_left_out, tell_score
from landscribe.cli.submissions import SetOption
from landscribe.core.tracing import MOST_ROUNDS, Tracing
from landscribe.errors import RecipeError, problem

if TYPE_CHECKING:
    from landscribe.core.score.score import Score

DEFAULT = Tracing()


class BurnMode(StrEnum):
    """What a pixel of `burn` says."""

    share = "share"
    gdal = "gdal"
    touched = "touched"
    opencv = "opencv"


class TraceMode(StrEnum):
    """Where the lines of `trace` run."""

    contour = "contour"
    edge = "edge"
    opencv = "opencv"


class AreaUnit(StrEnum):
    """Unit of areas."""

    px = "px"
    m2 = "m2"


class Corners(StrEnum):
    """What pixels that meet at a corner only are."""

    four = "4"
    eight = "8"
    mean = "mean"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("burn")(burn)
    app.command("trace")(trace)
    app.command("score")(score)
    app.command("compare")(compare)


def burn(
    labels: Annotated[Path, typer.Argument(help="Polygons in any vector format.")],
    out: Annotated[Path, typer.Argument(help="GeoTIFF to write.")],
    like: Annotated[Path, typer.Option("--like", help="Raster whose grid the result has.")],
    class_field: Annotated[str | None, typer.Option(help="Column that names the class: one band each.")] = None,
    mode: Annotated[BurnMode, typer.Option(help="Covered share 0..255, or a 0/1 mask.")] = BurnMode.share,
) -> None:
    """Turn polygons into a raster: the covered share of each pixel, or a mask."""
    from landscribe.stages.files.burn import burn_file

    _tell_counts(burn_file(labels, like, out, class_field=class_field, mode=mode.value), out)


def trace(
    raster: Annotated[Path, typer.Argument(help="Mask (0/1), share (uint8) or probability (float) raster.")],
    out: Annotated[Path, typer.Argument(help="Vector file to write; its ending chooses the format.")],
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Share or probability where the line runs.")
    ] = DEFAULT.threshold,
    mode: Annotated[
        TraceMode, typer.Option(help="Between pixels, along their borders, or as OpenCV through their centres.")
    ] = TraceMode(DEFAULT.mode),
    simplify: Annotated[float, typer.Option(min=0, help="Largest move of a line, in pixels.")] = DEFAULT.simplify_px,
    min_area: Annotated[float, typer.Option(min=0, help="Smallest polygon, in the unit below.")] = DEFAULT.min_area_px,
    min_hole: Annotated[
        float | None, typer.Option(min=0, help="Smallest hole; else as the smallest polygon.")
    ] = DEFAULT.min_hole_px,
    unit: Annotated[AreaUnit, typer.Option(help="Square pixels, or square metres.")] = AreaUnit.px,
    connectivity: Annotated[
        Corners, typer.Option(help="Pixels that meet at a corner: two polygons (4), one (8), or by their mean.")
    ] = Corners(str(DEFAULT.connectivity)),
    smooth: Annotated[
        int, typer.Option(min=0, max=MOST_ROUNDS, help="Rounds of smoothing of contours.")
    ] = DEFAULT.smooth,
    right_angles: Annotated[
        bool, typer.Option("--right-angles", help="Right angles, for buildings.")
    ] = DEFAULT.right_angles,
    exclusive: Annotated[
        bool,
        typer.Option(
            "--exclusive",
            help="Each pixel to its most probable band; the threshold is on its share in itself "
            "and the best other one.",
        ),
    ] = False,
    shared: Annotated[
        bool, typer.Option("--shared", help="The same along pixel borders; shared borders stay shared.")
    ] = False,
) -> None:
    """Turn a raster into polygons, one class per band. Defaults are those of a run."""
    from landscribe.stages.files.trace import pixel_area_m2, trace_file

    area = pixel_area_m2(raster) if unit is AreaUnit.m2 else 1.0
    corners = connectivity.value
    tracing = Tracing(
        threshold=threshold,
        mode=mode.value,
        min_area_px=min_area / area,
        min_hole_px=None if min_hole is None else min_hole / area,
        simplify_px=simplify,
        connectivity="mean" if corners == "mean" else 4 if corners == "4" else 8,
        smooth=smooth,
        right_angles=right_angles,
    )
    _tell_counts(trace_file(raster, out, tracing, exclusive=exclusive, shared_borders=shared), out)


def score(
    first: Annotated[
        str, typer.Argument(help="A recipe with --run, or the predicted polygons.", metavar="RECIPE|PREDICTED")
    ],
    truth: Annotated[Path | None, typer.Argument(help="The true polygons.")] = None,
    run: Annotated[Path | None, typer.Option("--run", help="Run folder to score.", metavar="DIR")] = None,
    class_field: Annotated[str | None, typer.Option(help="Column that names the class in both files.")] = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score a run, or any two vector files, submissions included."""
    if truth is None and run is None and Path(first).is_dir():
        run = Path(first)
    if (truth is None) == (run is None):
        need = "RECIPE --run DIR, or PREDICTED TRUTH"
        raise RecipeError(
            problem("score", "neither a run nor two files" if run is None else "a run and two files", need=need)
        )
    if truth is not None:
        from landscribe.stages.files.score_files import score_files

        _tell_score(score_files(Path(first), truth, class_field=class_field), as_json)
        return
    from landscribe.io.run.runs import open_run
    from landscribe.io.run.scored import SCORE, read_score
    from landscribe.pipeline import do_stage

    folder = open_run(run)  # type: ignore[arg-type]
    with reporting() as progress:
        result = do_stage("score", open_recipe(first, overrides), folder, progress)
    for note in result.notes:
        say(note)
    _tell_score(read_score(folder.path(SCORE)), as_json)


def compare(
    first: Annotated[Path, typer.Argument(help="A run folder or a score.json.")],
    second: Annotated[Path, typer.Argument(help="Another one, scored on the same scenes.")],
    as_json: JsonOption = False,
) -> None:
    """Say which differences between two scores are real."""
    from landscribe.stages.files.compare import compare_runs, comparison_table

    result = compare_runs(first, second)
    if as_json:
        tell_text(result.to_json())
    else:
        columns, rows = comparison_table(result)
        tell_table(columns, rows)


def _tell_score(score: Score, as_json: bool) -> None:
    if as_json:
        tell_text(score.to_json())
        say_left_out(score)
    else:
        tell_score(score)


def _tell_counts(counts: dict[str, int], out: Path) -> None:
    for reason, count in counts.items():
        say(f"{reason}: {count}")
    tell(str(out))
