"""Command `trace`: a raster -> polygons."""

from __future__ import annotations

import math
from dataclasses import replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from landscribe.cli.console import say, tell_counts
from landscribe.cli.in_worker import SECONDS, SecondsOption, in_worker
from landscribe.core.tracing import MOST_ROUNDS, Tracing
from landscribe.errors import RecipeError, problem

if TYPE_CHECKING:
    from landscribe.core.trace.meaning import Meaning

DEFAULT = Tracing()


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


class TakenFor(StrEnum):
    """What a raster is."""

    classes = "classes"
    mask = "mask"
    probability = "probability"
    percent = "percent"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("trace")(trace)


def trace(
    raster: Annotated[
        Path, typer.Argument(help="Class map, mask (0/1, 0/255), shares (bytes) or probabilities (0..1, percent).")
    ],
    out: Annotated[Path, typer.Argument(help="Vector file to write; its ending chooses the format.")],
    taken_for: Annotated[
        TakenFor | None,
        typer.Option("--as", help="What the raster is; else its values tell (few whole numbers: a class map)."),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            help="Values of a class map and their names: 1=road,2=water. Others are left out.", metavar="LIST"
        ),
    ] = None,
    nodata: Annotated[
        str | None, typer.Option(help="Value that means no data, in place of the file's own; or none.", metavar="VALUE")
    ] = None,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Share or probability where the line runs; 0.5 is 50 percent.")
    ] = DEFAULT.threshold,
    mode: Annotated[
        TraceMode | None,
        typer.Option(
            help="Between pixels, along their borders, or as OpenCV through their centres; "
            f"else {DEFAULT.mode}, for class maps edge."
        ),
    ] = None,
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
    seconds: SecondsOption = SECONDS,
) -> None:
    """Turn a raster into polygons, one class per band or per value of a class map. Defaults are those of a run."""
    from landscribe.stages.files.taken import Wish
    from landscribe.stages.files.trace import pixel_area_m2, trace_file

    wish = Wish(None if taken_for is None else taken_for.value, read_names(classes), read_nodata(nodata))
    area = in_worker([raster], partial(pixel_area_m2, raster), seconds) if unit is AreaUnit.m2 else 1.0
    corners = connectivity.value
    given = Tracing(
        threshold=threshold,
        mode=DEFAULT.mode if mode is None else mode.value,
        min_area_px=min_area / area,
        min_hole_px=None if min_hole is None else min_hole / area,
        simplify_px=simplify,
        connectivity="mean" if corners == "mean" else 4 if corners == "4" else 8,
        smooth=smooth,
        right_angles=right_angles,
    )
    work = partial(
        trace_file, raster, out, partial(_tracing_of, given, mode), wish=wish, exclusive=exclusive,
        shared_borders=shared, tell=say,
    )  # fmt: skip
    tell_counts(in_worker([raster], work, seconds), out)


def _tracing_of(given: Tracing, mode: TraceMode | None, meaning: Meaning) -> Tracing:
    from landscribe.core.trace.meaning import default_mode

    return replace(given, mode=default_mode(meaning) if mode is None else mode.value)


def read_names(text: str | None) -> dict[int, str]:
    """Read `1=road,2=water`.

    Raises:
        RecipeError: If it is anything else, or names a value twice.
    """
    names: dict[int, str] = {}
    for part in text.split(",") if text is not None else ():
        value, sign, name = (piece.strip() for piece in part.partition("="))
        if not sign or not name or not value.removeprefix("-").isdecimal():
            raise RecipeError(
                problem("--classes", "not values and names", got=repr(part.strip()), need="1=road,2=water")
            )
        if int(value) in names:
            raise RecipeError(problem("--classes", "a value is named twice", got=value))
        names[int(value)] = name
    return names


def read_nodata(text: str | None) -> float | None:
    """Read a number, or `none`, which gives NaN: no value stands for missing data.

    Raises:
        RecipeError: If it is neither.
    """
    if text is None:
        return None
    try:
        return math.nan if text.strip().lower() == "none" else float(text)
    except ValueError as error:
        raise RecipeError(problem("--nodata", "no number", got=repr(text), need="a number, or none")) from error
